"""Computation of baselines from a text and a model, which the user names or which a store records."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

from xsns_stream.corpora import Corpus, open_corpus, reading_notes
from xsns_stream.corpora.embedded import DEFAULT_CORPUS
from xsns_stream.errors import LanguageError, PartialError, UsageError, XsnsError
from xsns_stream.languages import counterparts
from xsns_stream.pipeline.arguments import flag, whole_number
from xsns_stream.pipeline.baseline_model import MODEL_OPTIONS, PARAMETER_OPTIONS, load_for_baselines, model_modes
from xsns_stream.pipeline.baseline_run import Elsewhere, model_baselines
from xsns_stream.pipeline.cluster_clients import Workers
from xsns_stream.pipeline.events import BaselineEvent, Row, RowFailed, reasons_of
from xsns_stream.pipeline.model_baselines import needs_tokenizer
from xsns_stream.pipeline.requested_languages import RequestedLanguages, require_choice
from xsns_stream.pipeline.row_selection import as_seeds
from xsns_stream.pipeline.store_settings import TEXT_OPTIONS
from xsns_stream.pipeline.stored_text import (
    StoredText,
    check_model,
    check_text,
    objective_of,
    options_of_store,
    stored_text,
)
from xsns_stream.types import SimilarityMatrix

#: Default folder for the logs of languages that failed; used if there is no output file.
DEFAULT_LOGS: Final = Path("baselines.logs")
#: Function that takes a number of rows and returns a context manager, which yields a handler that displays events.
Display: TypeAlias = Callable[[int], AbstractContextManager[Callable[[BaselineEvent], None]]]
#: Function that returns a context manager, which shows a line of text while its block runs.
Status: TypeAlias = Callable[[str], AbstractContextManager[Any]]

#: Fields of :class:`~xsns_stream.pipeline.model_baselines.BaselineSettings` that are options.
_SETTINGS: Final = (
    *("examples", "seeds", "batch", "max_length", "layer", "centre", "neighbour_layer", "neighbours", "max_tokens"),
    *("states", "merges", "token_reduction", "scratch"),
)
_OPTIONS: Final = (*TEXT_OPTIONS, "corpus_revision", *MODEL_OPTIONS, *PARAMETER_OPTIONS, *_SETTINGS)
#: Conversions of options to built-in Python types.
_CONVERSIONS: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    **dict.fromkeys(("examples", "batch", "max_length", "neighbours", "merges"), whole_number),
    "seeds": lambda seeds, name: as_seeds(seeds),
    "centre": flag,
}


@dataclass(frozen=True)
class TextBaselines:
    """Baselines that were computed from text.

    Attributes:
        matrices: {name of the baseline: matrix}; the labels are the requested codes of the languages.
        notes: Sentences on the model, on the text, and on languages that have other codes in the corpus.
        failed: {row: error} of the rows that could not be computed.
        rows: Number of all rows, that is, pairs of a language and a seed.
        corpus: The corpus.
    """

    matrices: Mapping[str, SimilarityMatrix]
    notes: tuple[str, ...]
    failed: Mapping[Row, XsnsError]
    rows: int
    corpus: Corpus


def text_baselines(
    names: Sequence[str],
    requested: RequestedLanguages,
    texts: Any = DEFAULT_CORPUS,
    *,
    model: Any = "mini",
    tokenizer: Any = None,
    store: str | None = None,
    given: frozenset[str] = frozenset(),
    display: Display | None = None,
    status: Status = nullcontext,
    workers: Workers | None = None,
    logs: Path = DEFAULT_LOGS,
    **options: Any,
) -> TextBaselines:
    """Compute baselines in one pass over the text.

    Args:
        names: Names of baselines from text.
        requested: The requested languages; languages that the corpus lacks are left out.
        texts: See :func:`xsns_stream.build`.
        model: See :func:`xsns_stream.build`.
        tokenizer: See :func:`xsns_stream.build`.
        store: Store whose text, model, examples and seeds are used; None to use the arguments.
        given: Names of the arguments that the user gave. If there is a store, it determines the other arguments.
        display: Function that takes the number of rows, and returns a context manager, which yields a handler that
            displays events; None to display nothing.
        status: Function that returns a context manager, which shows a line while text is compared and the model is
            loaded.
        workers: The workers that compute the rows; None to compute them in this process.
        logs: Folder for the logs of languages that failed on workers.
        **options: See :func:`xsns_stream.baseline`.

    Raises:
        UsageError: An option is unknown, or differs from the store.
        XsnsError: The text or the model cannot be read, or fewer than two languages can be compared.
    """
    if unknown := next((name for name in options if name not in _OPTIONS), None):
        raise UsageError(f"baselines from text have no option '{unknown}'.", f"choose one of {', '.join(_OPTIONS)}.")
    options = {
        name: _CONVERSIONS[name](value, name) if name in _CONVERSIONS else value for name, value in options.items()
    }
    model = os.fspath(model) if isinstance(model, os.PathLike) else model
    options |= {"texts": texts, "model": model, "tokenizer": tokenizer}
    stored = None
    if store is not None:
        stored = stored_text(store)
        options |= options_of_store(stored, options, given, names)
    elsewhere = None if workers is None else _on_cluster(names, options, workers, logs)
    corpus = open_corpus(
        options["texts"],
        revision=options.get("corpus_revision"),
        labels=None if stored is None else stored.labels,
        **{name: options[name] for name in TEXT_OPTIONS if name in options},
    )
    chosen = _languages(requested, corpus.languages(), corpus.name, stored)
    settings = {name: options[name] for name in _SETTINGS if name in options}
    notes: list[str] = []
    if stored is not None:
        with status("comparing the text with the store's …"):
            notes = check_text(stored, corpus, chosen, settings["examples"], settings["seeds"])
    with status("loading the model …"):
        loaded, more = load_for_baselines(names, options)
        if stored is not None:
            check_model(stored, loaded, names)
            if "grad-cosine" in names:
                more |= {"objective": objective_of(stored)}
    failed: dict[Row, XsnsError] = {}
    rows = len(chosen) * len(set(settings.get("seeds", (None,))))
    with display(rows) if display else nullcontext(lambda event: None) as draw:

        def notify(event: BaselineEvent) -> None:
            if isinstance(event, RowFailed):
                failed[event.row] = event.error
            draw(event)

        with model_modes(loaded):
            matrices = model_baselines(
                names,
                corpus,
                loaded,
                tuple(chosen),
                sources=_side(requested.sources, chosen),
                targets=_side(requested.targets, chosen),
                on_event=notify,
                elsewhere=elsewhere,
                **(settings | more),
            )
    spelling = [f"'{code}' has the label '{other}' in the corpus." for other, code in chosen.items() if other != code]
    return TextBaselines(
        {name: _renamed(matrix, chosen) for name, matrix in matrices.items()},
        (*(() if loaded is None else loaded.notes), *notes, *reading_notes(corpus), *spelling),
        failed,
        rows,
        corpus,
    )


def _on_cluster(names: Sequence[str], options: Mapping[str, Any], workers: Workers, logs: Path) -> Elsewhere:
    """Return the function that :func:`model_baselines` calls to compute baselines on workers.

    Raises:
        UsageError: The model is in memory.
    """
    from xsns_stream.pipeline.cluster_baselines import baselines_on_cluster
    from xsns_stream.pipeline.cluster_items import refuse_loaded_model

    if needs_tokenizer(names):
        refuse_loaded_model(options["model"])
    known = ("model", "max_length", *MODEL_OPTIONS, *PARAMETER_OPTIONS)
    of_model = {name: options[name] for name in known if name in options}
    return partial(baselines_on_cluster, model_options=of_model, workers=workers, logs=logs)


def refuse_failures(computed: TextBaselines) -> None:
    """Raise an error if baselines lack some languages.

    Raises:
        PartialError: Some languages failed.
    """
    if not computed.failed:
        return
    names = ", ".join(dict.fromkeys(row.language for row in computed.failed))
    raise PartialError(
        f"{len(computed.failed)} of {computed.rows:,} {'row' if computed.rows == 1 else 'rows'} failed: {names}.",
        f"the other rows are done. {reasons_of(computed.failed)}",
    )


def _languages(
    requested: RequestedLanguages, known: Sequence[str], corpus: str, stored: StoredText | None
) -> dict[str, str]:
    """Return {code in the corpus: requested code}, without the languages that the corpus lacks.

    Args:
        requested: The requested languages.
        known: Codes of the languages of the corpus.
        corpus: Name of the corpus, for messages.
        stored: Description of a store, or None. If several codes of the corpus match a language, codes of the store are
            preferred: if the store has `en-GB`, `en` means `en-GB` and not `en-US`. The text of a relabelled row is
            found by its former label.

    Raises:
        LanguageError: The corpus has fewer than two of the languages.
    """
    require_choice(requested, len(known), f"the corpus {corpus}")
    sources, targets = (known if side is None else side for side in (requested.sources, requested.targets))
    wanted = tuple(dict.fromkeys((*sources, *targets)))
    matches = {code: code for code in wanted if code in known}
    for code, former in {} if stored is None else stored.former.items():
        label = next((each for each in former if each in known and each not in matches.values()), None)
        if label is not None and code in wanted and code not in matches:
            matches[code] = label
    preferred = () if stored is None else stored.languages
    for candidates in ([code for code in known if code in preferred], known):
        free = [code for code in candidates if code not in matches.values()]
        matches |= counterparts([code for code in wanted if code not in matches], free)
    if len(matches) < 2:
        have = ", ".join(matches) or "none"
        raise LanguageError(
            f"the corpus {corpus} has {have} of the languages requested.",
            f"two are needed; `xsns-stream info --corpus {corpus}` lists what it has.",
        )
    return {matches[code]: code for code in wanted if code in matches}


def _side(wanted: Sequence[str] | None, chosen: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the codes in the corpus of the requested sources (or targets), in their order; None for all."""
    if wanted is None:
        return None
    in_corpus = {code: other for other, code in chosen.items()}
    return tuple(in_corpus[code] for code in wanted if code in in_corpus)


def _renamed(matrix: SimilarityMatrix, chosen: Mapping[str, str]) -> SimilarityMatrix:
    """Replace the codes of the corpus in a matrix by the requested codes of the languages."""
    return replace(
        matrix,
        sources=tuple(chosen[code] for code in matrix.sources),
        targets=tuple(chosen[code] for code in matrix.targets),
        record=None if matrix.record is None else matrix.record.renamed(chosen),
    )
