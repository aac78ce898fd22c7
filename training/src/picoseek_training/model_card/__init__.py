"""The tables of the model cards, measured through the running services."""
