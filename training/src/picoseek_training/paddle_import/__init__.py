"""Paddle's files of weights, read without running what is in them."""
