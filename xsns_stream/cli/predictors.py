"""The options `--gold` and `--predict`, and how both are opened."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.output import Decorated, lasting, note
from xsns_stream.errors import UsageError, XsnsError

if TYPE_CHECKING:
    from xsns_stream.similarity.matrix_io import KnownLanguages
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import SimilarityMatrix
    from xsns_stream.types.predictor_records import PredictorRecord
    from xsns_stream.types.transfer_scores import JoinedScores, TransferScores


def record_of_store(
    rows: SubNetworkStore, languages: Sequence[str], seeds: Sequence[int], density: float, coefficient: str
) -> PredictorRecord:
    """Return what the sub-networks of some languages were made of.

    Args:
        rows: The store.
        languages: Codes of its rows.
        seeds: Seeds of its rows.
        density: Density of its rows.
        coefficient: What is computed from them.
    """
    from xsns_stream.types import Provenance
    from xsns_stream.types.predictor_records import DrawnText, PredictorRecord

    wanted = {(language, seed, density) for language in languages for seed in seeds}
    texts: dict[str, dict[int, DrawnText]] = {}
    for record in rows.records():
        if (record.language, record.seed, record.density) in wanted:
            made = record.provenance
            drawn = DrawnText(record.language, made.corpus_digest, made.examples)
            texts.setdefault(record.language, {})[record.seed] = drawn
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
        max_length=longest_of(shared.objective),
        texts=texts,
        settings={"estimator": shared.estimator, "stopping": shared.stopping, "density": density},
    )


def with_record(matrix: SimilarityMatrix, rows: SubNetworkStore, density: float) -> SimilarityMatrix:
    """Return the similarities of a store's rows with the record of what these were made of."""
    both = tuple(dict.fromkeys((*matrix.sources, *matrix.targets)))
    return replace(matrix, record=record_of_store(rows, both, matrix.seeds, density, matrix.coefficient))


def longest_of(objective: str) -> int:
    """Return `max_length` of an objective as it is recorded, `masked-lm(rate=0.15,max_length=128)`; 0 for none."""
    found = re.search(r"max_length=(\d{1,9})\b", objective)
    return int(found[1]) if found else 0


#: What `--regime` says where nothing was chosen: the first regime, whatever it is called.
MAIN_REGIME: Final = "main"


@dataclass(frozen=True)
class NamedPath:
    """A predictor on the command line.

    Attributes:
        name: As the tables call it.
        path: A store, or a file with a matrix.
    """

    name: str
    path: str


