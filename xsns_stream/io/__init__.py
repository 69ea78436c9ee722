"""Input and output: complete files or none, JSON, tables, and locks."""
