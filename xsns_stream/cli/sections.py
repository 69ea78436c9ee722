"""Help pages of many options: in sections, in the order in which the options are declared."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Options = Callable[..., Callable[[Any], Any]]


class SectionedOption(click.Option):
    """An option that stands under a heading of the help page."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose help page has a heading for each section; options without one come last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            shown = parameter.get_help_record(ctx)
            if shown is not None:
                sections.setdefault(getattr(parameter, "section", "Options"), []).append(shown)
        for title, options in sections.items():
            with formatter.section(title):
                formatter.write_dl(options)


def section(title: str) -> Options:
    """Return what is used like `click.option`, for options of one section."""

    def option(*names: str, **settings: Any) -> Callable[[Any], Any]:
        return click.option(*names, cls=SectionedOption, section=title, **settings)

    return option


def apply(function: Decorated, *options: Callable[[Any], Any]) -> Decorated:
    """Add options in their order, the first on top of the page."""
    for option in reversed(options):
        function = option(function)
    return function
