"""A runner of single click commands with the options of the program."""

from __future__ import annotations

from typing import Any

from click.testing import CliRunner


class Runner(CliRunner):
    """A runner with the help options of the program. Click keeps the help option with which a verb is called first."""

    def invoke(self, cli: Any, args: Any = None, **extra: Any) -> Any:
        """Run a command."""
        return super().invoke(cli, args, help_option_names=["-h", "--help"], **extra)
