"""What may be wrong with a file of Paddle's."""

from __future__ import annotations


class PaddleFileError(ValueError):
    """A file is damaged, of another format, or holds something else than tensors; the message says which."""
