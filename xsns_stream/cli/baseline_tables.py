"""Commands for baselines from a table or a file: l2v, ldnd, family, script, source-size, file."""

from __future__ import annotations

from typing import Any, Final

import click

from xsns_stream.cli.baseline import (
    check_outputs,
    finish,
    language_options,
    requested_languages_of,
    shared_options,
)
from xsns_stream.cli.matrix_files import matrix_output_option
from xsns_stream.cli.option_groups import as_given_option, rename_option, skip_unknown_option
from xsns_stream.cli.output import common_options, examples

_names_option = click.option(
    "--names",
    default=None,
    metavar="FILE",
    help="A table with a code and a name for each language; it is needed if the labels of FILE are names. By default, "
    "udpos-langs.csv or languages.csv beside the file or in the parent folder.",
)


def _run_table(
    name: str, file: str | None, outputs: tuple[str, ...], as_json: bool, quiet: bool, options: dict[str, Any]
) -> None:
    from xsns_stream.pipeline.baselines import table_baseline, with_record

    requested = requested_languages_of(options)
    check_outputs(outputs)
    result = table_baseline(name, file, requested, **options)
    finish(with_record(result.matrix), requested, outputs, as_json=as_json, quiet=quiet, notes=result.notes)


@click.command(
    name="l2v",
    short_help="Cosine of typological features. Needs feature_predictions.npz of URIEL.",
    epilog=examples(
        "xsns-stream baseline l2v feature_predictions.npz --lang sw,zu,fi,et",
        "xsns-stream baseline l2v feature_predictions.npz --gold gold.parquet -o l2v.parquet",
    ),
)
@click.argument("file")
@shared_options
def l2v_command(file: str, outputs: tuple[str, ...], as_json: bool, quiet: bool, **options: Any) -> None:
    """Compute the cosine similarity of typological features, from the vectors in FILE.

    FILE is feature_predictions.npz of lang2vec (github.com/antonisa/lang2vec, CC BY-SA), which contains the syntax,
    phonology and inventory features of URIEL; missing values are predicted from the nearest languages. A note names
    missing languages.
    """
    _run_table("l2v", file, outputs, as_json, quiet, options)


@click.command(
    name="ldnd",
    short_help="Similarity of basic words. Needs an LDND matrix (ASJP).",
    epilog=examples(
        "xsns-stream baseline ldnd ldnd.csv --lang sv,no,fi,et",
        "xsns-stream baseline ldnd ldnd.csv --names udpos-langs.csv -o ldnd.parquet",
    ),
)
@click.argument("file")
@_names_option
@shared_options
def ldnd_command(file: str, outputs: tuple[str, ...], as_json: bool, quiet: bool, **options: Any) -> None:
    """Compute the similarity of basic words, 1 − LDND / 100, from the matrix in FILE.

    FILE is a square .csv of LDND in percent (the normalised, divided Levenshtein distance of ASJP), with codes or names
    of languages as labels of its rows and columns, such as ldnd.csv of github.com/wietsedv/xpos.
    """
    _run_table("ldnd", file, outputs, as_json, quiet, options)


@click.command(
    name="family",
    short_help="Share of common ancestors. Needs no data; a table of families is optional.",
    epilog=examples(
        "xsns-stream baseline family --lang sw,zu,fi,et",
        "xsns-stream baseline family languages.csv --column Family --column Genus -o family.parquet",
    ),
)
@click.argument("file", required=False)
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="NAME",
    help="Column of FILE that contains the family. If several columns contain levels of the family, repeat the option, "
    "with the outermost level first.  [default: family]",
)
@click.option(
    "--binary",
    is_flag=True,
    help="Give two languages the similarity 1 if they have the same family and branch, and 0 otherwise.",
)
@_names_option
@shared_options
def family_command(file: str | None, outputs: tuple[str, ...], as_json: bool, quiet: bool, **options: Any) -> None:
    """Compute the share of ancestors that two languages have in common.

    Without FILE, the only ancestor is the top-level family of Glottolog 5.1 (CC BY 4.0); the similarity is then 1 for
    the same family, and 0 otherwise.
    FILE is a table with a code and a family for each language, such as languages.csv in the CLDF data of Glottolog or
    WALS (CC BY). A family such as `IE, Germanic` is a path: Swedish and Hindi, which belong to two branches, have a
    similarity of 1/2.
    """
    _run_table("family", file, outputs, as_json, quiet, options)


