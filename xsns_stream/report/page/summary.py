"""Summary of the report page: what was measured, what the numbers mean, and warnings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fact:
    """A line of the summary: a name and a value."""

    name: str
    value: str


@dataclass(frozen=True)
class SummarySection:
    """The first section of the page.

    Attributes:
        title: Title of the page.
        facts: Facts about the measurement, such as the model and the number of examples.
        meaning: Sentences on the meaning of the numbers.
        warnings: Sentences on problems with the reliability of the numbers; empty if no problem was found.
        versions: Versions of libraries, each as `name version`.
        missing: Sentences on sections that the page does not have, and why.
    """

    title: str
    facts: tuple[Fact, ...]
    meaning: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the plain values that `report --json` prints."""
        return {
            "title": self.title,
            "facts": {fact.name: fact.value for fact in self.facts},
            "meaning": list(self.meaning),
            "warnings": list(self.warnings),
            "versions": list(self.versions),
            "missing": list(self.missing),
        }
