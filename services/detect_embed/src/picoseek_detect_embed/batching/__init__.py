"""Queues of prepared items, and the loops that bring them to engines in batches."""
