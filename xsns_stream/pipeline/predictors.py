"""Loading of predictors as similarity matrices, and of gold scores as transfer scores.

Predictors may be stores, matrices, files or pandas frames; gold scores may be objects, files or pandas frames.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeGuard

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.pipeline.compare_rows import compare_rows
from xsns_stream.pipeline.events import Noted, OnReadEvent
from xsns_stream.pipeline.row_selection import (
    StoreLike,
    as_store,
    require_labels,
    select_rows,
    with_record,
)

if TYPE_CHECKING:
    import pandas as pd

    from xsns_stream.similarity.matrix_io import KnownLanguages
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import SimilarityMatrix
    from xsns_stream.types.transfer_scores import JoinedScores, TransferScores

#: A predictor: a store or its path, a similarity matrix or its file, or a pandas frame with sources as index and
#: targets as columns.
Predictor: TypeAlias = "SubNetworkStore | SimilarityMatrix | pd.DataFrame | str | os.PathLike[str]"

#: Gold scores: scores, a file of `gold import`, or a long pandas frame with columns `source`, `target`, `score`, and
#: optionally `seed` and `regime`.
Gold: TypeAlias = "TransferScores | pd.DataFrame | str | os.PathLike[str]"

#: Alias for the first regime of gold scores, whatever the name of that regime is.
MAIN_REGIME: Final = "main"


# --------------------------------------------------------------------------------------------- gold scores


def load_gold(gold: Gold, regime: str | None, on_event: OnReadEvent) -> TransferScores:
    """Return the gold scores of one training regime.

    Args:
        gold: Scores, a file of scores, or a pandas frame in long format.
        regime: Name of the regime; None or `main` means the first regime.
        on_event: Handler of the notes that reading a frame gives.

    Raises:
        UsageError: The scores do not have this regime.
        XsnsError: The file or the frame cannot be read as scores.
    """
    return regime_of(_scores(gold, on_event), regime or MAIN_REGIME)


def _scores(gold: Gold, on_event: OnReadEvent) -> TransferScores:
    """Return gold scores, which may be an object, a file or a pandas frame, as transfer scores with all regimes."""
    from xsns_stream.types.transfer_scores import TransferScores

    if isinstance(gold, TransferScores):
        return gold
    if isinstance(gold, str | os.PathLike):
        from xsns_stream.gold import read_scores

        return read_scores(os.fspath(gold))
    if not hasattr(gold, "itertuples"):
        raise UsageError(
            f"the gold scores are of the type {type(gold).__name__}.",
            "give scores, a file of scores, or a pandas frame with the columns source, target and score.",
        )
    from xsns_stream.gold import frame_scores

    imported = frame_scores(gold)
    for note in imported.notes:
        on_event(Noted(note))
    return imported.scores


def regime_of(scores: TransferScores, name: str) -> TransferScores:
    """Return the scores of one regime; `main` means the first regime, unless a regime has the name `main`.

    Raises:
        UsageError: The scores do not have this regime.
    """
    return scores.regime(scores.regimes[0] if name == MAIN_REGIME and name not in scores.regimes else name)


def load_ceiling(gold: Gold, regime: str, predicted: TransferScores, on_event: OnReadEvent) -> TransferScores:
    """Return the gold scores of another regime, which serve as a predictor of the evaluated regime.

    Args:
        gold: Gold scores that have the evaluated regime and the other regime.
        regime: Name of the other regime.
        predicted: The scores of the evaluated regime.
        on_event: Handler of the notes that reading a frame gives.

    Raises:
        UsageError: `regime` is the evaluated regime, or does not exist.
    """
    scores = _scores(gold, on_event)
    if regime == predicted.regimes[0]:
        others = [name for name in scores.regimes if name != regime]
        raise UsageError(
            f"the ceiling '{regime}' is the regime that is predicted.",
            f"name another: {', '.join(others)}." if others else "the gold scores have no other regime.",
        )
    return scores.regime(regime)


# ---------------------------------------------------------------------------------------------- predictors


def check_predictors(predictors: object) -> None:
    """Check that predictors are given as a mapping {name: predictor}.

    Raises:
        UsageError: The value is not a mapping, or a name is not a string.
    """
    if not isinstance(predictors, Mapping):
        raise UsageError(
            f"the predictors are of the type {type(predictors).__name__}.",
            'give {name: predictor}, such as {"xsns": store}.',
        )
    for name in predictors:
        if not isinstance(name, str) or not name.strip():
            raise UsageError(
                f"{name!r} is not a name of a predictor.", 'give {name: predictor}, such as {"xsns": store}.'
            )


def load_predictors(
    predictors: Mapping[str, Predictor],
    gold: TransferScores,
    *,
    coefficient: str = "jaccard",
    seeds: tuple[int, ...] = (),
    density: float | None = None,
    skip_unknown: bool = False,
    rename: Mapping[str, str] | None = None,
    as_given: bool = False,
    on_event: OnReadEvent,
) -> dict[str, SimilarityMatrix]:
    """Return the similarity matrix of every predictor.

    Files are read. For a store, overlaps are counted, but only for the language pairs of the gold scores. This function
    does not report languages that a predictor lacks, because :func:`xsns_stream.join` reports them for all predictors.

    Args:
        predictors: {name: predictor}.
        gold: Gold scores for the comparison.
        coefficient: Coefficient by which the sub-networks of stores are compared.
        seeds: Seeds to use from stores; empty for all.
        density: Density to use from stores; may be None if each store has only one density.
        skip_unknown: Whether to leave out the rows and columns of a matrix whose labels do not name a language.
        rename: {label in a matrix: language code that replaces it}.
        as_given: Whether to accept tables whose numbers look like distances.
        on_event: Handler of progress and notes.

    Raises:
        UsageError: A predictor is neither a store nor a matrix; a store has no source or no target in common with the
            gold scores; or no matrix has a label that is to be renamed.
        XsnsError: A predictor cannot be read.
    """
    from xsns_stream.similarity.matrix_io import known_languages

    matrices = {}
    labelled: list[SimilarityMatrix] = []
    for name, predictor in predictors.items():
        if is_store(predictor):
            matrices[name] = store_similarity(
                predictor, name, gold, coefficient=coefficient, seeds=seeds, density=density, on_event=on_event
            )
            continue
        matrix, description = matrix_of_predictor(predictor, name, as_given)
        labelled.append(matrix)
        known = known_languages(matrix, description, skip_unknown=skip_unknown, rename=rename)
        for note in label_notes(known, name):
            on_event(Noted(note))
        matrices[name] = known.matrix
    check_renamed(rename or {}, labelled)
    return matrices


def is_store(predictor: Predictor) -> TypeGuard[StoreLike]:
    """Return whether a predictor is a store, or the folder or URL of one."""
    from xsns_stream.store import SubNetworkStore

    if isinstance(predictor, str | os.PathLike):
        path = os.fspath(predictor)
        return "://" in path or Path(path).is_dir()
    return isinstance(predictor, SubNetworkStore)


def matrix_of_predictor(predictor: Predictor, name: str, as_given: bool = False) -> tuple[SimilarityMatrix, str]:
    """Return the matrix of a predictor, whose labels are not checked yet, and a description of it for messages."""
    import pandas as pd

    from xsns_stream.similarity.matrix_io import frame_matrix, read_matrix
    from xsns_stream.types import SimilarityMatrix

    if isinstance(predictor, str | os.PathLike):
        path = os.fspath(predictor)
        if not Path(path).exists():
            raise XsnsError(f"there is neither a store nor a file '{path}'.", "check --predict NAME=PATH.")
        return read_matrix(path, as_given=as_given), f"'{path}'"
    if isinstance(predictor, SimilarityMatrix):
        return predictor, f"'{name}'"
    if isinstance(predictor, pd.DataFrame):
        from xsns_stream.io.table_orientation import check_diagonal

        matrix = frame_matrix(predictor, coefficient=name, what=f"'{name}'")
        if not as_given:
            check_diagonal(matrix.sources, matrix.targets, matrix.values, f"'{name}'", distance=False)
        return matrix, f"'{name}'"
    raise UsageError(
        f"the predictor '{name}' is of the type {type(predictor).__name__}.",
        "give a store, a path, a SimilarityMatrix, or a pandas frame with sources as index and targets as columns.",
    )


def label_notes(known: KnownLanguages, name: str = "") -> tuple[str, ...]:
    """Return notes on labels of a matrix that were left out, that are names of languages, or that mean one language.

    Args:
        known: The labels, as they were recognised.
        name: Name of the matrix, with which the notes begin; empty for no name.
    """
    from xsns_stream.io.tables import all_listed

    prefix = f"'{name}': " if name else ""
    notes = []
    if known.left_out:
        labels = all_listed(known.left_out)
        notes.append(f"{prefix}labels that do not name exactly one language are left out: {labels}.")
    if known.by_name:
        labels = all_listed([f"{label} = {code}" for label, code in known.by_name.items()])
        notes.append(f"{prefix}languages were recognised by name: {labels}.")
    if known.shared:
        notes.append(prefix + _shared_note(known.shared, "--rename {label}={code}"))
    return tuple(notes)


def _shared_note(shared: Mapping[str, Sequence[str]], chosen_by: str) -> str:
    """Return a note on languages that have several labels.

    Args:
        shared: {language code: its labels}.
        chosen_by: Option or command that chooses one of the labels, with the fields `{label}` and `{code}`.
    """
    each = "; ".join(f"{', '.join(labels)} are {code}" for code, labels in shared.items())
    code, labels = next(iter(shared.items()))
    chosen = chosen_by.format(label=labels[0], code=code)
    return f"several labels mean one language, and are compared separately: {each}. {chosen} chooses one of them."


def check_renamed(rename: Mapping[str, str], matrices: Iterable[SimilarityMatrix]) -> None:
    """Raise an error if a label to rename is in none of the matrices.

    Raises:
        UsageError: A label to rename is in none of the matrices.
    """
    from xsns_stream.io.escaping import visible
    from xsns_stream.io.tables import listed

    labels = dict.fromkeys(label for matrix in matrices for label in (*matrix.sources, *matrix.targets))
    if missing := [label for label in rename if label not in labels]:
        raise UsageError(
            f"no matrix has the label '{visible(missing[0])}' to rename.",
            f"the labels are {listed([*labels])}." if labels else "the labels of a store cannot be renamed.",
        )


# ------------------------------------------------------------------------------------------ stores


def store_similarity(
    store: StoreLike,
    name: str,
    gold: TransferScores,
    *,
    coefficient: str = "jaccard",
    seeds: tuple[int, ...] = (),
    density: float | None = None,
    on_event: OnReadEvent,
) -> SimilarityMatrix:
    """Return the similarity matrix of a store for the sources and targets of gold scores.

    The pool of a correction is all languages of the store that have every seed, not only those of the gold scores. The
    matrix has a record of the text, the model and the settings of the rows.

    Raises:
        UsageError: The store has no source or no target in common with the gold scores.
        XsnsError: The store cannot be read.
    """
    from xsns_stream.io.tables import codes_with_several_labels
    from xsns_stream.languages import counterparts
    from xsns_stream.similarity.selection import only
    from xsns_stream.store.overlap_cache import overlap_cache

    rows = as_store(store)
    require_labels(rows, seeds, density)
    density = only("density", rows.densities) if density is None else density
    complete = _with_every_seed(rows, seeds or rows.seeds, density, name, on_event)
    if shared := codes_with_several_labels(complete):
        command = f"`xsns-stream relabel {{label}} {{code}} --store {shlex.quote(str(rows.path))}`"
        on_event(Noted(f"'{name}': {_shared_note(shared, command)}"))
    # The store may have a different code of a language, such as zh-Hans for zh; the join accepts this too.
    spelling = counterparts(tuple(dict.fromkeys((*gold.sources, *gold.targets))), complete)
    sides = {
        "source": [spelling[code] for code in gold.sources if code in spelling],
        "target": [spelling[code] for code in gold.targets if code in spelling],
    }
    for side, codes in sides.items():
        if not codes:
            raise UsageError(
                f"'{name}' and the gold scores have no {side} in common.",
                f"the store '{rows.path}' has {_listed(complete)}.",
            )
    selection = select_rows(
        rows, sources=sides["source"], targets=sides["target"], seeds=seeds, density=density, on_event=on_event
    )
    matrix = compare_rows(rows, selection, coefficient, on_event, cache=overlap_cache(rows, write=False))
    return with_record(matrix, rows, density)


def _with_every_seed(
    rows: SubNetworkStore, seeds: Sequence[int], density: float, name: str, on_event: OnReadEvent
) -> tuple[str, ...]:
    """Return the languages that have every seed; a note names languages that lack a seed."""
    by_seed = [rows.languages_at(seed, density) for seed in seeds]
    complete = tuple(code for code in rows.languages if all(code in languages for languages in by_seed))
    partial = [
        code for code in rows.languages if code not in complete and any(code in languages for languages in by_seed)
    ]
    if partial:
        on_event(Noted(f"'{name}': languages that lack a seed are left out: {', '.join(partial)}."))
    return complete


def _listed(codes: Sequence[str]) -> str:
    from xsns_stream.io.tables import listed

    return listed(codes) or "no language with every seed"


# ------------------------------------------------------------------------------------ what was compared


def comparability(joined: JoinedScores) -> dict[str, Any]:
    """Return JSON values that show whether predictors can be compared.

    The values are the record of each predictor, the differences between the records, and the pairs that were left out
    because a single predictor lacks them.
    """
    from xsns_stream.types.predictor_records import differences

    languages = tuple(dict.fromkeys((*joined.sources, *joined.targets)))
    return {
        "records": {name: None if record is None else record.to_json() for name, record in joined.records.items()},
        "differences": [difference.to_json() for difference in differences(joined.records, languages)],
        "taken_from_pool": [cost.to_json() for cost in joined.costs],
    }
