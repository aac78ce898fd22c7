"""Training, evaluation and export of the default embedder."""
