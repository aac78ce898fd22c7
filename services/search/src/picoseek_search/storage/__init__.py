"""What is on disk: documents, the order of writes, answers to repeated writes, and which collections there are."""
