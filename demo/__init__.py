"""The demo: real photographs recognised by the real services, with one command."""
