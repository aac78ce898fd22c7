"""Faiss without its type stubs, which do not know selectors and HNSW parameters."""

from __future__ import annotations

import importlib
from typing import Any

faiss: Any = importlib.import_module("faiss")
"""The module `faiss`, of whichever of its packages is installed."""
