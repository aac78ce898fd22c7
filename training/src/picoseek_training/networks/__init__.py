"""Networks with the official state-dict names."""
