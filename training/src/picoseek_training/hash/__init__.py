"""Hash codes: a head that turns a trained embedder's vectors into bits, and the bundle of both."""
