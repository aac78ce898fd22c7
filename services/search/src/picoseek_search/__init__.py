"""PicoSeek's search service: vectors and documents in, matches out.

Layers, each importing only those before it: `segment` (rows of vectors and the indexes over them), `storage` (what is
on disk), `collection` (documents, order of writes, searches), `transport` (gRPC).
"""
