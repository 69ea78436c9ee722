"""Input and output: atomic writing of files, JSON, tables, and file locks."""
