"""Files of text that tests write and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xsns_stream.corpora import read_text
from xsns_stream.types import LanguageSample


def read(path: Path, content: str | bytes, **options: Any) -> LanguageSample:
    """Write a file, and return the text that is read from it."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_text("sw", path, **options)
