"""`python -m xsns_stream` is `xsns-stream`."""

from xsns_stream.cli import run

run()
