"""What can go wrong, in the user's words.

Every expected failure is an :class:`XsnsError`: one sentence that says what was asked and what was given, and a
hint that says what to do. The command line prints both and exits with the class's code; anything that is not an
`XsnsError` is a bug and keeps its traceback.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line; part of its public contract."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    SOME_LANGUAGES_FAILED = 3
    BUG = 70
    INTERRUPTED = 130


class XsnsError(Exception):
    """An expected failure, with a hint.

    Args:
        message: One sentence: what was asked, what was given.
        hint: What the user can do about it; empty where nothing can be said.
    """

    exit_code: ExitCode = ExitCode.FAILURE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(XsnsError):
    """An argument that cannot mean anything: a density of 2, an unknown coefficient."""

    exit_code = ExitCode.USAGE


class LanguageError(UsageError):
    """A language code that is not one, or that is not there."""


class CorpusError(XsnsError):
    """Text that is missing, empty or unreadable."""


class ModelError(XsnsError):
    """A model or tokenizer that cannot be loaded, or that do not belong together."""


class FisherError(XsnsError):
    """A gradient that is not a number, or a batch that cannot be scored."""


class StoreError(XsnsError):
    """A store that is missing, damaged or not writable."""


class IncompatibleError(XsnsError):
    """Two things that must not be compared or mixed, with the field in which they differ."""


class PartialError(XsnsError):
    """The work is finished, but not for every language; the others are committed."""

    exit_code = ExitCode.SOME_LANGUAGES_FAILED
