"""From the scores of a gallery's own references to verdicts."""
