"""Collections as they were at one revision, outside the service's own disk."""
