"""Both services as processes of this machine."""
