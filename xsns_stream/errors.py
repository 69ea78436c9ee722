"""Errors that users can act on, and exit codes of the command line.

Every expected failure is an :class:`XsnsError` with a sentence about the failure and a hint on the remedy. The command
line prints both and exits with the exit code of the error class. A traceback shows both, too. Any other exception is a
bug and is shown with its traceback.
"""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit codes of the command line, which are part of its public contract."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    SOME_LANGUAGES_FAILED = 3
    BUG = 70
    INTERRUPTED = 130
    TERMINATED = 143


class XsnsError(Exception):
    """An expected failure, with a hint.

    Args:
        message: One sentence about the failure, with the expected and the given value.
        hint: The remedy; empty if there is none.
    """

    exit_code: ExitCode = ExitCode.FAILURE

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if hint:
            self.add_note(f"hint: {hint}")


class UsageError(XsnsError):
    """An invalid argument, such as a density of 2 or an unknown coefficient."""

    exit_code = ExitCode.USAGE


class LanguageError(UsageError):
    """A language code that is invalid or missing."""


class CorpusError(XsnsError):
    """Text that is missing, empty or unreadable."""


class ModelError(XsnsError):
    """A model or a tokenizer that cannot be loaded, or a model and a tokenizer that do not belong together."""


class FisherError(XsnsError):
    """A gradient that is not a finite number, or a batch that cannot be scored."""


class StoreError(XsnsError):
    """A store that is missing, damaged or not writable."""


class IncompatibleError(XsnsError):
    """Two inputs that cannot be compared or mixed; the error names the field in which they differ."""


class PartialError(XsnsError):
    """A command that finished, but failed for some languages; the results of all other languages are complete."""

    exit_code = ExitCode.SOME_LANGUAGES_FAILED