def _parse(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[NamedPath, ...]:
    """Split NAME=PATH; a bare path takes its stem as name."""
    found: dict[str, NamedPath] = {}
    for value in values:
        name, equals, path = value.partition("=")
        # A bare path may hold `=`, in a folder's name.
        if not equals or "/" in name:
            path, name = value, Path(value.rstrip("/")).stem
        name, path = name.strip(), path.strip()
        if not name or not path:
            raise UsageError(f"'--predict {value}' has no {'path' if name else 'name'}.", "write --predict NAME=PATH.")
        if name in found:
            raise UsageError(
                f"two predictors are called '{name}': '{found[name].path}' and '{path}'.",
                "name each: --predict first=PATH --predict second=PATH.",
            )
        lasting(ctx, parameter, path)
        found[name] = NamedPath(name, path)
    return tuple(found.values())


def predict_option(function: Decorated) -> Decorated:
    """Add `--predict`; the verb receives `predict`, a tuple of :class:`NamedPath`."""
    return click.option(
        "--predict",
        multiple=True,
        metavar="NAME=PATH",
        callback=_parse,
        help="A predictor: a store of sub-networks, or a file with a matrix (.parquet .csv .tsv .json .npz). A path "
        "alone is called by its stem. Repeatable.",
    )(function)


def skip_unknown_option(function: Decorated) -> Decorated:
    """Add `--skip-unknown`."""
    return click.option(
        "--skip-unknown",
        is_flag=True,
        help="Leave out rows and columns of a matrix whose labels stand for no language, or several for one; by "
        "default such a matrix is refused.",
    )(function)


def as_given_option(function: Decorated) -> Decorated:
    """Add `--as-given`."""
    return click.option(
        "--as-given",
        is_flag=True,
        help="Take the numbers of a table as they are, although they look like distances where similarities are "
        "expected, or the reverse: by the numbers of each language with itself.",
    )(function)


def rename_option(function: Decorated) -> Decorated:
    """Add `--rename`; the verb receives `rename`, a dictionary."""
    return click.option(
        "--rename",
        multiple=True,
        metavar="OLD=NEW",
        callback=lambda ctx, parameter, values: renamed(values),
        help="The code that a label of a matrix stands for, as Swahili=sw; or max=max, where a language is meant and "
        "no summary. Repeatable.",
    )(function)


def renamed(pairs: Sequence[str]) -> dict[str, str]:
    """Return {label: code} of what `--rename` gave.

    Raises:
        UsageError: Something is not OLD=NEW, or a label stands twice.
    """
    found: dict[str, str] = {}
    for pair in pairs:
        old, equals, new = pair.partition("=")
        if not equals or not old.strip() or not new.strip():
            raise UsageError(f"'--rename {pair}' says nothing.", "write --rename OLD=NEW, as Swahili=sw.")
        if old.strip() in found:
            raise UsageError(f"'{old.strip()}' is renamed twice.", "give one --rename for each label.")
        found[old.strip()] = new.strip()
    return found


def check_renamed(rename: Mapping[str, str], matrices: Iterable[SimilarityMatrix]) -> None:
    """Refuse to rename a label that none of these matrices, as they were read, has.

    Raises:
        UsageError: There is one.
    """
    from xsns_stream.io.escaping import visible
    from xsns_stream.io.tables import listed

    there = dict.fromkeys(label for matrix in matrices for label in (*matrix.sources, *matrix.targets))
    if lost := [label for label in rename if label not in there]:
        raise UsageError(f"no matrix has the label '{visible(lost[0])}' to rename.", f"they have {listed([*there])}.")


def label_notes(known: KnownLanguages, of: str = "") -> tuple[str, ...]:
    """Return sentences on the labels of a matrix that were left out, or recognised by name."""
    from xsns_stream.io.tables import all_listed

    begins = f"'{of}': " if of else ""
    notes = []
    if known.left_out:
        lost = all_listed(known.left_out)
        notes.append(f"{begins}left out, because no language, or several labels for one, is meant: {lost}.")
    if known.by_name:
        named = all_listed([f"{label} = {code}" for label, code in known.by_name.items()])
        notes.append(f"{begins}recognised by name: {named}.")
    return tuple(notes)


def gold_options(function: Decorated) -> Decorated:
    """Add `--gold`, `--regime`, `--sources` and `--targets`; the first is required."""
    for option in (
        click.option(
            "--targets",
            multiple=True,
            metavar="CODES",
            help="Only these targets, as `sw,zu`; all that a predictor knows by default.",
        ),
        click.option(
            "--sources",
            multiple=True,
            metavar="CODES",
            help="Only these sources, as `en,de`; all that a predictor knows by default.",
        ),
        click.option(
            "--regime",
            default=MAIN_REGIME,
            show_default=True,
            metavar="NAME",
            help="Which training regime of the gold scores; main is their first.",
        ),
        click.option(
            "--gold",
            required=True,
            metavar="FILE",
            help="Gold scores, as `xsns-stream gold import` writes them.",
        ),
    ):
        function = option(function)
    return function


def open_gold(options: Mapping[str, Any]) -> TransferScores:
    """Read gold scores, and take one regime of them.

    Args:
        options: With `gold`, the path, and maybe `regime`.

    Raises:
        UsageError: There is no such regime, or the file is no file of gold scores.
        XsnsError: It cannot be read.
    """
    from xsns_stream.gold import read_scores

    return regime_of(read_scores(options["gold"]), options.get("regime") or MAIN_REGIME)


def regime_of(scores: TransferScores, name: str) -> TransferScores:
    """Return the scores of one regime; `main` is the first, unless one is called so.

    Raises:
        UsageError: There is none of this name.
    """
    return scores.regime(scores.regimes[0] if name == MAIN_REGIME and name not in scores.regimes else name)


def open_predictors(
    pairs: Sequence[NamedPath],
    gold: TransferScores,
    *,
    coefficient: str = "jaccard",
    seeds: tuple[int, ...] = (),
    density: float | None = None,
    skip_unknown: bool = False,
    rename: Mapping[str, str] | None = None,
    as_given: bool = False,
    quiet: bool = False,
) -> dict[str, SimilarityMatrix]:
    """Open every predictor: read matrices, count overlaps of stores.

    Of a store only pairs of the gold scores' languages are counted. Languages that it lacks are not reported here: the
    join does, for all predictors alike.

    Args:
        pairs: What `--predict` gave.
        gold: The scores that they will be held against.
        coefficient: How similarity is computed from overlap.
        seeds: Only these seeds of stores; all where empty.
        density: Of stores; may be None where each has one.
        skip_unknown: Leave out rows and columns of matrices that stand for no language.
        rename: {label of matrices: code that it stands for}.
        as_given: Take tables that look like distances.
        quiet: No progress and no notes.

    Raises:
        UsageError: A path is neither a store nor a matrix; a store shares no source or no target with the gold scores;
            or no matrix has a label that shall be renamed.
        XsnsError: It cannot be read.
    """
    found = {}
    read: list[SimilarityMatrix] = []
    for pair in pairs:
        if _is_store(pair.path):
            found[pair.name] = _count(pair, gold, coefficient, seeds, density, quiet)
        elif not Path(pair.path).exists():
            raise XsnsError(f"there is neither a store nor a file '{pair.path}'.", "check --predict NAME=PATH.")
        else:
            from xsns_stream.similarity.matrix_io import known_languages, read_matrix

            read.append(read_matrix(pair.path, as_given=as_given))
            known = known_languages(read[-1], f"'{pair.path}'", skip_unknown=skip_unknown, rename=rename)
            for sentence in label_notes(known, pair.name):
                note(f"note: {sentence}", quiet)
            found[pair.name] = known.matrix
    check_renamed(rename or {}, read)
    return found


def footing(joined: JoinedScores) -> dict[str, Any]:
    """Return what predictors were made of, in what they differ, and what each takes out of the pool, for `--json`."""
    from xsns_stream.types.predictor_records import differences

    pool = tuple(dict.fromkeys((*joined.sources, *joined.targets)))
    return {
        "records": {name: None if one is None else one.to_json() for name, one in joined.records.items()},
        "differences": [found.to_json() for found in differences(joined.records, pool)],
        "taken_from_pool": [cost.to_json() for cost in joined.costs],
    }


def _is_store(path: str) -> bool:
    return "://" in path or Path(path).is_dir()


def _count(
    pair: NamedPath, gold: TransferScores, coefficient: str, seeds: tuple[int, ...], density: float | None, quiet: bool
) -> SimilarityMatrix:
    from xsns_stream.cli.selection import Chosen, count_rows, open_rows, require_labels
    from xsns_stream.languages import counterparts
    from xsns_stream.similarity import similarity
    from xsns_stream.similarity.selection import only
    from xsns_stream.store.overlap_cache import overlap_cache

    rows = open_rows(pair.path)
    require_labels(rows, seeds, density)
    chosen = only("density", rows.densities) if density is None else density
    there = _with_every_seed(rows, seeds or rows.seeds, chosen, pair.name, quiet)
    # The store may spell a language otherwise, as zh-Hans for zh; the join knows that too.
    spelt = counterparts(tuple(dict.fromkeys((*gold.sources, *gold.targets))), there)
    sides = {
        "source": [spelt[code] for code in gold.sources if code in spelt],
        "target": [spelt[code] for code in gold.targets if code in spelt],
    }
    for side, codes in sides.items():
        if not codes:
            raise UsageError(
                f"'{pair.name}' and the gold scores have no {side} in common.",
                f"the store '{pair.path}' has {_some(there)}.",
            )
    asked = Chosen(rows, None, sides["source"], sides["target"], seeds, chosen)
    found = similarity(count_rows(asked, overlap_cache(rows, write=False), quiet), coefficient)
    return with_record(found, rows, chosen)


def _with_every_seed(
    rows: SubNetworkStore, seeds: Sequence[int], density: float, name: str, quiet: bool
) -> tuple[str, ...]:
    """Return the languages that have every seed; name the others."""
    by_seed = [rows.languages_at(seed, density) for seed in seeds]
    complete = tuple(code for code in rows.languages if all(code in there for there in by_seed))
    partial = [code for code in rows.languages if code not in complete and any(code in there for there in by_seed)]
    if partial:
        note(f"'{name}' lacks a seed of, and leaves out: {', '.join(partial)}", quiet)
    return complete


def _some(codes: Sequence[str]) -> str:
    from xsns_stream.io.tables import listed

    return listed(codes) or "no language with every seed"
