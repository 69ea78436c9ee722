"""`xsns-stream info`: contents of a store or of a corpus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from xsns_stream.cli.option_groups import corpus_options
from xsns_stream.cli.output import (
    common_options,
    counted,
    emit_json,
    examples,
    given_arguments,
    next_step,
    note,
    stdout_console,
    store_arguments,
    store_or_argument,
)
from xsns_stream.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from xsns_stream.pipeline.inspection import StoreSummary

#: Number of characters of a digest in the output.
_DIGEST: Final = 12
#: Texts for those counts of lines whose names do not explain themselves.
_LINES: Final = {"control": "with control characters (removed)", "cut": "longer than 2^20 characters (cut)"}


@click.command(name="info", epilog=examples("xsns-stream info", "xsns-stream info --corpus ntrex"))
@store_or_argument
@click.option(
    "--corpus",
    multiple=True,
    metavar="CORPUS",
    help="Show the languages of a corpus instead: ntrex, cldr, a folder, `sw=FILE` pairs, a data set.",
)
@corpus_options(click.option)
@common_options
@click.pass_context
def command(ctx: click.Context, /, store: str, as_json: bool, quiet: bool, **options: Any) -> None:
    """Show the contents of a store: the experiment, its languages, seeds and densities, and unfinished rows.

    With --corpus, the languages of a corpus are listed with their names instead.
    """
    if not options["corpus"]:
        for name in ("task", "text_column", "language_column", "split", "treebank", "config", "corpus_revision"):
            if options[name] is not None:
                raise UsageError(f"--{name.replace('_', '-')} cannot be used with a store.", "give --corpus too.")
        if options["label"] or options["labels_as_given"]:
            raise UsageError("--label and --labels-as-given cannot be used with a store.", "give --corpus too.")
        _store(store, as_json, quiet)
    elif ctx.get_parameter_source("store") is ParameterSource.COMMANDLINE:
        raise UsageError("--store and --corpus cannot be combined.", "give one of them.")
    else:
        _corpus(options, as_json, quiet)


# -------------------------------------------------------------------------------------------- a store


def _store(store: str, as_json: bool, quiet: bool) -> None:
    from xsns_stream.pipeline.inspection import summarise_store

    summary = summarise_store(store)
    if as_json:
        emit_json("info", summary.to_dict())
        return
    console, facts = stdout_console(), summary.facts
    console.print(_facts(summary))
    if facts["rows"]:
        console.print()
        console.print(_rows_table(summary))
    languages = [code for code in facts["languages"] if any(key.language == code for key in summary.keys)]
    where = store_arguments(store)
    if facts["unfinished_rows"]:
        next_step("build", *where, quiet=quiet)
    elif len(languages) > 1:
        next_step("rank", *where, "--target", languages[0], quiet=quiet)
    else:
        next_step("build", *where, "--lang", "CODES", quiet=quiet)


def _facts(summary: StoreSummary) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _sentences(summary):
        table.add_row(name, Text(value))
    return table


def _sentences(summary: StoreSummary) -> Iterator[tuple[str, str]]:
    """Yield (name, text) for each fact about a store."""
    from rich.filesize import decimal

    facts = summary.facts

    yield "store", facts["path"]
    yield "format", f"{facts['format']} {facts['format_version']}"
    for name, value in facts["experiment"].items():
        digest = name.endswith("_digest")
        yield name.replace("_", " "), (str(value)[:_DIGEST] if digest else str(value)) or "–"
    yield from _checkpoint(facts["checkpoint"])
    yield "layout", f"{facts['parameters']:,} parameters in {facts['layers']} layers"
    yield "languages", f"{len(facts['languages'])}: {', '.join(facts['languages'])}"
    if former := facts["former_labels"]:
        yield "relabelled", ", ".join(f"{label} was {' and '.join(labels)}" for label, labels in former.items())
    yield "seeds", ", ".join(map(str, facts["seeds"])) or "none"
    yield "densities", ", ".join(map(str, facts["densities"])) or "none"
    full = len(facts["languages"]) * len(facts["seeds"]) * len(facts["densities"])
    yield "rows", f"{facts['rows']} of {full} (languages × seeds × densities)"
    yield "unfinished", ", ".join(facts["unfinished_rows"]) or "none"
    if left := summary.leftovers:
        number = f"{counted(len(left), 'file or folder', 'files and folders')}, {decimal(sum(left.values()))}"
        yield "leftovers", f"{number}; `prune --unfinished` removes those that no process is writing"
    yield "size", decimal(facts["bytes"]) + (", compressed" if facts["compressed"] else "")
    if facts["kept_rows"]:
        kept = f"{counted(facts['kept_rows'], 'row')} as {', '.join(facts['kept_fisher'])}"
        yield "Fisher values", f"{kept}, {decimal(facts['kept_bytes'])}"
    for parts in facts["parts"]:
        rows = f"{counted(parts['rows'], 'row')} without each of {parts['count']}"
        yield "parts", f"{rows}, {decimal(parts['bytes'])}"
    yield from _reliability(facts["reliability"])
    yield from _text(facts["text"])
    for same in facts["same_text"]:
        yield "same text", f"{', '.join(same['languages'])} (seed {same['seed']})"


def _checkpoint(checkpoint: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (name, text) for weights that were de-quantised or merged with an adapter."""
    if types := checkpoint.get("quantisation"):
        listed = ", ".join(f"{kind}: {count}" for kind, count in types.items()) if isinstance(types, dict) else types
        yield "weights", f"{checkpoint.get('format', '')}, de-quantised ({listed})"
    if adapter := checkpoint.get("adapter"):
        digest = adapter.get("digest", "")[:_DIGEST]
        yield "adapter", f"{adapter.get('kind')} (r = {adapter.get('r')}, {digest}) merged into {adapter.get('base')}"


