"""Corpora: where the text of each language comes from.

:func:`open_corpus` turns what the user wrote into a :class:`Corpus`, and a corpus gives samples of text;
:func:`read_text` reads a single file. Importing this package imports none of `datasets`, `pandas`, `pyarrow`.
"""

from __future__ import annotations

from xsns_stream.corpora.file_names import NotRead
from xsns_stream.corpora.open import Corpus, not_read, open_corpus, reading_notes
from xsns_stream.corpora.readers import read_text
from xsns_stream.corpora.tasks import TASK_NAMES, TaskCorpus, TaskText, open_task

__all__ = [
    "TASK_NAMES",
    "Corpus",
    "NotRead",
    "TaskCorpus",
    "TaskText",
    "not_read",
    "open_corpus",
    "open_task",
    "read_text",
    "reading_notes",
]
