"""`xsns-stream baseline all`: every baseline for which the data are there."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.baseline_options import Pool, missing, of_table, pool_of, pool_options
from xsns_stream.cli.baseline_running import compute, refuse_failures
from xsns_stream.cli.baseline_store import same_as_option
from xsns_stream.cli.option_groups import Decorated, SectionedCommand, apply, corpus_options, model_options, section
from xsns_stream.cli.output import common_options, emit_json, examples, note, stdout_console
from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.tables import listed

if TYPE_CHECKING:
    from rich.table import Table

    from xsns_stream.types import SimilarityMatrix
    from xsns_stream.types.predictor_records import Difference


#: What each needs, where it is not there.
FROM_TEXT: Final = {
    "lex": "--corpus, and --model for its tokenizer",
    "emb": "--corpus and --model",
    "nn-rank": "--corpus and --model",
    "grad-cosine": "--corpus and --model",
    "sue": "--corpus",
}
_model, _text, _cost = section("Model"), section("Text"), section("Time and memory")


def text_options(function: Decorated) -> Decorated:
    """Add the options of corpus and model; neither has a default, for both have to be asked for."""
    return apply(
        function,
        _model("--model", default=None, help="`mini`, a local folder, or a Hub id."),
        model_options,
        _model("--max-length", default=128, show_default=True, help="Longest example in pieces; longer text is cut."),
        same_as_option(_text),
        _text(
            "--corpus",
            multiple=True,
            metavar="SPEC",
            help="cldr, a folder with a file a language, LANG=FILE (repeatable), a recipe such as wikiann, or hub:ID.",
        ),
        corpus_options(_text),
        _text("--examples", default=64, show_default=True, help="Examples a language, drawn as `build` draws them."),
        _text("--seed", "seeds", type=int, multiple=True, default=(42,), show_default=True, help="Of the draw."),
        _cost("--batch", default=8, show_default=True, help="Examples computed together."),
        _cost("--max-tokens", type=int, default=None, help="Of nn-rank: tokens a language.  [default: all]"),
        _cost(
            "--scratch",
            type=click.Path(path_type=Path, exists=True, file_okay=False, writable=True),
            default=None,
            metavar="DIR",
            help="Folder for temporary files.  [default: the system's]",
        ),
    )


def possible(options: dict[str, Any]) -> tuple[str, ...]:
    """Return the baselines for which text, and where it is needed a model, were given."""
    if options["store"] is not None:
        return tuple(FROM_TEXT)
    if not options["corpus"]:
        return ()
    return tuple(FROM_TEXT) if options["model"] else ("sue",)


Read = Callable[[Path, Pool], "tuple[SimilarityMatrix, tuple[str, ...]]"]


def _l2v(path: Path, pool: Pool) -> tuple[SimilarityMatrix, tuple[str, ...]]:
    from xsns_stream.baselines import l2v, read_features

    features = read_features(path)
    return l2v(features, pool.sources, pool.targets), features.notes


def _ldnd(path: Path, pool: Pool) -> tuple[SimilarityMatrix, tuple[str, ...]]:
    from xsns_stream.baselines import ldnd, read_distances

    distances = read_distances(path)
    return ldnd(distances, pool.sources, pool.targets), distances.notes


def _family(path: Path, pool: Pool) -> tuple[SimilarityMatrix, tuple[str, ...]]:
    from xsns_stream.baselines import family, read_families

    families = read_families(path)
    return family(families, pool.sources, pool.targets), families.notes


def _source_size(path: Path, pool: Pool) -> tuple[SimilarityMatrix, tuple[str, ...]]:
    from xsns_stream.baselines import read_sizes, source_size

    sizes = read_sizes(path)
    return source_size(sizes, pool.sources, pool.targets), (f"amounts are from {sizes.origin}.", *sizes.notes)


#: {baseline: (names of files that will do, the best first; how one is read; what is needed where there is none)}.
FROM_FILES: Final[dict[str, tuple[tuple[str, ...], Read, str]]] = {
    "l2v": (("feature_predictions.npz",), _l2v, "URIEL's features: feature_predictions.npz of lang2vec"),
    "ldnd": (("ldnd.csv",), _ldnd, "word-list distances: ldnd.csv, and names: udpos-langs.csv or languages.csv"),
    "family": (("languages.csv", "fams.txt"), _family, "families: languages.csv or fams.txt"),
    "source-size": (
        ("wiki-langs.csv", "langs-xlmr.txt", "udpos-sizes-train.csv", "sizes.csv"),
        _source_size,
        "amounts of data: wiki-langs.csv, langs-xlmr.txt, udpos-sizes-train.csv or sizes.csv",
    ),
}


@dataclass(frozen=True)
class Made:
    """A baseline that was computed."""

    matrix: SimilarityMatrix
    origin: str
    notes: tuple[str, ...] = ()


@click.command(
    name="all",
    cls=SectionedCommand,
    epilog=examples(
        "xsns-stream baseline all --lang sw,zu,fi,et -o baselines",
        "xsns-stream baseline all --data . --gold gold.parquet -o baselines",
    ),
)
@click.option(
    "--data",
    "folders",
    multiple=True,
    metavar="DIR",
    help="Where to look for tables, in the folder and below; repeatable. The names that are looked for: "
    + ", ".join(dict.fromkeys(name for names, _, _ in FROM_FILES.values() for name in names))
    + ".",
)
@text_options
@pool_options
@click.option("-o", "--output", required=True, metavar="DIR", help="Folder for NAME.parquet of each; made if absent.")
@common_options
def all_command(folders: tuple[str, ...], output: str, as_json: bool, quiet: bool, **options: Any) -> None:
    """Compute every baseline for which the data are there, and say what the others need.

    Tables are looked for in --data; those made from text need --corpus, and all but sue --model. Where several files
    would do, the one that knows most of the languages is taken, the first where they are equal.
    """
    pool = pool_of(options)
    if pool.languages is None:
        raise UsageError("no languages were asked for.", "give --lang sw,en, --gold gold.parquet, or --store PATH.")
    files = _files(folders)
    place = _folder(output)
    made, left_out = _from_files(files, pool)
    _write(made, place, pool, quiet)
    names = possible(options)
    left_out |= {name: f"needs {needs}." for name, needs in FROM_TEXT.items() if name not in names}
    computed = compute(names, options, pool, quiet) if names else None
    if computed is not None:
        origin = " and ".join(filter(None, (" ".join(options["corpus"]), options["model"], options["store"])))
        of_text = {name: Made(matrix, origin) for name, matrix in computed.matrices.items()}
        for text in computed.notes:
            note(f"note: {text}", quiet)
        _write(of_text, place, pool, quiet)
        made |= of_text
    found = _differences(made, options["store"])
    for one in found:
        note(f"note: {one.sentence}", quiet)
    if as_json:
        more = {"differences": [one.to_json() for one in found]} | ({} if computed is None else dict(computed.files))
        emit_json("baseline", _result(made, left_out, place, pool) | more)
    else:
        stdout_console().print(_table(made, left_out, place))
    if computed is not None:
        refuse_failures(computed)


def _from_files(files: dict[str, list[Path]], pool: Pool) -> tuple[dict[str, Made], dict[str, str]]:
    """Return the baselines that need tables at most, and why those that could not be computed are left out."""
    found: dict[str, Made | str] = {}
    for name, (wanted, read, needs) in FROM_FILES.items():
        paths = [path for kind in wanted for path in files.get(kind, ())]
        found[name] = _widest(paths, read, pool) if paths else f"needs {needs}."
    found["script"] = _customary(pool)
    made = {name: one for name, one in found.items() if isinstance(one, Made)}
    return made, {name: why for name, why in found.items() if isinstance(why, str)}


def _files(folders: Sequence[str]) -> dict[str, list[Path]]:
    """Return {name: paths in alphabetical order} of the files that are looked for, folder by folder.

    Raises:
        UsageError: There is no such folder.
    """
    wanted = {name for names, _, _ in FROM_FILES.values() for name in names}
    found: dict[str, list[Path]] = {}
    for folder in folders:
        if not Path(folder).is_dir():
            raise UsageError(f"there is no folder '{folder}'.", "give the folder that holds the tables.")
        here = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names if name in wanted)
        for path in sorted(here):
            found.setdefault(path.name, []).append(path)
    return found


def _widest(paths: Sequence[Path], read: Read, pool: Pool) -> Made | str:
    """Return the baseline from the file that knows most; else why the first will not do."""
    best: Made | None = None
    reasons = []
    for path in paths:
        try:
            matrix, notes = read(path, pool)
        except XsnsError as error:
            reasons.append(error.message)
            continue
        if best is None or matrix.values.size > best.matrix.values.size:
            best = Made(matrix, str(path), notes)
    return best or reasons[0]


def _customary(pool: Pool) -> Made | str:
    from xsns_stream.baselines import customary_scripts, script

    scripts = customary_scripts(pool.languages or ())
    try:
        return Made(script(scripts, pool.sources, pool.targets), scripts.origin, scripts.notes)
    except XsnsError as error:
        return error.message


def _differences(made: dict[str, Made], store: str | None) -> tuple[Difference, ...]:
    """Compare what the baselines were made of with one another, and with the store where one was named."""
    from xsns_stream.cli.selection import open_rows
    from xsns_stream.pipeline.row_selection import record_of_store
    from xsns_stream.types.predictor_records import differences

    records = {name: of_table(one.matrix).record for name, one in made.items()}
    languages = dict.fromkeys(code for one in made.values() for code in (*one.matrix.sources, *one.matrix.targets))
    if store is not None:
        rows = open_rows(store)
        records[store] = record_of_store(rows, rows.languages, rows.seeds, rows.densities[0], "jaccard")
    return differences(records, tuple(languages))


def _folder(output: str) -> Path:
    place = Path(output)
    if place.exists() and not place.is_dir():
        raise UsageError(f"'{output}' is a file.", "name a folder, in which each baseline becomes a file.")
    place.mkdir(parents=True, exist_ok=True)
    return place


def _write(made: dict[str, Made], place: Path, pool: Pool, quiet: bool) -> None:
    from xsns_stream.report import write_matrix

    for name, one in made.items():
        for text in one.notes:
            note(f"note: {name}: {text}", quiet)
        if lacking := missing(one.matrix, pool):
            note(f"note: {name} knows nothing of {listed(lacking)}.", quiet)
        write_matrix(of_table(one.matrix), _path(place, name))


def _path(place: Path, name: str) -> Path:
    return place / f"{name}.parquet"


def _result(made: dict[str, Made], left_out: dict[str, str], place: Path, pool: Pool) -> dict[str, Any]:
    return {
        "written": [
            {
                "baseline": name,
                "path": str(_path(place, name)),
                "from": one.origin,
                "sources": list(one.matrix.sources),
                "targets": list(one.matrix.targets),
                "lacking": missing(one.matrix, pool),
                "notes": list(one.notes),
                "record": None if one.matrix.record is None else one.matrix.record.to_json(),
            }
            for name, one in made.items()
        ],
        "left_out": [{"baseline": name, "why": why} for name, why in left_out.items()],
    }


def _table(made: dict[str, Made], left_out: dict[str, str], place: Path) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("baseline", style="bold", no_wrap=True)
    table.add_column("sources × targets", justify="right", no_wrap=True)
    table.add_column("file", overflow="fold")
    table.add_column("from", overflow="fold")
    for name, one in made.items():
        size = " × ".join(map(str, one.matrix.values.shape))
        table.add_row(*map(Text, (name, size, str(_path(place, name)), one.origin)))
    for name, why in left_out.items():
        table.add_row(Text(name), Text("–"), Text("left out"), Text(why))
    return table


COMMANDS: Final = {"all": all_command}
