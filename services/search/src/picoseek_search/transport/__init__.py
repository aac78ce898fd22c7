"""The service over gRPC: checks requests, hands work to threads, and puts answers into messages."""
