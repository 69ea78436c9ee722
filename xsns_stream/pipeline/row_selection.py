"""Selection of the rows of a store from arguments of public functions, and records of the selected rows."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from xsns_stream.errors import LanguageError, UsageError
from xsns_stream.pipeline.arguments import real_number, several, whole_number
from xsns_stream.pipeline.events import Noted, OnReadEvent

if TYPE_CHECKING:
    from xsns_stream.similarity import Selection
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import SimilarityMatrix
    from xsns_stream.types.predictor_records import PredictorRecord

#: A store, or the folder or URL of one.
StoreLike: TypeAlias = "SubNetworkStore | str | os.PathLike[str]"

#: Language codes: a sequence, or one string with commas between the codes. `all` means every language.
Codes: TypeAlias = "str | Sequence[str]"

#: One seed, or a sequence of seeds.
Seeds: TypeAlias = "int | Sequence[int]"


def as_store(store: StoreLike) -> SubNetworkStore:
    """Return `store` if it is an open store; otherwise open the store at this path or URL for reading.

    Raises:
        UsageError: The value is neither a store nor a path.
        StoreError: There is no store at the path, or it cannot be read.
    """
    from xsns_stream.store import SubNetworkStore, open_store

    if isinstance(store, SubNetworkStore):
        return store
    require_path(store, "the store")
    return open_store(os.fspath(store))


def require_path(value: object, name: str) -> None:
    """Check that a value is a path or URL.

    Args:
        value: The value that the caller gave.
        name: Name of the value, for the message.

    Raises:
        UsageError: The value is neither a string nor a path object.
    """
    if not isinstance(value, str | os.PathLike):
        raise UsageError(
            f"{name} is of the type {type(value).__name__}.", "give a path or URL, or an open SubNetworkStore."
        )


def as_codes(codes: Codes | None) -> tuple[str, ...]:
    """Return language codes as a tuple; empty if none are given."""
    from xsns_stream.languages import require_string

    chosen = () if codes is None else tuple(several(codes, "languages"))
    for code in chosen:
        require_string(code)
    return chosen


def as_seeds(seeds: Seeds | None) -> tuple[int, ...]:
    """Return seeds as a tuple without duplicates; empty if none are given.

    Raises:
        UsageError: A seed is not an integer.
    """
    return (
        () if seeds is None else tuple(dict.fromkeys(whole_number(seed, "seeds") for seed in several(seeds, "seeds")))
    )


def as_density(density: float | None) -> float | None:
    """Return a density as a Python float; None if none is given.

    Raises:
        UsageError: The density is not a number.
    """
    return None if density is None else real_number(density, "density")


def noting(on_event: Callable[[Noted], None]) -> Callable[[str], None]:
    """Return a function that takes a sentence and sends it to `on_event` as a note."""
    return lambda sentence: on_event(Noted(sentence))


def select_languages(
    codes: Codes | None, store: SubNetworkStore, note: Callable[[str], None]
) -> tuple[str, ...] | None:
    """Return the labels of the languages that `codes` choose; None if `codes` is empty or contains `all`.

    Args:
        codes: Labels in the store. Another code or the name of a language is accepted too, if the language has only one
            label in the store.
        store: The store.
        note: Called with a sentence for each language whose label in the store is not the given code.

    Raises:
        LanguageError: A language is not in the store. The hint suggests similar codes.
    """
    from xsns_stream.languages import select

    asked = as_codes(codes)
    if not asked:
        return None
    selected = select(asked, store.languages, f"the store '{store.path}'", note)
    return None if "all" in {word.strip() for code in asked for word in code.split(",")} else selected


def select_rows(
    store: SubNetworkStore,
    *,
    languages: Sequence[str] | None = None,
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    seeds: tuple[int, ...] = (),
    density: float | None = None,
    required: str | None = None,
    on_event: OnReadEvent,
) -> Selection:
    """Select the rows of a store for a comparison.

    Notes name the languages that are left out because they lack a seed, and the selected languages that have the same
    text or few examples.

    Args:
        store: The store.
        languages: Languages to compare with one another; by default all languages that have every seed.
        sources: Sources to compare with the targets, instead of `languages`.
        targets: Targets; by default all languages that have every seed.
        seeds: Seeds; all seeds of the store if empty.
        density: Density; may be None if the store has only one.
        required: A language that must have every seed; None for no such language.
        on_event: Handler of notes.

    Raises:
        UsageError: The store does not have the seed or the density.
        LanguageError: A named or required language lacks a seed.
    """
    from xsns_stream.similarity import select
    from xsns_stream.store.text_notes import note_on_few_examples, note_on_same_texts, same_texts

    require_labels(store, seeds, density)
    incomplete: dict[str, str] = {}

    def leave_out(language: str, missing: tuple[int, ...]) -> None:
        incomplete[language] = f"{'seed' if len(missing) == 1 else 'seeds'} {', '.join(map(str, missing))}"
        if language == required:
            raise LanguageError(
                f"'{language}' has no sub-network for {incomplete[language]}.",
                "build it, or choose seeds that it has with --seed.",
            )

    selection = select(
        store,
        languages=languages,
        sources=sources,
        targets=targets,
        seeds=list(seeds) or None,
        density=density,
        on_incomplete=leave_out,
    )
    left_out = ", ".join(f"{language} ({missing})" for language, missing in incomplete.items())
    for note in (
        f"languages that lack a sub-network are left out: {left_out}." if left_out else "",
        note_on_same_texts(same_texts(store, selection.languages, selection.seeds)),
        note_on_few_examples(store, selection.languages, selection.seeds),
    ):
        if note:
            on_event(Noted(note))
    return selection


def require_labels(store: SubNetworkStore, seeds: Sequence[int], density: float | None) -> None:
    """Check that a store has at least one row for each seed, and, if a density is given, one row for the density.

    Raises:
        UsageError: The store has no row for a seed or for the density.
    """
    for name, value, known in (
        *(("seed", seed, store.seeds) for seed in seeds),
        *([("density", density, store.densities)] if density is not None else []),
    ):
        if value not in known:
            raise UsageError(
                f"the store '{store.path}' has no {name} {value}.",
                f"it has {', '.join(map(str, known))}." if known else "it contains no sub-network yet.",
            )


# ------------------------------------------------------------------------------- records of predictors


def record_of_store(
    rows: SubNetworkStore, languages: Sequence[str], seeds: Sequence[int], density: float, coefficient: str
) -> PredictorRecord:
    """Return a record of the text, the model and the settings with which some rows of a store were measured.

    Args:
        rows: The store.
        languages: Languages of the rows.
        seeds: Seeds of the rows.
        density: Density of the rows.
        coefficient: Coefficient of the comparison.
    """
    from xsns_stream.types import Provenance
    from xsns_stream.types.predictor_records import DrawnText, PredictorRecord

    wanted = {(language, seed, density) for language in languages for seed in seeds}
    texts: dict[str, dict[int, DrawnText]] = {}
    for record in rows.records():
        if (record.language, record.seed, record.density) in wanted:
            provenance = record.provenance
            text = DrawnText(record.language, provenance.corpus_digest, provenance.examples)
            texts.setdefault(record.language, {})[record.seed] = text
    shared = Provenance.from_json(rows.experiment)
    return PredictorRecord(
        coefficient,
        model=shared.model,
        weights_digest=shared.weights_digest,
        tokenizer_digest=shared.tokenizer_digest,
        corpus=shared.corpus,
        examples_asked=shared.examples_asked,
        seeds=tuple(seeds),
        objective=shared.objective,
        max_length=max_length_of(shared.objective),
        texts=texts,
        settings={"estimator": shared.estimator, "stopping": shared.stopping, "density": density},
    )


def with_record(matrix: SimilarityMatrix, rows: SubNetworkStore, density: float) -> SimilarityMatrix:
    """Add a record of the text, the model and the settings of the compared rows to a similarity matrix."""
    languages = tuple(dict.fromkeys((*matrix.sources, *matrix.targets)))
    record = record_of_store(rows, languages, matrix.seeds, density, matrix.coefficient)
    if matrix.pool is not None:
        # The number of languages that the values of a correction depend on.
        record = replace(record, settings={**record.settings, "pool": len(matrix.pool.languages)})
    return replace(matrix, record=record)


def max_length_of(objective: str) -> int:
    """Return `max_length` of a recorded objective such as `masked-lm(rate=0.15,max_length=128)`; 0 if it has none."""
    match = re.search(r"max_length=(\d{1,9})\b", objective)
    return int(match[1]) if match else 0
