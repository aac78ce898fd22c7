"""How well retrieval and detection work, measured on results."""
