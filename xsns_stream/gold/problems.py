"""Collection of the problems of a file of scores, for one message with all problems and their remedies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from xsns_stream.errors import UsageError, XsnsError


@dataclass(frozen=True)
class Remedy:
    """Options of `xsns-stream gold import` that solve the problems of a file.

    Attributes:
        options: Options to add, such as `("--rename", "Swahly=sw", "--skip-unknown")`.
        without: Options to leave out, such as `("--transpose",)`.
        by_hand: Whether some problems can be solved only by a change of the file.
        kept: Number of scores that are imported with these options; None if unknown.
    """

    options: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    by_hand: bool = False
    kept: int | None = None


class FileProblemsError(XsnsError):
    """Problems of a file of scores.

    Args:
        message: Sentences on all problems.
        hint: The remedies.
        remedy: The options that solve the problems.
    """

    def __init__(self, message: str, hint: str = "", remedy: Remedy | None = None) -> None:
        super().__init__(message, hint)
        self.remedy: Final = remedy or Remedy()


class OptionProblemsError(FileProblemsError, UsageError):
    """A file of scores that contradicts the options."""

    exit_code = UsageError.exit_code


@dataclass
class Problems:
    """The problems that were found so far.

    Attributes:
        messages: Sentences without their full stops.
        hints: The remedies.
        options: Options that solve problems.
        without: Options to omit.
        by_hand: Whether a problem can be solved only in the file.
        in_file: Whether a problem does not concern only the options.
        kept: Number of scores that are imported with these options.
    """

    messages: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    by_hand: bool = False
    in_file: bool = False
    kept: int | None = None

    def add(self, messages: Sequence[str], hints: Sequence[str], *, by_hand: bool = False) -> None:
        """Add problems of the file."""
        if messages:
            self.messages += messages
            self.hints += [hint for hint in hints if hint not in self.hints]
            self.by_hand |= by_hand
            self.in_file = True

    def add_error(self, error: XsnsError, *options: str, without: str = "") -> None:
        """Add the error of a check.

        Args:
            error: The error.
            options: Options that solve the problem; empty if it can be solved only in the file.
            without: The option to omit.
        """
        self.messages.append(error.message.removesuffix("."))
        self.hints.append(error.hint.removesuffix("."))
        self.options += options
        self.without += [without] if without else []
        self.by_hand |= not (options or without)
        self.in_file |= not isinstance(error, UsageError)

    def require_none(self) -> None:
        """Raise one error about all problems, if there are any.

        Raises:
            FileProblemsError: There are problems. It is an OptionProblemsError if all problems concern options.
        """
        if self.messages:
            kind = FileProblemsError if self.in_file else OptionProblemsError
            remedy = Remedy(tuple(self.options), tuple(self.without), self.by_hand, self.kept)
            raise kind(f"{'; '.join(self.messages)}.", f"{'; '.join(self.hints)}.", remedy)
