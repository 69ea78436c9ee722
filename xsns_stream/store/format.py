"""Names, keys, labels and header of the store format, which `docs/store-format.md` specifies."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from xsns_stream.errors import IncompatibleError, LanguageError, StoreError, UsageError
from xsns_stream.io.json import FieldError, convert, describe, format_error, parse
from xsns_stream.languages import LONGEST_LABEL, is_label, near_misses
from xsns_stream.store import schemas
from xsns_stream.store.storage import Storage
from xsns_stream.types import LayerSpan, ParameterLayout, Provenance

FORMAT: Final = "xsns-subnetworks"
FORMAT_VERSION: Final = 1
METADATA: Final = "zarr.json"
#: Groups and arrays of a store. Folds are called parts on disk.
ARRAY: Final = "subnetworks"
COMMITS: Final = "commits"
FISHER_ARRAY: Final = "fisher"
FISHER_COMMITS: Final = "fisher_commits"
FOLDS: Final = "parts"
OVERLAPS: Final = "overlaps"
#: Names of the axes of the array of rows.
DIMENSIONS: Final = ("density", "seed", "language", "word")

# Labels in documents and paths have letters, digits and hyphens only, so that every version of this program reads them.
_ON_DISK: Final = {"_": "-0x5F-", ".": "-0x2E-"}
# The part of a corpus name that describes how text is split into words.
_WORDS: Final = re.compile(r"(, )?words=(running|given)")


def group_document(attributes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the metadata document of a Zarr v3 group."""
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes or {})}


def check_language(language: str) -> str:
    """Return `language` after checking that it is a valid label of a row, which can be part of a path.

    Raises:
        LanguageError: The label is too long, or does not consist of ASCII letters and digits, between which single `-`,
            `_` or `.` may stand.
    """
    stored = on_disk(language)
    if not is_label(language) or len(stored) > LONGEST_LABEL or from_disk(stored) != language:
        raise LanguageError(
            f"'{language}' cannot name a row of a store.",
            "a label contains ASCII letters and digits, with single '-', '_' or '.' between them, such as 'sw', "
            f"'zh-Hant' or 'sw_news', and has at most {LONGEST_LABEL} characters.",
        )
    return language


def on_disk(language: str) -> str:
    """Return the label of a row as it is written in documents and paths.

    >>> on_disk("zh-Hant"), on_disk("aka_Latn")
    ('zh-Hant', 'aka-0x5F-Latn')
    """
    for character, escape in _ON_DISK.items():
        language = language.replace(character, escape)
    return language


def from_disk(text: str) -> str:
    """Return the label of a row from its form in documents and paths; this is the inverse of :func:`on_disk`."""
    for character, escape in _ON_DISK.items():
        text = text.replace(escape, character)
    return text


def suggestion(language: str, known: Sequence[str]) -> str:
    """Return a hint that names the codes in `known` that are spelled most like `language`, or else some of `known`."""
    near = near_misses(language, known)
    if near:
        return f"did you mean {' or '.join(repr(code) for code in near)}?"
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return f"the store has: {shown}." if known else "the store has no language yet."


# ------------------------------------------------------------------------------------------------ keys


@dataclass(frozen=True, order=True)
class RowKey:
    """The key of one row.

    Attributes:
        density: The requested density, in (0, 1].
        seed: An integer from 0 to 2^63 − 1.
        language: A code that can be part of a path.
    """

    density: float
    seed: int
    language: str

    @classmethod
    def checked(cls, language: str, seed: int, density: float) -> RowKey:
        """Return the key if a row with this key may be written.

        Raises:
            LanguageError: The code cannot be part of a path.
            UsageError: The seed is not an integer, or the seed or the density is out of range.
        """
        if type(seed) is bool or not hasattr(seed, "__index__"):
            raise UsageError(f"a seed must be an integer, not {seed!r}.")
        if not 0 <= seed < 2**63:
            raise UsageError(f"a seed must be between 0 and 2^63 − 1, not {seed}.")
        if not (math.isfinite(density) and 0.0 < density <= 1.0):
            raise UsageError(f"a density must be above 0 and at most 1, not {density}.")
        return cls(float(density), int(seed), check_language(language))

    @property
    def node(self) -> str:
        """The path of the commit record's group within the store.

        The density in the path is the `repr` of the float: the shortest text from which the same float is parsed.
        """
        return f"{COMMITS}/{self.density!r}/{self.seed}/{on_disk(self.language)}"

    @property
    def record(self) -> str:
        """The key of the commit record. The row is committed if an object with this key exists."""
        return f"{self.node}/{METADATA}"

    def __str__(self) -> str:
        return f"'{self.language}' (seed {self.seed}, density {self.density!r})"


