"""Errors of a build."""

from __future__ import annotations


class BuildError(Exception):
    """A bundle cannot be built; the message says why and what to do."""
