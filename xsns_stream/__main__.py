"""Entry point of `python -m xsns_stream`, which runs the program `xsns-stream`."""

from xsns_stream.cli import run

run()
