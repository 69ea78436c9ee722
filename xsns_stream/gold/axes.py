"""The axes of imported scores: languages from labels, regimes and seeds, and the scores on these axes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

import numpy as np
import numpy.typing as npt

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.gold.problems import Problems
from xsns_stream.gold.raw_scores import ImportOptions, RawCell, RawScores
from xsns_stream.io.tables import listed
from xsns_stream.language_labels import Labels, read_labels
from xsns_stream.languages import constituents
from xsns_stream.types.transfer_scores import UNKNOWN, TransferScores


def labels_of(cells: Sequence[RawCell], rename: Mapping[str, str]) -> Labels:
    """Return the language of each label that occurs in the cells.

    Args:
        cells: The cells.
        rename: {label in the file: code}.

    Raises:
        UsageError: A label in `rename` does not occur in the cells.
        XsnsError: No label is the code or the name of a language.
    """
    names = list(dict.fromkeys(label for cell in cells for label in (cell.source, cell.target)))
    for label in rename:
        if label not in names:
            near = get_close_matches(label, names, n=3)
            hint = (
                f"did you mean {listed([repr(name) for name in near])}?" if near else f"its labels are {listed(names)}."
            )
            raise UsageError(f"the file has no label '{label}' to rename.", hint)
    labels = read_labels(names, rename)
    if not any(labels.codes.values()) and not labels.ambiguous:
        raise XsnsError(
            f"no label is the code of a language: {listed(names)}.",
            "labels are codes such as 'sw', 'swh' or 'swh_Latn', or names such as 'Swahili'; --rename OLD=NEW gives "
            "another label its code.",
        )
    return labels


def on_axes(
    valid: Sequence[tuple[RawCell, float]],
    codes: Mapping[str, str | None],
    raw: RawScores,
    options: ImportOptions,
    seeds: tuple[int, ...],
) -> tuple[TransferScores, list[str]]:
    """Return the scores on labelled axes, before their unit is checked, and notes on missing scores.

    Args:
        valid: The valid cells, each as a pair (cell, score as a number).
        codes: {label: code}; the labels of all valid cells have a code.
        raw: The file, for its metadata such as the task.
        options: The options of the import, which override the metadata.
        seeds: The distinct seeds of the cells; empty if the cells have no seeds.

    Raises:
        UsageError: The main regime in the options does not exist in the file.
        XsnsError: All cells are empty.
    """
    cells = [cell for cell, _ in valid]
    sources, targets = (
        dict.fromkeys(str(codes[getattr(cell, side)]) for cell in cells) for side in ("source", "target")
    )
    regimes = _regimes(cells, raw, options)
    indices = [
        {label: index for index, label in enumerate(axis)} for axis in (regimes, seeds or (None,), sources, targets)
    ]
    values = np.full([len(axis) for axis in indices], np.nan)
    for cell, number in valid:
        key = (cell.regime, cell.seed, codes[cell.source], codes[cell.target])
        values[tuple(axis[label] for axis, label in zip(indices, key, strict=True))] = number
    scores = TransferScores(
        tuple(sources),
        tuple(targets),
        values,
        task=options.task or raw.task or UNKNOWN,
        metric=options.metric or raw.metric or UNKNOWN,
        unit="points",
        origin=options.origin or raw.origin,
        regimes=regimes,
        seeds=seeds,
    )
    return _without_empty_languages(scores)


def _regimes(cells: Sequence[RawCell], raw: RawScores, options: ImportOptions) -> tuple[str, ...]:
    regimes = list(dict.fromkeys(cell.regime for cell in cells))
    if options.main is not None and options.main not in regimes:
        raise UsageError(f"there is no regime '{options.main}'.", f"the regimes are {listed(regimes)}.")
    main = options.main or (raw.main if raw.main in regimes else regimes[0])
    return (main, *(name for name in regimes if name != main))


def seeds_of(cells: Sequence[RawCell], problems: Problems) -> tuple[int, ...] | None:
    """Return the distinct seeds of the cells; if only some cells have a seed, add a problem and return None."""
    seeds = dict.fromkeys(cell.seed for cell in cells)
    if None in seeds and len(seeds) > 1:
        message = "some scores have a seed, and others have none"
        problems.add([message], ["give every line a seed, or leave all seeds out"], by_hand=True)
        return None
    return tuple(seed for seed in seeds if seed is not None)


def _without_empty_languages(scores: TransferScores) -> tuple[TransferScores, list[str]]:
    """Return the scores without languages that have no score, and notes on these languages and on missing pairs."""
    # The number of scores of each source, and of each target, in all regimes and seeds.
    by_source, by_target = (np.isfinite(scores.cells).sum(axis=axes) for axes in ((0, 1, 3), (0, 1, 2)))
    sources = [source for source, count in zip(scores.sources, by_source, strict=True) if count]
    targets = [target for target, count in zip(scores.targets, by_target, strict=True) if count]
    if not sources:
        raise XsnsError("every cell of the file is empty.", "give a file with scores.")
    notes = [
        f"these {side}s are left out, because they have no score: {listed(empty)}."
        for side, before, after in (("source", scores.sources, sources), ("target", scores.targets, targets))
        if (empty := [code for code in before if code not in after])
    ]
    scores = scores.restricted(sources, targets)
    notes += _missing_notes(scores)
    other_regimes = scores.cells[1:]
    if further := int(np.isnan(other_regimes).sum()):
        notes.append(f"in the other regimes, {further} of {other_regimes.size} scores are missing.")
    return scores, notes


def _missing_notes(scores: TransferScores) -> list[str]:
    """Return notes on pairs of different languages without a score, and on languages without a score on themselves."""
    own, without = own_pairs(scores), np.isnan(scores.values)
    notes = []
    missing = [f"{scores.sources[row]} → {scores.targets[column]}" for row, column in np.argwhere(without & ~own)]
    if missing:
        has = "has" if len(missing) == 1 else "have"
        pairs = f"{len(missing)} of {(~own).sum()} pairs of different languages"
        notes.append(f"{pairs} {has} no score: {listed(missing)}.")
    if itself := [scores.sources[row] for row, _ in np.argwhere(without & own)]:
        has = "source has no score on its" if len(itself) == 1 else "sources have no score on their"
        notes.append(f"{len(itself)} {has} own language: {listed(itself)}.")
    return notes


def own_pairs(scores: TransferScores) -> npt.NDArray[np.bool_]:
    """Return for each source and target whether the target is the source's own language, or one of a mixture.

    Returns:
        Array of shape (sources, targets).
    """
    return np.array([[target in constituents(source) for target in scores.targets] for source in scores.sources])
