"""Consoles on which other people's names are shown as they are: no markup, no control characters, no overrides."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from xsns_stream.escaping import visible


class VisibleConsole(Console):
    """A console that escapes what cannot be seen, before widths are computed, and reads no markup in text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def on_broken_pipe(self) -> None:
        """Raise, where rich would exit with 1: a reader that has seen enough (`| head`) is no failure."""
        raise BrokenPipeError

    def print(self, *objects: Any, **options: Any) -> None:
        """Print objects whose texts are made visible."""
        super().print(*map(_made_visible, objects), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render an object; what :meth:`print` does not see, as descriptions of a bar, is escaped here."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(visible(segment.text, lines=True), segment.style)


def _made_visible(shown: Any) -> Any:
    """Return an object of rich in which each text is a line that can be seen; titles and captions may have several."""
    if isinstance(shown, str):
        return visible(shown)
    if isinstance(shown, Text):
        # A text in two styles is a cell that a table of ours has put together of several lines.
        if (plain := visible(shown.plain, lines=bool(shown.spans))) != shown.plain:
            shown.plain = plain
    elif isinstance(shown, Table):
        for column in shown.columns:
            column.header, column.footer = _made_visible(column.header), _made_visible(column.footer)
            column._cells[:] = map(_made_visible, column._cells)
    elif isinstance(shown, Group):
        for part in shown.renderables:
            _made_visible(part)
    return shown