@dataclass(frozen=True, order=True)
class FisherKey:
    """The key of one row of saved Fisher values, from which rows of any density can be computed."""

    seed: int
    language: str

    @classmethod
    def checked(cls, language: str, seed: int) -> FisherKey:
        """Return the key if a row with this key may be written.

        Raises:
            LanguageError, UsageError: See :meth:`RowKey.checked`.
        """
        key = RowKey.checked(language, seed, 1.0)
        return cls(key.seed, key.language)

    @property
    def density(self) -> None:
        """None, because the values do not depend on a density."""
        return

    @property
    def node(self) -> str:
        """The path of the commit record's group within the store."""
        return f"{FISHER_COMMITS}/{self.seed}/{on_disk(self.language)}"

    @property
    def record(self) -> str:
        """The key of the commit record. The Fisher values are committed if an object with this key exists."""
        return f"{self.node}/{METADATA}"

    def __str__(self) -> str:
        return f"'{self.language}' (seed {self.seed}, Fisher values)"


@dataclass(frozen=True, order=True)
class FoldKey:
    """The key of a row that leaves out one fold of the examples.

    Attributes:
        count: K, the number of folds.
        number: Index of the fold that is left out, from 1.
        row: The key of the whole row.
    """

    count: int
    number: int
    row: RowKey

    @property
    def language(self) -> str:
        """The language of the whole row."""
        return self.row.language

    @property
    def seed(self) -> int:
        """The seed of the whole row."""
        return self.row.seed

    @property
    def density(self) -> float:
        """The requested density of the whole row."""
        return self.row.density

    @property
    def node(self) -> str:
        """The path of the commit record's group within the store."""
        return f"{fold_node(self.count, self.number)}/{self.row.node}"

    def __str__(self) -> str:
        return f"{self.row} without part {self.number} of {self.count}"


def fold_node(count: int, number: int) -> str:
    """Return the path of the store that leaves out fold `number` of `count`, relative to the store that contains it."""
    return f"{FOLDS}/{count}/{number}"


# ---------------------------------------------------------------------------------------------- labels

#: The indices of a row in the array, in the order density, seed, language.
Slot = tuple[int, int, int]


@dataclass(frozen=True)
class Labels:
    """Labels of the axes of the array of rows.

    The slot of a row is its position in the array: the indices of its density, its seed and its language among the
    labels. New labels are only appended. The slots of existing rows therefore never change.
    """

    densities: tuple[float, ...] = ()
    seeds: tuple[int, ...] = ()
    languages: tuple[str, ...] = ()

    @property
    def shape(self) -> Slot:
        """The numbers of densities (D), seeds (S) and languages (L)."""
        return len(self.densities), len(self.seeds), len(self.languages)

    def slot(self, key: RowKey) -> Slot | None:
        """Return the slot of a row, as (density, seed, language) indices; None if one of its labels is missing."""
        try:
            return (
                self.densities.index(key.density),
                self.seeds.index(key.seed),
                self.languages.index(key.language),
            )
        except ValueError:
            return None

    def with_key(self, key: RowKey) -> Labels:
        """Return labels with a slot for `key`; the slots of all other rows stay the same."""
        grown = self
        if key.density not in self.densities:
            grown = replace(grown, densities=(*self.densities, key.density))
        if key.seed not in self.seeds:
            grown = replace(grown, seeds=(*self.seeds, key.seed))
        if key.language not in self.languages:
            grown = replace(grown, languages=(*self.languages, key.language))
        return grown

    def to_json(self) -> dict[str, Any]:
        """Return the labels as JSON attributes of the Zarr array of rows."""
        return {
            "densities": list(self.densities),
            "seeds": list(self.seeds),
            "languages": [on_disk(language) for language in self.languages],
        }

    @classmethod
    def from_json(cls, data: object) -> Labels:
        """Return the labels from the attributes of the array, which may be parsed or plain JSON values.

        Raises:
            FieldError: A label is missing, has the wrong type, cannot be part of a path, or occurs twice.
        """
        document = data if isinstance(data, schemas.Labels) else convert(data, schemas.Labels, "attributes")
        languages = tuple(map(from_disk, document.languages))
        check_distinct(densities=document.densities, seeds=document.seeds, languages=languages)
        return cls(tuple(document.densities), tuple(document.seeds), languages)


