"""Learning from a stronger network."""
