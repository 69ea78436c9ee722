"""What a build tells while it runs, and when it is done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from xsns_stream.errors import XsnsError


@dataclass(frozen=True, slots=True)
class Row:
    """One unit of work."""

    language: str
    seed: int


@dataclass(frozen=True, slots=True)
class RowStarted:
    """A row's turn has come; its text may have been read before."""

    row: Row


@dataclass(frozen=True, slots=True)
class ExamplesDone:
    """Some more examples of the current row are measured; the count starts anew with every pass over them."""

    row: Row
    count: int
    total: int


@dataclass(frozen=True, slots=True)
class RowCommitted:
    """A row is in the store, whatever happens next.

    Attributes:
        row: Which.
        examples: |D|, the examples it was measured on.
        cardinality: Of the last density.
        density_realised: Of the last density.
        seconds: From its turn to its commit.
        kept: Whether it was made from Fisher values that the store had kept, and nothing was measured.
        reliability: As in :class:`xsns_stream.types.Provenance`, of the first density.
    """

    row: Row
    examples: int
    cardinality: int
    density_realised: float
    seconds: float
    kept: bool = False
    reliability: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RowByOther:
    """A row that this run was asked for, and that another process has committed since the run began."""

    row: Row


@dataclass(frozen=True, slots=True)
class RowFailed:
    """A row could not be measured."""

    row: Row
    error: XsnsError


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that the user should know about a row, or about the run (no row)."""

    text: str
    row: Row | None = None


Event: TypeAlias = RowStarted | ExamplesDone | RowCommitted | RowByOther | RowFailed | Noted


@dataclass(frozen=True)
class BuildResult:
    """What a build did.

    Attributes:
        committed: Rows written by this run.
        skipped: Rows that were there before.
        failed: Row → what was wrong with it.
        reliability: Row → what is known of its repeatability, where that was asked for.
        by_others: Rows that other processes committed while this run was going on.
        notes: What the user should know of how the model was loaded, and of texts that languages share.
        texts: Row → what was recorded of its text, where this run read it.
        row_notes: What the user should know of single rows.
    """

    committed: tuple[Row, ...]
    skipped: tuple[Row, ...]
    failed: Mapping[Row, XsnsError]
    reliability: Mapping[Row, Mapping[str, Any]] = field(default_factory=dict)
    by_others: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    texts: Mapping[Row, Mapping[str, Any]] = field(default_factory=dict)
    row_notes: tuple[Noted, ...] = ()
