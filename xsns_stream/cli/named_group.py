"""Group of commands that are imported when they are called."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import click


class NamedGroup(click.Group):
    """A group of commands, each with a summary. A wrong name is an error with a hint.

    Attributes:
        noun: What messages call a command of this group, such as `baseline`.
    """

    noun: ClassVar[str]

    @abstractmethod
    def summaries(self) -> Mapping[str, str]:
        """Return {name of a command: one line of help}, in the order of the help page."""

    @abstractmethod
    def load(self, name: str) -> click.Command:
        """Import a command."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names."""
        return list(self.summaries())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return the command of a name; None if there is no such command."""
        return self.load(cmd_name) if cmd_name in self.summaries() else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names with their summaries."""
        with formatter.section(f"{self.noun.capitalize()}s"):
            formatter.write_dl(list(self.summaries().items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name, and the other arguments.

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
