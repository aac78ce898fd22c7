"""Work that outlasts a call."""
