"""Problems of a file of scores: collected, so that one message names all of them with the options that mend them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from xsns_stream.errors import UsageError, XsnsError


@dataclass(frozen=True)
class Remedy:
    """Options of `xsns-stream gold import` that mend the problems of a file.

    Attributes:
        options: Options to add, such as `("--rename", "Swahly=sw", "--skip-unknown")`.
        without: Options to leave out, such as `("--transpose",)`.
        by_hand: Whether there are also problems that only a change of the file mends.
        kept: Number of scores that are imported with these options; None if it is not known.
    """

    options: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    by_hand: bool = False
    kept: int | None = None


class FileProblemsError(XsnsError):
    """Problems of a file of scores.

    Args:
        message: Sentences on all problems.
        hint: What mends them.
        remedy: The options that mend them.
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
        hints: What mends them.
        options: Options that mend them.
        without: Options to leave out.
        by_hand: Whether a problem is mended in the file only.
        in_file: Whether a problem is not only one of the options.
        kept: Number of scores that are left with these options.
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
            options: Options that mend it; none if it is mended in the file.
            without: The option that is to be left out to mend it.
        """
        self.messages.append(error.message.removesuffix("."))
        self.hints.append(error.hint.removesuffix("."))
        self.options += options
        self.without += [without] if without else []
        self.by_hand |= not (options or without)
        self.in_file |= not isinstance(error, UsageError)

    def require_none(self) -> None:
        """Raise one error about all problems, if there is any.

        Raises:
            FileProblemsError: There are problems; an OptionProblemsError if all are problems of the options.
        """
        if self.messages:
            kind = FileProblemsError if self.in_file else OptionProblemsError
            remedy = Remedy(tuple(self.options), tuple(self.without), self.by_hand, self.kept)
            raise kind(f"{'; '.join(self.messages)}.", f"{'; '.join(self.hints)}.", remedy)
