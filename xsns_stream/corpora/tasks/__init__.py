"""Labelled data of a task, one language and one split at a time.

:func:`open_task` turns what the user wrote into a :class:`TaskCorpus`. A folder's layout is read off the names of its
files (`layouts.py`), a file by its kind and task (`files.py`), and what has no split of its own is cut (`cutting.py`).
"""

from __future__ import annotations

from xsns_stream.corpora.labels import TASK_NAMES
from xsns_stream.corpora.tasks.task_corpus import TaskCorpus, TaskText, open_task

__all__ = ["TASK_NAMES", "TaskCorpus", "TaskText", "open_task"]
