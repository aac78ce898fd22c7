"""Engines: processes that run a network, the memory they share with the service, and what keeps them alive."""
