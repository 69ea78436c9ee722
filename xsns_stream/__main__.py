"""Entry point of `python -m xsns_stream`, which is the program `xsns-stream`."""

from xsns_stream.cli import run

run()
