"""The contract's messages, and the service that speaks them."""
