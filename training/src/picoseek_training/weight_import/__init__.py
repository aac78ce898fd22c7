"""Official weights, in any of the forms in which they are published, into networks of the registry."""
