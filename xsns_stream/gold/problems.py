"""Errors about files of scores, and a collection of problems that are reported together in one message."""

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
        by_hand: Whether the user has to edit the file, because options cannot solve all problems.
        kept: Number of scores that would be imported with these options; None if unknown.
    """

    options: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    by_hand: bool = False
    kept: int | None = None


class FileProblemsError(XsnsError):
    """Error about one or more problems of a file of scores.

    Args:
        message: Sentences on all problems.
        hint: The remedies.
        remedy: The options that solve the problems.
    """

    def __init__(self, message: str, hint: str = "", remedy: Remedy | None = None) -> None:
        super().__init__(message, hint)
        self.remedy: Final = remedy or Remedy()


class OptionProblemsError(FileProblemsError, UsageError):
    """Error about options that contradict the file of scores."""

    exit_code = UsageError.exit_code


@dataclass
class Problems:
    """The problems that were found so far in a file of scores, and their remedies.

    Attributes:
        messages: Sentences on the problems, without their full stops.
        hints: Sentences on the remedies, without their full stops.
        options: Options to add, which solve problems.
        without: Options to leave out.
        by_hand: Whether the user has to edit the file, because options cannot solve all problems.
        in_file: Whether some problems concern the file itself, not only the options.
        kept: Number of scores that would be imported with these options; None if unknown.
    """

    messages: list[str] = field(default_factory=list)
    hints: list[str] = field(default_factory=list)
    options: list[str] = field(default_factory=list)
    without: list[str] = field(default_factory=list)
    by_hand: bool = False
    in_file: bool = False
    kept: int | None = None

    def add(self, messages: Sequence[str], hints: Sequence[str], *, by_hand: bool = False) -> None:
        """Add problems of the file, and hints on their remedies.

        Args:
            messages: Sentences without their full stops; if there are none, nothing is added.
            hints: Remedies, without full stops.
            by_hand: Whether the user has to edit the file to solve the problems.
        """
        if messages:
            self.messages += messages
            self.hints += [hint for hint in hints if hint not in self.hints]
            self.by_hand |= by_hand
            self.in_file = True

    def add_error(self, error: XsnsError, *options: str, without: str = "") -> None:
        """Add an error that a check raised.

        Args:
            error: The error.
            options: Options to add, which solve the problem.
            without: The option to leave out, which solves the problem. If both are empty, the user has to edit the
                file.
        """
        self.messages.append(error.message.removesuffix("."))
        self.hints.append(error.hint.removesuffix("."))
        self.options += options
        self.without += [without] if without else []
        self.by_hand |= not (options or without)
        self.in_file |= not isinstance(error, UsageError)

    def require_none(self) -> None:
        """Raise one error about all problems; do nothing if there are none.

        Raises:
            FileProblemsError: There are problems. The error is an OptionProblemsError if all of them concern options.
        """
        if self.messages:
            kind = FileProblemsError if self.in_file else OptionProblemsError
            remedy = Remedy(tuple(self.options), tuple(self.without), self.by_hand, self.kept)
            raise kind(f"{'; '.join(self.messages)}.", f"{'; '.join(self.hints)}.", remedy)
