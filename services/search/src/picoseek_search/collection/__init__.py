"""Documents, the order of writes, and searches."""
