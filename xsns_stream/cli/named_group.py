"""Group of commands; each command is imported only when it is called."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import click


class NamedGroup(click.Group):
    """A group of commands, each of which has a summary. An unknown name of a command is an error with a hint.

    Attributes:
        noun: The noun that messages use for a command of this group; for example, `baseline`.
    """

    noun: ClassVar[str]

    @abstractmethod
    def summaries(self) -> Mapping[str, str]:
        """Return {name of a command: one line of help}, in the order of the help page."""

    @abstractmethod
    def load(self, name: str) -> click.Command:
        """Import the command with this name, and return it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(self.summaries())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of this name; None if there is no such command."""
        return self.load(cmd_name) if cmd_name in self.summaries() else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names of the commands and their summaries to the help page."""
        with formatter.section(f"{self.noun.capitalize()}s"):
            formatter.write_dl(list(self.summaries().items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the name of the command, the command, and its arguments; the first of `args` is the name.

        Raises:
            click.UsageError: There is no command of this name.
        """
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], self.summaries(), n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"the {self.noun}s are {', '.join(self.summaries())}."
            raise click.UsageError(f"no {self.noun} '{args[0]}'.\nhint: {hint}", ctx) from error