def _reliability(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield (name, text) for the reliability of rows: its mean over languages, and its lowest value."""
    last_checks = [{**row, "stability": row["stability"][-1][1]} for row in rows if row.get("stability")]
    for name, label, known in (("split_half", "split-half", rows), ("stability", "last check", last_checks)):
        values = {f"{row['language']}, seed {row['seed']}": row[name] for row in known if row.get(name) is not None}
        if values:
            worst = min(values, key=lambda row: values[row])
            average = sum(values.values()) / len(values)
            yield label, f"Jaccard {average:.3f} on average, {values[worst]:.3f} at lowest ({worst})"
    used = [row["stability"][-1][0] for row in rows if row.get("stability")]
    if used:
        yield "examples used", f"{min(used):,} to {max(used):,} per row"


def _text(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield (name, text) for each fact about unused text: skipped lines, cut examples, and examples left out."""
    lines: Counter[str] = Counter()
    for row in {row["language"]: row for row in rows}.values():  # The counts of lines are the same for all seeds.
        lines.update({what: number for what, number in row.get("lines", {}).items() if what not in ("read", "usable")})
    if lines:
        yield "lines", ", ".join(f"{number:,} {_LINES.get(what, what)}" for what, number in lines.items())
    cut = [row for row in rows if row.get("examples_cut")]
    if cut:
        worst = max(cut, key=lambda row: row.get("tokens_left_out", 0))
        yield (
            "examples cut",
            f"{sum(row['examples_cut'] for row in cut):,} in {counted(len(cut), 'row')} (a language and a seed); "
            f"at most {100 * worst.get('tokens_left_out', 0):.1f} % of the tokens of a row left out "
            f"({worst['language']}, seed {worst['seed']})",
        )
    if unusable := sum(row.get("examples_unusable", 0) for row in rows):
        yield "left out", f"{counted(unusable, 'example')} without a token to predict"


def _rows_table(summary: StoreSummary) -> Table:
    """Return a table that lists, for each density and seed, the languages that have a row and those that lack one."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("density", "seed", "languages"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("not there", overflow="fold")
    keys = summary.keys
    for density, seed in sorted({(key.density, key.seed) for key in keys}):
        there = {key.language for key in keys if (key.density, key.seed) == (density, seed)}
        lacking = ", ".join(code for code in summary.facts["languages"] if code not in there)
        table.add_row(str(density), str(seed), str(len(there)), Text(lacking or "–"))
    return table


# ------------------------------------------------------------------------------------------- a corpus


def _corpus(options: dict[str, Any], as_json: bool, quiet: bool) -> None:
    from xsns_stream.pipeline.inspection import summarise_corpus
    from xsns_stream.report import shown_name

    corpus = summarise_corpus(options.pop("corpus"), **options)
    for sentence in corpus.notes:
        note(f"note: {sentence}", quiet)
    names = {code: shown_name(code) for code in corpus.languages}
    if as_json:
        facts = {"corpus": corpus.name, "local": corpus.local, "languages": list(corpus.languages), "names": names}
        reasons = [
            {"language": code, "error": error.message, "hint": error.hint} for code, error in corpus.refused.items()
        ]
        emit_json("info", facts | dict(corpus.record) | {"cannot_be_built": reasons})
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    refused = {code: error.message for code, error in corpus.refused.items()}
    columns = ("code", "language", *(["cannot be built"] if refused else []))
    table = Table(*columns, box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for code, name in names.items():
        table.add_row(Text(code), Text(name), *([Text(refused.get(code, ""))] if refused else []))
    stdout_console().print(table)
    note(f"{counted(len(corpus.languages), 'language')} in {corpus.name}", quiet)
    next_step("build", *given_arguments()[1:], quiet=quiet)
