"""Bundles that are being served: a detector or an embedder with its engines, queue and memory."""
