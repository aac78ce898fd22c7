"""How much of what an exact search finds, live searches find."""
