"""Labelled data of tasks, by language and split.

:func:`open_task` opens a :class:`TaskCorpus`: labelled data in a folder or on the Hub (`task_corpus.py`). `readers.py`
reads one file of labelled examples; `splits.py` finds the files of each split, and divides data without splits.
"""

from __future__ import annotations

from xsns_stream.corpora.tasks.task_corpus import TaskCorpus, open_task

__all__ = ["TaskCorpus", "open_task"]
