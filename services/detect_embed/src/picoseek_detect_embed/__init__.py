"""Pictures and frames in, crops and embeddings out, as a gRPC service."""