def check_distinct(**labels: Sequence[Any]) -> None:
    """Check that no label of an axis occurs twice.

    Args:
        **labels: {name of an axis: its labels}.

    Raises:
        FieldError: A label occurs twice.
    """
    for name, values in labels.items():
        if len(set(values)) != len(values):
            raise FieldError(f"attributes.{name}: a label occurs twice in '{name}'")


# ---------------------------------------------------------------------------------------------- header


@dataclass(frozen=True)
class Header:
    """Layout and experiment of a store, which are the same for all rows. They are written once and never change."""

    layout: ParameterLayout
    experiment: Mapping[str, Any]

    @classmethod
    def of(cls, provenance: Provenance, layout: ParameterLayout) -> Header:
        """Return the header of a store that may contain rows of this provenance and layout."""
        # The values are converted to JSON and back, so that they are equal to the stored values.
        return cls(layout, json.loads(json.dumps(provenance.experiment())))

    def to_json(self) -> dict[str, Any]:
        """Return the header as JSON attributes of the root group of the store."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "parameters": self.layout.size,
            "layout_digest": self.layout.digest,
            "layout": self.layout.to_json(),
            "experiment": dict(self.experiment),
        }

    @classmethod
    def from_document(cls, data: bytes, kind: schemas.Kind, storage: Storage) -> Header:
        """Return the header from the metadata document of the root group.

        Raises:
            StoreError: The format version is later than this program, or the header is damaged.
        """
        version = kind.format_version
        if type(version) is not int or version < 1:
            raise StoreError(
                f"'{storage}' has no valid format version ({version!r}).", "restore its metadata from a copy."
            )
        if version > FORMAT_VERSION:
            raise StoreError(
                f"'{storage}' has format version {version}; this xsns-stream reads up to {FORMAT_VERSION}.",
                "upgrade xsns-stream, or build the store again with this version.",
            )
        root = parse(data, schemas.RootDocument, storage.full_name(METADATA)).attributes
        try:
            # The fields that rows share must have the same types here.
            convert(root.experiment, Provenance, "attributes.experiment")
            header = cls(_layout_of(root), root.experiment)
        except FieldError as error:
            raise format_error(storage.full_name(METADATA), describe(error)) from error
        if header.layout.digest != root.layout_digest:
            raise StoreError(
                f"the layout in '{storage}' does not match its own digest.",
                "its zarr.json was edited or damaged; restore it.",
            )
        return header

    def require(self, other: Header, storage: Storage) -> None:
        """Check that rows with the header `other` may be written to the store that has this header.

        Args:
            other: Layout and experiment of the rows.
            storage: The storage of the store, which the error message names.

        Raises:
            IncompatibleError: The layout or the experiment differs; the message names each field that differs, with
                both values.
        """
        different = self.differences(other)
        if different:
            hint = (
                "repeat the store's settings, or write to another path: one store contains one experiment. If you omit "
                "an option, `build` uses the setting of the store."
            )
            if _lacks_words(self.experiment.get("corpus"), other.experiment.get("corpus")):
                hint = (
                    "the store was made by an older version, which did not record how it read text that is split "
                    "into words. Such a store cannot be continued: build a new store at another path."
                )
            raise IncompatibleError(f"the store '{storage}' contains another experiment: {'; '.join(different)}.", hint)

    def differences(self, other: Header, own_place: str = "in the store", other_place: str = "here") -> list[str]:
        """Return one phrase for each field of `other` that differs from this header.

        Args:
            other: The other header.
            own_place: Words after a value of this header, such as `in the store`.
            other_place: Words after a value of the other header.
        """
        different = self.experiment_differences(other.experiment, own_place, other_place)
        if self.layout.digest != other.layout.digest:
            different.append(_layout_difference(self.layout, other.layout, own_place, other_place))
        return different

    def experiment_differences(
        self, other: Mapping[str, Any], own_place: str = "in the store", other_place: str = "here"
    ) -> list[str]:
        """Return one phrase for each field of the experiment `other` that differs from the experiment of this header.

        If an earlier version of this program did not record a field, the default value of the field is assumed, because
        that version computed the experiment with this value.

        Args:
            other: The fields of the other experiment.
            own_place: Words after a value of this header, such as `in the store`.
            other_place: Words after a value of the other experiment.
        """
        defaults = Provenance().experiment()
        different = []
        for name in dict.fromkeys([*self.experiment, *other]):
            mine, yours = (fields.get(name, defaults.get(name)) for fields in (self.experiment, other))
            if mine != yours:
                different.append(f"{_SHOWN_NAMES.get(name, name)} is {mine!r} {own_place} and {yours!r} {other_place}")
        return different


#: Fields of an experiment that users know by the name of an option.
_SHOWN_NAMES: Final = {"examples_asked": "the number of examples (--examples)"}


def _lacks_words(old: object, new: object) -> bool:
    """Return whether the corpus name `old` equals `new` without the setting that says how split words are read."""
    plain = _WORDS.sub("", str(new))
    return old != new and old in (plain, plain.removesuffix("()"))


def _layout_of(root: schemas.Root) -> ParameterLayout:
    """Return the layout of a store from the attributes of its root group.

    Raises:
        FieldError: The tensors, shapes and P contradict one another, or the layers do not cover all bits in order.
    """
    layout = root.layout
    try:
        made = ParameterLayout(
            tuple(layout.names),
            tuple(map(tuple, layout.shapes)),
            tuple(LayerSpan(*layer) for layer in layout.layers),
        )
    except ValueError as error:
        raise FieldError(f"attributes.layout: {error}") from error
    if made.size != root.parameters:
        raise FieldError(f"attributes.parameters: it is {root.parameters}, but the layout has {made.size} parameters")
    ends = [0, *(layer.stop for layer in made.layers)]
    for number, (layer, end) in enumerate(zip(made.layers, ends, strict=False)):
        if layer.start != end or layer.stop < layer.start:
            span = f"it spans the bits {layer.start} up to {layer.stop}, and the layer before it ends at {end}"
            raise FieldError(f"attributes.layout.layers[{number}]: {span}")
    if made.layers and ends[-1] != made.size:
        raise FieldError(f"attributes.layout.layers: they cover {ends[-1]} of {made.size} parameters")
    return made


def _layout_difference(mine: ParameterLayout, yours: ParameterLayout, own_place: str, other_place: str) -> str:
    """Return a phrase that describes how two layouts differ: their sizes, and the first tensor that differs.

    The words `own_place` and `other_place` say in the phrase where the first and the second layout are.
    """
    tensors = [list(zip(layout.names, layout.shapes, strict=True)) for layout in (mine, yours)]
    first = next((i for i, (a, b) in enumerate(zip(*tensors, strict=False)) if a != b), None)
    if first is None:
        first = min(len(mine.names), len(yours.names))
    shown = [f"{t[first][0]} {list(t[first][1])}" if first < len(t) else "nothing" for t in tensors]
    return (
        f"layout is {len(mine.names)} tensors with {mine.size} parameters {own_place} and "
        f"{len(yours.names)} with {yours.size} {other_place} (tensor {first}: {shown[0]} and {shown[1]})"
    )


def find_header(storage: Storage) -> Header | None:
    """Return the header of the store in a storage; None if the storage is empty.

    Raises:
        StoreError: The storage contains something other than a store, or the store cannot be read.
    """
    data = storage.read_document(METADATA)
    if data is None:
        if storage.is_empty():
            return None
        # Another process may have created the store between the two calls.
        data = storage.read_document(METADATA)
    # Attributes of other programs are skipped, because they may be large.
    kind = None if data is None else parse(data, schemas.KindDocument, storage.full_name(METADATA)).attributes
    if data is not None and kind is not None and kind.format == FORMAT:
        return Header.from_document(data, kind, storage)
    what = "not a Zarr v3 hierarchy" if data is None else "a Zarr hierarchy with other content"
    raise StoreError(
        f"'{storage}' is not a store of sub-networks: it is {what}.",
        f"check the path; a store is a folder whose {METADATA} states the format '{FORMAT}'.",
    )
