"""Reading and writing files: whole or not at all, tables, locks."""
