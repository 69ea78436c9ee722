"""A console of the library rich that escapes invisible characters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from xsns_stream.io.escaping import visible

#: Characters of the rules of tables.
_RULE: Final = "─ "


class VisibleConsole(Console):
    """A console that escapes invisible characters before it computes widths, and does not interpret markup in text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def on_broken_pipe(self) -> None:
        """Raise `BrokenPipeError` when a reader such as `head` closes the pipe; rich would exit with code 1."""
        raise BrokenPipeError

    def print(self, *objects: Any, **options: Any) -> None:
        """Print objects, with invisible characters in their texts escaped.

        In files and pipes, lines do not end in blanks, and the rules of tables are as long as the longest line.
        """
        shown = map(_made_visible, objects)
        if self.is_terminal or self.is_jupyter or self.quiet:
            super().print(*shown, **options)
            return
        with self.capture() as captured:
            super().print(*shown, **options)
        self.file.write(_trimmed(captured.get()))
        self.file.flush()

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render an object, and escape texts that :meth:`print` does not see, such as those of a progress bar."""
        for segment in super().render(renderable, options):
            if segment.control:
                yield segment
            else:
                yield Segment(visible(segment.text, lines=True), segment.style)


def _made_visible(shown: Any) -> Any:
    """Return a string, or an object that rich shows, with invisible characters escaped.

    Line breaks are escaped, too, except in texts with styles, titles and captions.
    """
    if isinstance(shown, str):
        return visible(shown)
    if isinstance(shown, Text):
        # A text with styled parts is a cell of several lines, from a table of this package.
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


def _trimmed(text: str) -> str:
    """Return a text whose lines do not end in blanks, and whose rules are not longer than its other lines."""
    lines = [line.rstrip() for line in text.split("\n")]
    longest = max((cell_len(line) for line in lines if line.strip(_RULE)), default=0)
    return "\n".join(line if line.strip(_RULE) else line[:longest] for line in lines)
