"""Summary section of the report page: facts about the store or matrix, meaning of the values, and warnings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from xsns_stream.io.tables import listed
from xsns_stream.pipeline.ranking_worth import ENOUGH_EXAMPLES, nearest_jaccard, settings_statements
from xsns_stream.types.similarity_matrix import coefficient_name, coefficient_title

if TYPE_CHECKING:
    from xsns_stream.report.page import SummarySection
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import SimilarityMatrix

#: A warning names the languages of which a larger share of the tokens is not in the vocabulary.
MANY_UNKNOWN: Final = 0.1
#: Split-half is low if it is below s + _NEAR (1 − s), where s is the similarity of a language to its nearest neighbour.
_NEAR: Final = 0.1
#: Largest number of languages that a warning names.
_SHOWN: Final = 12
_CAUTION: Final = (
    "Languages with similar sub-networks often transfer well to one another, but the similarity is not a measurement "
    "of transfer."
)


def summarise(
    matrix: SimilarityMatrix,
    *,
    title: str,
    rows: SubNetworkStore | None,
    density: float | None,
    origin: str,
    notes: Sequence[str] = (),
    missing: Sequence[str] = (),
) -> SummarySection:
    """Return the summary section of a page.

    Args:
        matrix: The similarities.
        title: Title of the page; if empty, a title is made from the languages and the model or coefficient.
        rows: The store of the matrix; None for a matrix without a store.
        density: Density of the rows of the store; None for a matrix without a store.
        origin: Path of the store, or of the file of the matrix.
        notes: Notes that become further warnings.
        missing: Sentences on sections that the page does not have.
    """
    from importlib.metadata import version

    from xsns_stream.report.page import SummarySection

    meaning: tuple[str, ...]
    versions: tuple[str, ...]
    if rows is None or density is None:
        facts = _matrix_facts(matrix, origin)
        meaning = (
            f"A number is the {coefficient_name(matrix.coefficient)} similarity of a source to a target, as the file "
            "gives it.",
        )
        warnings, versions = _sentences(notes), (f"xsns-stream {version('xsns-stream')}",)
        name = f"Similarity of {_counted(matrix)}: {coefficient_name(matrix.coefficient)}"
    else:
        facts = _store_facts(matrix, rows, density)
        meaning = _meaning(matrix, rows, density)
        warnings = tuple(
            dict.fromkeys((*settings_statements(rows), *_warnings(matrix, rows, density), *_sentences(notes)))
        )
        versions = _versions(rows)
        name = f"Similarity of {_counted(matrix)} in {rows.experiment.get('model') or 'a model'}"
    return SummarySection(title or name, _facts(facts), (*meaning, _CAUTION), warnings, versions, _sentences(missing))


def _sentences(notes: Iterable[str]) -> tuple[str, ...]:
    """Return the notes with their first letters in upper case."""
    return tuple(note[:1].upper() + note[1:] for note in notes)


def _facts(facts: Iterable[tuple[str, str]]) -> tuple[Any, ...]:
    from xsns_stream.report.page import Fact

    return tuple(Fact(name, value) for name, value in facts if value)


def _counted(matrix: SimilarityMatrix) -> str:
    if matrix.sources == matrix.targets:
        return f"{len(matrix.sources)} languages"
    return f"{len(matrix.sources)} sources with {len(matrix.targets)} targets"


def _matrix_facts(matrix: SimilarityMatrix, origin: str) -> list[tuple[str, str]]:
    record = matrix.record
    return [
        ("file", origin),
        ("measure", coefficient_title(matrix.coefficient)),
        ("languages", _counted(matrix)),
        ("seeds", ", ".join(map(str, matrix.seeds))),
        ("model", "" if record is None else record.model),
        ("text", "" if record is None else record.corpus),
    ]


def _store_facts(matrix: SimilarityMatrix, rows: SubNetworkStore, density: float) -> list[tuple[str, str]]:
    from xsns_stream.types import Provenance

    shared = Provenance.from_json(rows.experiment)
    numbers = [record.provenance.examples for record in _records(matrix, rows, density)]
    examples = _range(numbers) if any(numbers) else "unknown"
    asked = f", of {shared.examples_asked:,} requested" if shared.examples_asked else ""
    parts = ", ".join(map(str, rows.fold_counts))
    return [
        ("model", shared.model),
        ("text", shared.corpus),
        ("languages", _counted(matrix)),
        ("examples", f"{examples} for each language and seed{asked}"),
        ("density", f"{density:g}" + _others(rows.densities, density)),
        ("seeds", ", ".join(map(str, matrix.seeds))),
        ("parts", f"{parts} (for intervals)" if parts else ""),
        ("measure", coefficient_title(matrix.coefficient)),
        ("parameters", f"{rows.layout.size:,} in {len(rows.layout.layers)} layers"),
        ("objective", shared.objective),
        ("estimator", shared.estimator),
        ("store", str(rows.path)),
    ]


def _range(numbers: Sequence[int]) -> str:
    low, high = min(numbers), max(numbers)
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _others(known: Sequence[float], used: float) -> str:
    others = [f"{value:g}" for value in known if value != used]
    return f" (the store also has {', '.join(others)})" if others else ""


def _records(matrix: SimilarityMatrix, rows: SubNetworkStore, density: float) -> list[Any]:
    """Return the commit records of the compared rows."""
    languages = {*matrix.sources, *matrix.targets}
    return [
        record
        for record in rows.records()
        if record.language in languages and record.seed in matrix.seeds and record.density == density
    ]


def _meaning(matrix: SimilarityMatrix, rows: SubNetworkStore, density: float) -> tuple[str, str]:
    averaged = f", averaged over {len(matrix.seeds)} seeds" if len(matrix.seeds) > 1 else ""
    chance = ""
    if matrix.chance is not None:
        own = np.equal(np.array(matrix.sources)[:, None], np.array(matrix.targets)[None, :])
        known = matrix.chance[~own & np.isfinite(matrix.chance)]
        chance = f"; two random sub-networks of these sizes have about {known.mean():.3f}" if known.size else ""
    return (
        f"The sub-network of a language is the {100 * density:.4g} % of the parameters of the model that matter most "
        "for its text, by their Fisher information.",
        f"A number is the {coefficient_name(matrix.coefficient)} coefficient of two sub-networks{averaged}{chance}.",
    )


def _warnings(matrix: SimilarityMatrix, rows: SubNetworkStore, density: float) -> Iterable[str]:
    """Yield warnings about languages with few examples, low split-half reliability, or many unknown tokens."""
    records = _records(matrix, rows, density)
    few = {r.language: r.provenance.examples for r in records if 0 < r.provenance.examples < ENOUGH_EXAMPLES}
    few = {code: number for code, number in few.items() if not _stopped(records, code)}
    if few:
        if len(few) == len({r.language for r in records}):
            whom = f"all languages ({_listed(few)}) have"
        else:
            whom = f"{len(few)} {'language' if len(few) == 1 else 'languages'} ({_listed(few)})"
            whom += " has" if len(few) == 1 else " have"
        yield (
            f"Few examples: {whom} fewer than {ENOUGH_EXAMPLES} examples. This is enough for a first test, but not for "
            "reliable results."
        )
    if unreliable := _unreliable(matrix, rows, records):
        yield (
            "Low split-half reliability: two halves of a language's own examples are at most slightly more similar "
            f"than the language and its nearest neighbour. Languages with too few examples: {_listed(unreliable)}."
        )
    unknown = {r.language: float(r.provenance.text.get("tokens_unknown", 0.0)) for r in records}
    if many := sorted((code for code, share in unknown.items() if share > MANY_UNKNOWN), key=lambda c: -unknown[c]):
        yield (
            f"Many unknown tokens: more than {MANY_UNKNOWN:.0%} of the tokens are not in the vocabulary of the model: "
            + _listed([f"{code} ({unknown[code]:.0%})" for code in many])
            + "."
        )


def _stopped(records: Sequence[Any], language: str) -> bool:
    return any(record.language == language and record.provenance.stopping for record in records)


def _unreliable(matrix: SimilarityMatrix, rows: SubNetworkStore, records: Sequence[Any]) -> list[str]:
    """Return the languages whose split-half reliability is low; see :data:`_NEAR`."""
    halves: dict[str, list[float]] = {}
    for record in records:
        if (half := rows.reliability(record).get("split_half")) is not None:
            halves.setdefault(record.language, []).append(float(half))
    found, corrected = [], nearest_jaccard(matrix)
    for column, code in enumerate(matrix.targets):
        others = [
            value
            for source, value in zip(matrix.sources, matrix.values[:, column].tolist(), strict=True)
            if source != code and np.isfinite(value)
        ]
        nearest = corrected.get(code, max(others, default=float("nan")))
        if code in halves and np.mean(halves[code]) < nearest + _NEAR * (1 - nearest):
            found.append(code)
    return found


def _listed(codes: Iterable[str]) -> str:
    return listed(list(codes), _SHOWN)


def _versions(rows: SubNetworkStore) -> tuple[str, ...]:
    """Return the library versions with which the rows were measured, and the version of xsns-stream."""
    from importlib.metadata import version

    found: dict[str, set[str]] = {}
    for record in rows.records():
        for name, number in record.provenance.versions.items():
            found.setdefault(name, set()).add(number)
    measured = [f"{name} {' and '.join(sorted(numbers))}" for name, numbers in sorted(found.items())]
    return (*measured, f"page by xsns-stream {version('xsns-stream')}")
