"""The header of a store: what all of its rows share, and whether a folder is a store at all."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from xsns_stream.errors import IncompatibleError, StoreError
from xsns_stream.io.json import FieldError, convert, describe, format_error, parse
from xsns_stream.store import schemas
from xsns_stream.store.format import FORMAT, FORMAT_VERSION, METADATA
from xsns_stream.store.storage.open import Place
from xsns_stream.types import LayerSpan, ParameterLayout, Provenance

# What the name of a corpus says of text that is split into words.
_WORDS: Final = re.compile(r"(, )?words=(running|given)")


@dataclass(frozen=True)
class Header:
    """What all rows of a store share; written once, never changed."""

    layout: ParameterLayout
    experiment: Mapping[str, Any]

    @classmethod
    def of(cls, provenance: Provenance, layout: ParameterLayout) -> Header:
        """Return the header of a store in which such rows may stand."""
        # Through JSON, so that what is compared is what is stored.
        return cls(layout, json.loads(json.dumps(provenance.experiment())))

    def to_json(self) -> dict[str, Any]:
        """Return the attributes of the store's root group."""
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "parameters": self.layout.size,
            "layout_digest": self.layout.digest,
            "layout": self.layout.to_json(),
            "experiment": dict(self.experiment),
        }

    @classmethod
    def from_document(cls, data: bytes, kind: schemas.Kind, place: Place) -> Header:
        """Read a root group that says it is a store.

        Raises:
            StoreError: A later format version, or a damaged header.
        """
        version = kind.format_version
        if type(version) is not int or version < 1:
            raise StoreError(f"'{place}' has no valid format version ({version!r}).", "its metadata are damaged.")
        if version > FORMAT_VERSION:
            raise StoreError(
                f"'{place}' has format version {version}; this xsns-stream reads up to {FORMAT_VERSION}.",
                "upgrade xsns-stream, or build the store again with this version.",
            )
        root = parse(data, schemas.RootDocument, place.at(METADATA)).attributes
        try:
            # Fields that are known have the types that rows have.
            convert(root.experiment, Provenance, "attributes.experiment")
            header = cls(_layout_of(root), root.experiment)
        except FieldError as error:
            raise format_error(place.at(METADATA), describe(error)) from error
        if header.layout.digest != root.layout_digest:
            raise StoreError(
                f"the layout in '{place}' does not match its own digest.",
                "its zarr.json was edited or damaged; restore it.",
            )
        return header

    def require(self, other: Header, place: Place) -> None:
        """Check that rows of `other` may stand in this store.

        Raises:
            IncompatibleError: Naming each field that differs, with both values.
        """
        found = self.differences(other)
        if found:
            hint = "repeat the store's settings, or write to another path: one store is one experiment."
            if _before_words(self.experiment.get("corpus"), other.experiment.get("corpus")):
                hint = (
                    "the store was made by an older version, which did not say how it read text that is split into "
                    "words. No setting repeats it: build a new store, at another path."
                )
            raise IncompatibleError(f"the store '{place}' holds another experiment: {'; '.join(found)}.", hint)

    def differences(self, other: Header) -> list[str]:
        """Return one phrase for each field in which `other` differs."""
        found = self.experiment_differences(other.experiment)
        if self.layout.digest != other.layout.digest:
            found.append(_layout_difference(self.layout, other.layout))
        return found

    def experiment_differences(self, other: Mapping[str, Any]) -> list[str]:
        """Return one phrase for each field in which another experiment differs.

        A field that an earlier version did not know has the value by which it was computed all the same.
        """
        before = Provenance().experiment()
        found = []
        for name in dict.fromkeys([*self.experiment, *other]):
            mine, yours = (fields.get(name, before.get(name)) for fields in (self.experiment, other))
            if mine != yours:
                found.append(f"{name} is {mine!r} in the store and {yours!r} here")
        return found


def _before_words(old: object, new: object) -> bool:
    """Say whether two names of corpora differ only in that the old one does not say how words are read."""
    plain = _WORDS.sub("", str(new))
    return old != new and old in (plain, plain.removesuffix("()"))


def _layout_of(root: schemas.Root) -> ParameterLayout:
    """Return the layout of a store.

    Raises:
        FieldError: Tensors and shapes do not fit one another or P, or layers do not cover the bits one by one.
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
        told = f"{root.parameters}, but the shapes of the layout make {made.size}"
        raise FieldError(f"attributes.parameters: it is {told}")
    ends = [0, *(layer.stop for layer in made.layers)]
    for number, (layer, end) in enumerate(zip(made.layers, ends, strict=False)):
        if layer.start != end or layer.stop < layer.start:
            told = f"it spans the bits {layer.start} up to {layer.stop}, and the layer before it ends at {end}"
            raise FieldError(f"attributes.layout.layers[{number}]: {told}")
    if made.layers and ends[-1] != made.size:
        raise FieldError(f"attributes.layout.layers: they cover {ends[-1]} of {made.size} parameters")
    return made


def _layout_difference(mine: ParameterLayout, yours: ParameterLayout) -> str:
    """Say how two layouts differ: in their sizes, and in the first tensor that is not the same."""
    tensors = [list(zip(layout.names, layout.shapes, strict=True)) for layout in (mine, yours)]
    first = next((i for i, (a, b) in enumerate(zip(*tensors, strict=False)) if a != b), None)
    if first is None:
        first = min(len(mine.names), len(yours.names))
    shown = [f"{t[first][0]} {list(t[first][1])}" if first < len(t) else "nothing" for t in tensors]
    return (
        f"layout is {len(mine.names)} tensors with {mine.size} parameters in the store and "
        f"{len(yours.names)} with {yours.size} here (tensor {first}: {shown[0]} and {shown[1]})"
    )


def find_header(place: Place) -> Header | None:
    """Return the header of the store at `place`; None where there is nothing at all.

    Raises:
        StoreError: Something else lies there, or the store cannot be read.
    """
    data = place.document(METADATA)
    if data is None:
        if not place.occupied():
            return None
        # Another process may have made the store between the two looks.
        data = place.document(METADATA)
    # Not as a whole: other programs' attributes may be many, and are skipped.
    kind = None if data is None else parse(data, schemas.KindDocument, place.at(METADATA)).attributes
    if data is not None and kind is not None and kind.format == FORMAT:
        return Header.from_document(data, kind, place)
    what = "not a Zarr v3 hierarchy" if data is None else "a Zarr hierarchy of something else"
    raise StoreError(
        f"'{place}' is not a store of sub-networks: it is {what}.",
        f"check the path; a store is a folder whose {METADATA} says format '{FORMAT}'.",
    )
