"""The filter language: its text, the conditions that a schema makes of it, and columns of values to test them on."""
