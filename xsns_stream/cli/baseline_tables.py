"""The baselines that need a table and no model: l2v, ldnd, family, script, source-size."""

from __future__ import annotations

from typing import Any, Final

import click

from xsns_stream.cli.baseline_options import (
    check_outputs,
    finish,
    of_table,
    output_option,
    pool_of,
    pool_options,
    require_few,
)
from xsns_stream.cli.option_groups import apply
from xsns_stream.cli.output import Decorated, common_options, examples
from xsns_stream.errors import UsageError


def _shared(function: Decorated) -> Decorated:
    return apply(function, pool_options, output_option, common_options)


_names_option = click.option(
    "--names",
    default=None,
    metavar="FILE",
    help="A table with a code and a name for each language, where labels are names. Where left out, udpos-langs.csv or "
    "languages.csv beside the file or in the folder above.",
)


@click.command(
    name="l2v",
    epilog=examples(
        "xsns-stream baseline l2v feature_predictions.npz --lang sw,zu,fi,et",
        "xsns-stream baseline l2v feature_predictions.npz --gold gold.parquet -o l2v.parquet",
    ),
)
@click.argument("file")
@_shared
def l2v_command(file: str, outputs: tuple[str, ...], as_json: bool, quiet: bool, **options: Any) -> None:
    """Cosine of the typological features in FILE.

    FILE is lang2vec's feature_predictions.npz (github.com/antonisa/lang2vec, CC BY-SA): URIEL's syntax, phonology and
    inventory features, gaps filled from the nearest languages. Missing languages are named.
    """
    from xsns_stream.baselines import l2v, read_features

    pool = pool_of(options)
    check_outputs(outputs)
    features = read_features(file)
    require_few(pool, len(features.languages), f"'{file}'")
    matrix = l2v(features, pool.sources, pool.targets)
    finish(of_table(matrix), pool, outputs, as_json=as_json, quiet=quiet, notes=features.notes)


@click.command(
    name="ldnd",
    epilog=examples(
        "xsns-stream baseline ldnd ldnd.csv --lang sv,no,fi,et",
        "xsns-stream baseline ldnd ldnd.csv --names udpos-langs.csv -o ldnd.parquet",
    ),
)
@click.argument("file")
@_names_option
@_shared
def ldnd_command(
    file: str, names: str | None, outputs: tuple[str, ...], as_json: bool, quiet: bool, **options: Any
) -> None:
    """Similarity of basic words, 1 − LDND / 100, from the matrix in FILE.

    FILE is a square .csv of LDND in percent (ASJP's normalised, divided Levenshtein distance), with codes or names of
    languages on both sides, as ldnd.csv of github.com/wietsedv/xpos.
    """
    from xsns_stream.baselines import ldnd, read_distances

    pool = pool_of(options)
    check_outputs(outputs)
    distances = read_distances(file, names)
    matrix = ldnd(distances, pool.sources, pool.targets)
    finish(of_table(matrix), pool, outputs, as_json=as_json, quiet=quiet, notes=distances.notes)


@click.command(
    name="family",
    epilog=examples(
        "xsns-stream baseline family languages.csv --lang sw,zu,fi,et",
        "xsns-stream baseline family languages.csv --column Family --column Genus -o family.parquet",
    ),
)
@click.argument("file")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME",
    help="Column of the family; repeatable, the outermost first.  [default: family]",
)
@click.option("--binary", is_flag=True, help="1 for the same family and branch, 0 otherwise.")
@_names_option
@_shared
def family_command(
    file: str,
    columns: tuple[str, ...],
    binary: bool,
    names: str | None,
    outputs: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Share of ancestors in common, from the table of families in FILE.

    FILE has a code and a family for each language, as languages.csv of Glottolog's or WALS' CLDF data (CC BY). A
    family such as `IE, Germanic` is a path: Swedish and Hindi, of two branches, come to 1/2.
    """
    from xsns_stream.baselines import family, read_families

    pool = pool_of(options)
    check_outputs(outputs)
    families = read_families(file, columns, names)
    require_few(pool, len(families.values), f"'{file}'")
    matrix = family(families, pool.sources, pool.targets, binary=binary)
    finish(of_table(matrix), pool, outputs, as_json=as_json, quiet=quiet, notes=families.notes)


@click.command(
    name="script",
    epilog=examples(
        "xsns-stream baseline script --lang sr,hr,ru,zh-Hant",
        "xsns-stream baseline script languages.csv -o script.parquet",
    ),
)
@click.argument("file", required=False)
@click.option("--column", default=None, metavar="NAME", help="Column of the script.  [default: script]")
@_names_option
@_shared
def script_command(
    file: str | None,
    column: str | None,
    names: str | None,
    outputs: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """1 for the same script, 0 otherwise.

    The script is the one that the code names (sr-Latn), or else the one that Unicode CLDR calls likely; with FILE, a
    table with a code and a script for each language, it is what the table says.
    """
    from xsns_stream.baselines import customary_scripts, read_scripts, script

    pool = pool_of(options)
    check_outputs(outputs)
    if file is None and (column or names):
        raise UsageError("--column and --names mean nothing without a table.", "give the table.")
    if file is None:
        if pool.languages is None:
            raise UsageError("no language was asked for.", "give --lang sw,en, or a table of scripts.")
        scripts = customary_scripts(pool.languages)
    else:
        scripts = read_scripts(file, column, names)
    matrix = script(scripts, pool.sources, pool.targets)
    finish(of_table(matrix), pool, outputs, as_json=as_json, quiet=quiet, notes=scripts.notes)


@click.command(
    name="source-size",
    epilog=examples(
        "xsns-stream baseline source-size sizes.csv --sources en,sw",
        "xsns-stream baseline source-size sizes.csv --column sentences --targets fi -o size.parquet",
    ),
)
@click.argument("file")
@click.option("--column", default=None, metavar="NAME", help="Column of the amounts, where there are several.")
@click.option("--log", is_flag=True, help="log10(1 + amount): the same order, but a fairer linear fit.")
@_names_option
@_shared
def source_size_command(
    file: str,
    column: str | None,
    log: bool,
    names: str | None,
    outputs: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Amount of each source's data from the table in FILE, whatever the target.

    FILE has a code and a number for each language: tokens seen in pretraining, sentences to fine-tune on. In a .txt
    file without a header the numbers at the end of a line are columns 1, 2, …
    """
    from xsns_stream.baselines import read_sizes, source_size

    pool = pool_of(options)
    check_outputs(outputs)
    sizes = read_sizes(file, column, names)
    require_few(pool, len(sizes.values), f"'{file}'")
    matrix = source_size(sizes, pool.sources, pool.targets, log=log)
    notes = (f"amounts are from {sizes.origin}.", *sizes.notes)
    finish(of_table(matrix), pool, outputs, as_json=as_json, quiet=quiet, notes=notes)


COMMANDS: Final = {
    "l2v": l2v_command,
    "ldnd": ldnd_command,
    "family": family_command,
    "script": script_command,
    "source-size": source_size_command,
}
