"""xsns-stream."""
