"""One entry for all formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.gold.checking import Described, ImportedScores, assemble
from xsns_stream.gold.formats import read_langrank, read_long, read_matrix, read_nnrank, read_sumeval, read_xpos
from xsns_stream.gold.raw import LARGEST_SEED, RawScores, Wanted
from xsns_stream.io.tables import listed

_READERS: Final[dict[str, Callable[[Path, Wanted], RawScores]]] = {
    "xpos": read_xpos,
    "nnrank": read_nnrank,
    "langrank": read_langrank,
    "sumeval": read_sumeval,
    "matrix": read_matrix,
    "long": read_long,
}

#: Names of the formats that :func:`import_scores` reads.
FORMATS: Final = tuple(_READERS)


def import_scores(
    path: str | Path | Sequence[str | Path],
    format: str,  # noqa: A002 — what users call it
    *,
    task: str | None = None,
    metric: str | None = None,
    unit: str | None = None,
    origin: str | None = None,
    seeds: Sequence[int] = (),
    regime: str | None = None,
    rename: Mapping[str, str] | None = None,
    transpose: bool = False,
    min_examples: int = 0,
    skip_unknown: bool = False,
) -> ImportedScores:
    """Read gold scores in a public format, and check them.

    Args:
        path: A file, or several files of one seed each; for `xpos` also a folder of training sizes.
        format: One of :data:`FORMATS`.
        task: What was fine-tuned; what the format says where left out, and so for the next three.
        metric: What was measured; where a file has several metrics, which.
        unit: `percent`, `fraction` or `points`.
        origin: Where the scores come from.
        seeds: One for each file.
        regime: The main regime, which comes first.
        rename: {label in the file: code that it stands for}.
        transpose: Targets stand on lines, or in the column `source`.
        min_examples: Leave out targets that were tested on fewer; where the format says on how many.
        skip_unknown: Leave out labels that are no languages, languages under several labels, and cells that hold no
            number, and list them in `left_out`. By default a file with any of these is refused.

    Raises:
        UsageError: An option that cannot mean anything.
        XsnsError: A file that cannot be read, or is not what the format is; a file of which something would be lost,
            all of it in one message; another check that fails.
    """
    reader = _reader(format)
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
    if not paths:
        raise UsageError("no file was named.", "name at least one.")
    if (seeds or len(paths) > 1) and len(set(seeds)) != len(paths):
        raise UsageError(
            f"{len(paths)} files and {len(set(seeds))} different seeds were named.",
            "several files are runs of several seeds: give one --seed for each, in the same order.",
        )
    if any(abs(seed) >= LARGEST_SEED for seed in seeds):
        raise UsageError("a seed is too large.", "give one of at most fifteen digits.")
    for one in paths:
        if not one.exists():
            raise XsnsError(f"there is no file '{one}'.", "check the path.")
        if one.is_dir() and format != "xpos":
            raise UsageError(f"'{one}' is a folder.", "name a file; only xpos has folders.")
    wanted = Wanted(metric, min_examples)
    raws = [reader(one, wanted) for one in paths]
    if seeds:
        raws = [_of_seed(raw, seed) for raw, seed in zip(raws, seeds, strict=True)]
    joined = replace(
        raws[0],
        cells=tuple(cell for raw in raws for cell in raw.cells),
        notes=tuple(dict.fromkeys(note for raw in raws for note in raw.notes)),
        origin=", ".join(dict.fromkeys(raw.origin for raw in raws)),
    )
    said = Described(task, metric, unit, origin, regime, dict(rename or {}), transpose, skip_unknown)
    return assemble(joined, said)


def _reader(name: str) -> Callable[[Path, Wanted], RawScores]:
    if name not in _READERS:
        near = get_close_matches(name.lower(), FORMATS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"formats are {listed(FORMATS)}."
        raise UsageError(f"there is no format '{name}'.", hint)
    return _READERS[name]


def _of_seed(raw: RawScores, seed: int) -> RawScores:
    if any(cell.seed is not None for cell in raw.cells):
        raise UsageError("the file has seeds of its own.", "leave --seed out.")
    return replace(raw, cells=tuple(cell._replace(seed=seed) for cell in raw.cells))
