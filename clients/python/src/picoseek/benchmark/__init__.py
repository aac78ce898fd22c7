"""How fast a running search service answers, and what it finds."""
