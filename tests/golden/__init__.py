"""Comparison of the product with recordings of the original system."""
