"""Rows of vectors and the indexes over them. A segment knows rows by their place in it, never by document id."""
