"""Options that a help page lists by section, and a function that adds several options to a command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Options = Callable[..., Callable[[Any], Any]]


class SectionedOption(click.Option):
    """An option that the help page lists in a section."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose help page lists options by section; options without a section come last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options to the help page, section by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            shown = parameter.get_help_record(ctx)
            if shown is not None:
                sections.setdefault(getattr(parameter, "section", "Options"), []).append(shown)
        for title, options in sections.items():
            with formatter.section(title):
                formatter.write_dl(options)


def section(title: str) -> Options:
    """Return a decorator like `click.option` for the options of one section."""

    def option(*names: str, **settings: Any) -> Callable[[Any], Any]:
        return click.option(*names, cls=SectionedOption, section=title, **settings)

    return option


def apply(function: Decorated, *options: Callable[[Any], Any]) -> Decorated:
    """Add options to a function; the help page lists them in the order of the arguments."""
    for option in reversed(options):
        function = option(function)
    return function
