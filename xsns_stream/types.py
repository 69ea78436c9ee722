"""The value types that flow between the stages, in the order in which they flow.

All are frozen: a stage receives one and returns another. None imports torch, so that everything right of the
store works, and starts fast, without it. Symbols: L languages, P parameters, W = ceil(P/64) words.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xsns_kernels import popcount, unpack_bits
from xsns_stream.errors import LanguageError, StoreError, UsageError

if TYPE_CHECKING:
    import bitarray
    import pandas as pd
    import torch

Words = npt.NDArray[np.uint64]
Counts = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]

WORD_BITS = 64


def words_for(bits: int) -> int:
    """Return W, the number of 64-bit words that hold `bits` bits."""
    return -(-bits // WORD_BITS)


# --------------------------------------------------------------------------------------------- text


@dataclass(frozen=True, slots=True)
class TextExample:
    """One unit of text, before the tokenizer.

    Attributes:
        text: A string, or a tuple of words where the corpus is already split into words.
        pair: The second text of a pair (PAWS-X); None elsewhere.
    """

    text: str | tuple[str, ...]
    pair: str | None = None

    def key(self) -> str:
        """Return a string that two examples share exactly when they are the same text."""
        text = self.text if isinstance(self.text, str) else "\x1f".join(self.text)
        return text if self.pair is None else f"{text}\x1e{self.pair}"


@dataclass(frozen=True, slots=True)
class ReadCounts:
    """What became of the lines (rows, sentences) of a corpus.

    Attributes:
        read: Units met, usable or not.
        empty: Skipped because nothing but white space was in them.
        duplicate: Skipped because the same text stood before.
        undecodable: Skipped because their bytes are not UTF-8.
        usable: What was left to draw from.
    """

    read: int = 0
    empty: int = 0
    duplicate: int = 0
    undecodable: int = 0
    usable: int = 0


@dataclass(frozen=True, slots=True)
class LanguageSample:
    """Text examples of one language, in a deterministic order.

    Attributes:
        language: Normalised BCP 47 code.
        examples: At least one; no two alike.
        source: Where the text came from, for people to read.
        counts: What was skipped on the way.
    """

    language: str
    examples: tuple[TextExample, ...]
    source: str
    counts: ReadCounts = field(default_factory=ReadCounts)

    def __post_init__(self) -> None:
        if not self.examples:
            raise LanguageError(f"no usable text for language '{self.language}' in {self.source}.")

    @property
    def digest(self) -> str:
        """SHA-256 over the examples in their order (hexadecimal)."""
        digest = hashlib.sha256()
        for example in self.examples:
            digest.update(example.key().encode())
            digest.update(b"\x1d")
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.examples)

    def draw(self, count: int, seed: int) -> LanguageSample:
        """Draw `count` examples without replacement; all of them, reordered, where there are fewer.

        The draw depends on `seed` and the sample alone. A larger count extends a smaller one, so that the first
        64 of 128 examples are the 64.
        """
        if count < 1:
            raise UsageError(f"the number of examples must be at least 1, not {count}.")
        order = np.random.Generator(np.random.PCG64(seed)).permutation(len(self.examples))
        chosen = tuple(self.examples[i] for i in order[:count])
        return LanguageSample(self.language, chosen, self.source, self.counts)


# ------------------------------------------------------------------------------- parameters, Fisher


@dataclass(frozen=True, slots=True)
class LayerSpan:
    """One transformer block's place in the bit vector: bits `start` up to `stop`."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class ParameterLayout:
    """Which parameters θ are measured, and which bit is which.

    Bit i is element i of the tensors in order, each in row-major order. Two sub-networks are comparable exactly
    when their layouts' digests are equal.

    Attributes:
        names: The tensors' names in the model, block after block.
        shapes: Their shapes.
        layers: The blocks, in order; together they cover every bit.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    layers: tuple[LayerSpan, ...]

    def __post_init__(self) -> None:
        if len(self.names) != len(self.shapes) or len(set(self.names)) != len(self.names):
            raise ValueError("a layout needs one shape for each of its distinct names")

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Number of elements of each tensor."""
        return tuple(prod(shape) for shape in self.shapes)

    @cached_property
    def offsets(self) -> tuple[int, ...]:
        """First bit of each tensor."""
        return tuple(int(o) for o in np.concatenate([[0], np.cumsum(self.sizes, dtype=np.int64)[:-1]]))

    @cached_property
    def size(self) -> int:
        """P, the number of parameters."""
        return sum(self.sizes)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over names and shapes (hexadecimal)."""
        canonical = json.dumps([self.names, self.shapes], separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return what :meth:`from_json` reads."""
        return {
            "names": list(self.names),
            "shapes": [list(shape) for shape in self.shapes],
            "layers": [[layer.name, layer.start, layer.stop] for layer in self.layers],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ParameterLayout:
        """Rebuild a layout from :meth:`to_json`."""
        return cls(
            tuple(data["names"]),
            tuple(tuple(shape) for shape in data["shapes"]),
            tuple(LayerSpan(*layer) for layer in data["layers"]),
        )


@dataclass(frozen=True)
class Provenance:
    """Everything that must be known to compute a result again; written next to it.

    The fields of :meth:`experiment` decide what may be compared; the others may differ from row to row.

    Attributes:
        model: Folder name or Hub id.
        revision: Hub commit, empty for local folders.
        weights_digest: SHA-256 of the weight files.
        tokenizer_digest: SHA-256 of the tokenizer's serialisation.
        layout_digest: SHA-256 of the parameter layout.
        objective: Name and settings, as `masked-lm(rate=0.15,max_length=128)`.
        estimator: Name and settings, as `per-example(token_reduction=sum)`.
        corpus: Corpus and its settings, as `cldr(babel=2.18.0)`.
        corpus_digest: SHA-256 of the drawn examples of this row's language.
        examples: Examples used, |D|.
        examples_asked: Examples asked for.
        seed: The seed of the draw and of the masking.
        dtype: Of the model's weights while computing.
        device: Where it was computed.
        fallback: Names of parameters that went through the batch-of-one path; empty normally.
        versions: Library name → version.
    """

    model: str = ""
    revision: str = ""
    weights_digest: str = ""
    tokenizer_digest: str = ""
    layout_digest: str = ""
    objective: str = ""
    estimator: str = ""
    corpus: str = ""
    corpus_digest: str = ""
    examples: int = 0
    examples_asked: int = 0
    seed: int = 0
    dtype: str = ""
    device: str = ""
    fallback: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)

    #: Fields that all rows of one store share.
    SHARED = (
        "model",
        "weights_digest",
        "tokenizer_digest",
        "layout_digest",
        "objective",
        "estimator",
        "corpus",
        "examples_asked",
        "dtype",
    )

    def experiment(self) -> dict[str, Any]:
        """Return the fields that all rows of one store share."""
        return {name: getattr(self, name) for name in self.SHARED}

    def to_json(self) -> dict[str, Any]:
        """Return what :meth:`from_json` reads."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return data | {"fallback": list(self.fallback), "versions": dict(self.versions)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Provenance:
        """Rebuild from :meth:`to_json`; unknown keys of later versions are ignored."""
        known = {k: v for k, v in data.items() if k in cls.__dataclass_fields__}
        return cls(**(known | {"fallback": tuple(known.get("fallback", ()))}))


@dataclass(frozen=True)
class DiagonalFisher:
    """f_i = 1/|D| Σ_j (∂ log p(y_j|x_j;θ)/∂θ_i)² for every selected parameter.

    Attributes:
        values: One array for each tensor of `layout`, in its order and shape; finite, ≥ 0.
        layout: What the values belong to.
        examples: |D|, the number of examples averaged over.
        language: Normalised code; empty where the caller gave bare batches.
        provenance: How it was computed.
    """

    values: tuple[npt.NDArray[np.floating[Any]], ...]
    layout: ParameterLayout
    examples: int
    language: str = ""
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        if tuple(v.shape for v in self.values) != self.layout.shapes:
            raise ValueError("every parameter of the layout needs a value of its shape")

    def to_dict(self) -> dict[str, torch.Tensor]:
        """Return {parameter name: tensor of its shape}; the memory is shared."""
        import torch

        return {n: torch.from_numpy(v) for n, v in zip(self.layout.names, self.values, strict=True)}


# ------------------------------------------------------------------------------------- sub-networks


@dataclass(frozen=True)
class SubNetwork:
    """The parameters that matter most for one language, as bits.

    Attributes:
        language: Normalised code.
        seed: Seed of the text draw and of the masking.
        bits: uint64 [W]; parameter i is bit i % 64 of word i // 64; pad bits are zero.
        layout: Says which bit is which.
        cardinality: Number of set bits.
        threshold: Smallest selected Fisher value; `inf` where nothing is selected.
        density: The density asked for, in (0, 1].
        provenance: How it was computed.
    """

    language: str
    seed: int
    bits: Words
    layout: ParameterLayout
    cardinality: int
    threshold: float
    density: float
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        if self.bits.dtype != np.uint64 or self.bits.shape != (words_for(self.size),):
            raise ValueError(
                f"a sub-network of {self.size} parameters needs uint64 [{words_for(self.size)}], "
                f"not {self.bits.dtype} {list(self.bits.shape)}"
            )
        count = popcount(self.bits)
        if count != self.cardinality:
            raise StoreError(
                f"the sub-network of '{self.language}' has {count} bits set, its record says {self.cardinality}."
            )
        tail = self.size % WORD_BITS
        if tail and int(self.bits[-1]) >> tail:
            raise StoreError(f"the sub-network of '{self.language}' has bits set past its last parameter.")

    @property
    def size(self) -> int:
        """P, the number of parameters."""
        return self.layout.size

    @property
    def density_realised(self) -> float:
        """Selected fraction, |S| / P."""
        return self.cardinality / self.size

    def to_numpy(self) -> npt.NDArray[np.bool_]:
        """Return bool [P]."""
        return unpack_bits(self.bits, self.size)

    def to_bitarray(self) -> bitarray.bitarray:
        """Return a little-endian `bitarray` of P bits."""
        import bitarray as ba

        bits = ba.bitarray(endian="little")
        bits.frombytes(self.bits.astype("<u8", copy=False).tobytes())
        del bits[self.size :]
        return bits


@dataclass(frozen=True)
class OverlapCounts:
    """|A ∩ B| for all pairs of languages: integers, from which every coefficient follows.

    Attributes:
        languages: L codes.
        intersection: int64 [L, L], symmetric; the diagonal holds the cardinalities.
        size: P.
        seed: The seed whose sub-networks were compared.
        density: The density asked for.
    """

    languages: tuple[str, ...]
    intersection: Counts
    size: int
    seed: int = 0
    density: float = 0.0

    def __post_init__(self) -> None:
        side = len(self.languages)
        if self.intersection.shape != (side, side) or self.intersection.dtype != np.int64:
            raise ValueError("intersection must be int64 [L, L]")

    @property
    def cardinality(self) -> Counts:
        """int64 [L]: |A| of each language."""
        return np.diagonal(self.intersection)

    @property
    def union(self) -> Counts:
        """int64 [L, L]: |A ∪ B| = |A| + |B| − |A ∩ B|."""
        return self.cardinality[:, None] + self.cardinality[None, :] - self.intersection


@dataclass(frozen=True)
class SimilarityMatrix:
    """How similar each source is to each target; larger is more similar.

    Attributes:
        sources: S codes, the rows.
        targets: T codes, the columns.
        values: float64 [S, T], averaged over seeds; NaN where undefined.
        coefficient: Name of the coefficient, as `jaccard`.
        chance: float64 [S, T], what unrelated sub-networks of the same sizes would give; None where unknown.
        seeds: The seeds averaged over; empty where seeds mean nothing.
        per_seed: float64 [R, S, T], one matrix for each seed; None where seeds mean nothing.
    """

    sources: tuple[str, ...]
    targets: tuple[str, ...]
    values: Reals
    coefficient: str
    chance: Reals | None = None
    seeds: tuple[int, ...] = ()
    per_seed: Reals | None = None

    #: Distances are turned round before they become a SimilarityMatrix.
    direction = "similarity"

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.sources), len(self.targets)):
            raise ValueError(
                f"{len(self.sources)} sources and {len(self.targets)} targets do not label {self.values.shape}"
            )

    def __getitem__(self, pair: tuple[str, str]) -> float:
        source, target = pair
        return float(self.values[self._index(self.sources, source), self._index(self.targets, target)])

    @staticmethod
    def _index(labels: Sequence[str], language: str) -> int:
        try:
            return labels.index(language)
        except ValueError:
            raise LanguageError(f"no language '{language}' in the matrix.") from None

    def column(self, target: str) -> Reals:
        """Return float64 [S]: every source's similarity to `target`."""
        return self.values[:, self._index(self.targets, target)]

    @property
    def chance_corrected(self) -> Reals | None:
        """(J − E) / (1 − E), zero where similarity is what chance gives; None where chance is unknown."""
        if self.chance is None:
            return None
        with np.errstate(invalid="ignore", divide="ignore"):
            corrected: Reals = (self.values - self.chance) / (1.0 - self.chance)
        return corrected

    @property
    def spread(self) -> Reals | None:
        """float64 [S, T]: sample standard deviation over seeds; None for fewer than two."""
        if self.per_seed is None or len(self.per_seed) < 2:
            return None
        deviation: Reals = self.per_seed.std(axis=0, ddof=1)
        return deviation

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with sources as index and targets as columns."""
        import pandas as pd

        return pd.DataFrame(
            self.values,
            index=pd.Index(self.sources, name="source"),
            columns=pd.Index(self.targets, name="target"),
        )


@dataclass(frozen=True, slots=True)
class RankedSource:
    """One line of a ranking.

    Attributes:
        language: The source.
        similarity: To the target, averaged over seeds.
        chance_corrected: The same with chance taken off; None where unknown.
        spread: Standard deviation over seeds; None for fewer than two.
        tied: Whether another source has exactly the same similarity.
    """

    language: str
    similarity: float
    chance_corrected: float | None
    spread: float | None
    tied: bool = False


@dataclass(frozen=True)
class SourceRanking:
    """Sources for one target, best first; the target itself is never among them."""

    target: str
    coefficient: str
    sources: tuple[RankedSource, ...]
    seeds: tuple[int, ...] = ()

    def __iter__(self) -> Iterator[RankedSource]:
        return iter(self.sources)

    def __len__(self) -> int:
        return len(self.sources)
