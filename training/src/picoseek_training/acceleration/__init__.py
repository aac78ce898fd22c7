"""Faster equal replacements of operations that Paddle is slow at on a CPU."""
