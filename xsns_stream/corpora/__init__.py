"""Corpora: text and labelled data in many languages.

:func:`open_corpus` opens a :class:`Corpus`, a source of text samples; :func:`open_task` opens the labelled data of a
task; :func:`read_text` reads a single file. Importing this package does not import `datasets`, `pandas` or `pyarrow`.
"""

from __future__ import annotations

from xsns_stream.corpora.file_names import UnreadFile
from xsns_stream.corpora.memory import MemoryCorpus, Texts, open_texts
from xsns_stream.corpora.open import (
    Corpus,
    TaskText,
    draw_sample,
    not_read,
    open_corpus,
    opening_notes,
    reading_notes,
    select_languages,
)
from xsns_stream.corpora.readers import read_text
from xsns_stream.corpora.tasks import TaskCorpus, open_task

__all__ = [
    "Corpus",
    "MemoryCorpus",
    "TaskCorpus",
    "TaskText",
    "Texts",
    "UnreadFile",
    "draw_sample",
    "not_read",
    "open_corpus",
    "open_task",
    "open_texts",
    "opening_notes",
    "read_text",
    "reading_notes",
    "select_languages",
]