@click.command(
    name="script",
    short_help="Equality of scripts. Needs no data; a table of scripts is optional.",
    epilog=examples(
        "xsns-stream baseline script --lang sr,hr,ru,zh-Hant",
        "xsns-stream baseline script languages.csv -o script.parquet",
    ),
)
@click.argument("file", required=False)
@click.option("--column", default=None, metavar="NAME", help="Column of the script.  [default: script]")
@_names_option
@shared_options
def script_command(file: str | None, outputs: tuple[str, ...], as_json: bool, quiet: bool, **options: Any) -> None:
    """Compare the scripts of languages: the similarity is 1 for the same script, and 0 otherwise.

    The script is that of the code (sr-Latn) or, if the code has none, the likely script of Unicode CLDR. FILE is
    optional: a table with a code and a script for each language, whose scripts are used instead.
    """
    _run_table("script", file, outputs, as_json, quiet, options)


@click.command(
    name="source-size",
    short_help="Amount of data of the source. Needs a table of sizes.",
    epilog=examples(
        "xsns-stream baseline source-size sizes.csv --sources en,sw",
        "xsns-stream baseline source-size sizes.csv --column sentences --targets fi -o size.parquet",
    ),
)
@click.argument("file")
@click.option(
    "--column", default=None, metavar="NAME", help="Column of the amounts, if the table has several columns of numbers."
)
@click.option(
    "--log",
    is_flag=True,
    help="Use log10(1 + amount). The order of the sources stays the same, and a linear regression usually fits better.",
)
@_names_option
@shared_options
def source_size_command(file: str, outputs: tuple[str, ...], as_json: bool, quiet: bool, **options: Any) -> None:
    """Use the amount of data of each source as its similarity, from the table in FILE.

    The value of a source is the same for every target. FILE has a code and a number for each language, such as tokens
    in pretraining or sentences for fine-tuning. In a .txt file without a header, the numbers at the end of a line are
    columns 1, 2, …
    """
    _run_table("source-size", file, outputs, as_json, quiet, options)


@click.command(
    name="file",
    short_help="Any matrix of similarities or distances. Needs its file.",
    epilog=examples(
        "xsns-stream baseline file similarity.csv --lang sw,fi",
        "xsns-stream baseline file distances.tsv --distance -o similarity.parquet",
    ),
)
@click.argument("file")
@click.option("--distance", is_flag=True, help="The numbers in FILE are distances: similarity = 1 − distance / scale.")
@click.option(
    "--scale",
    type=float,
    default=None,
    help="With --distance: the distance that is converted to similarity 0, such as 100 for percent.  [default: 1]",
)
@click.option("--transpose", is_flag=True, help="The rows of FILE are targets, and its columns are sources.")
@skip_unknown_option
@rename_option
@as_given_option
@language_options
@matrix_output_option
@common_options
def file_command(file: str, outputs: tuple[str, ...], as_json: bool, quiet: bool, **options: Any) -> None:
    """Read the matrix in FILE, check it, and write it in a format of the other verbs.

    FILE is a .csv, .tsv, .parquet, .json or .npz with a row for each source and a column for each target, which are
    labelled with codes or names of languages.
    """
    from xsns_stream.pipeline.baselines import file_baseline

    requested = requested_languages_of(options)
    check_outputs(outputs)
    result = file_baseline(file, requested, **options)
    finish(result.matrix, requested, outputs, as_json=as_json, quiet=quiet, notes=result.notes, more=result.labels)


#: {name: command}, in the order of the help page.
COMMANDS: Final[dict[str, click.Command]] = {
    str(command.name): command
    for command in (
        l2v_command,
        ldnd_command,
        family_command,
        script_command,
        source_size_command,
        file_command,
    )
}
