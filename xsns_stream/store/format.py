"""Names, labels and sizes of the format, as values. `docs/store-format.md` is the norm."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from xsns_stream.errors import LanguageError, UsageError
from xsns_stream.io.json import FieldError, convert
from xsns_stream.languages import near_misses
from xsns_stream.store import schemas
from xsns_stream.types import WORD_BITS, ParameterLayout, words_for

FORMAT = "xsns-subnetworks"
FORMAT_VERSION = 1
ARRAY = "subnetworks"
COMMITS = "commits"
DIMENSIONS = ("density", "seed", "language", "word")
METADATA = "zarr.json"

#: Inner chunk, in words, where the layers are of no help: 1 MiB.
DEFAULT_CHUNK_WORDS = 131_072

_LANGUAGE = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
_LONGEST_LANGUAGE = 64


def group_document(attributes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the metadata document of a Zarr v3 group."""
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes or {})}


def check_language(language: str) -> str:
    """Return `language` if it can be part of a path.

    Raises:
        LanguageError: It holds something else than ASCII letters, digits and single inner hyphens.
    """
    if len(language) > _LONGEST_LANGUAGE or not _LANGUAGE.fullmatch(language):
        raise LanguageError(
            f"'{language}' cannot name a row of a store.",
            "a language code holds ASCII letters, digits and hyphens only, as 'sw' or 'zh-Hant'.",
        )
    return language


def suggestion(language: str, known: Sequence[str]) -> str:
    """Return a hint that names the codes nearest to `language`."""
    near = near_misses(language, known)
    if near:
        return f"did you mean {' or '.join(repr(code) for code in near)}?"
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return f"there is: {shown}." if known else "there is no language yet."


@dataclass(frozen=True, order=True)
class RowKey:
    """Names one row.

    Attributes:
        density: The density asked for, in (0, 1].
        seed: From 0 up to 2^63 − 1.
        language: A code that can be part of a path.
    """

    density: float
    seed: int
    language: str

    @classmethod
    def checked(cls, language: str, seed: int, density: float) -> RowKey:
        """Return the key of a row that may be written.

        Raises:
            LanguageError: The code cannot be part of a path.
            UsageError: The seed or the density is out of range.
        """
        if not 0 <= seed < 2**63:
            raise UsageError(f"a seed must be in 0 … 2^63 − 1, not {seed}.")
        if not (math.isfinite(density) and 0.0 < density <= 1.0):
            raise UsageError(f"a density must be above 0 and at most 1, not {density}.")
        return cls(float(density), int(seed), check_language(language))

    @property
    def node(self) -> str:
        """Path of the commit record's node within the store; `repr` of a float is exact and shortest."""
        return f"{COMMITS}/{self.density!r}/{self.seed}/{self.language}"

    def __str__(self) -> str:
        return f"'{self.language}' (seed {self.seed}, density {self.density!r})"


Slot = tuple[int, int, int]


@dataclass(frozen=True)
class Labels:
    """Which slot of the array is which row. Labels are only ever appended, so that no row moves."""

    densities: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    languages: tuple[str, ...] = ()

    @property
    def shape(self) -> Slot:
        """D, S and L."""
        return len(self.densities), len(self.seeds), len(self.languages)

    def slot(self, key: RowKey) -> Slot | None:
        """Return the row's place in the array; None where it has none."""
        try:
            return (
                self.densities.index(key.density),
                self.seeds.index(key.seed),
                self.languages.index(key.language),
            )
        except ValueError:
            return None

    def with_key(self, key: RowKey) -> Labels:
        """Return labels in which `key` has a slot, and every other row the one it had."""
        grown = self
        if key.density not in self.densities:
            grown = replace(grown, densities=(*self.densities, key.density))
        if key.seed not in self.seeds:
            grown = replace(grown, seeds=(*self.seeds, key.seed))
        if key.language not in self.languages:
            grown = replace(grown, languages=(*self.languages, key.language))
        return grown

    def to_json(self) -> dict[str, Any]:
        """Return the attributes of the array."""
        return {
            "densities": list(self.densities),
            "seeds": list(self.seeds),
            "languages": list(self.languages),
        }

    @classmethod
    def from_json(cls, data: object) -> Labels:
        """Read the attributes of the array, parsed or checked already.

        Raises:
            FieldError: A label is missing, of the wrong type, unsafe or there twice.
        """
        found = data if isinstance(data, schemas.Labels) else convert(data, schemas.Labels, "attributes")
        labels = cls(tuple(found.densities), tuple(found.seeds), tuple(found.languages))
        for name, values in vars(labels).items():
            if len(set(values)) != len(values):
                raise FieldError(f"attributes.{name}: a label stands twice in '{name}'")
        return labels


def inner_chunk_words(layout: ParameterLayout) -> int:
    """Return the words of an inner chunk: a layer's where layers are equal and fill whole words.

    Otherwise 1 MiB of them, or the whole row where that is less: no chunk could hold exactly one layer.
    """
    spans = {layer.stop - layer.start for layer in layout.layers}
    bits = spans.pop() if len(spans) == 1 else 0
    if bits and bits % WORD_BITS == 0 and bits * len(layout.layers) == layout.size:
        return bits // WORD_BITS
    return max(1, min(words_for(layout.size), DEFAULT_CHUNK_WORDS))
