"""`xsns-stream prune`: drop rows, kept Fisher values, or what crashes left in a store."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from xsns_stream.cli.output import common_options, counted, emit_json, examples, lasting, progress_bar, say
from xsns_stream.cli.selection import key_json, select_keys, selection_options
from xsns_stream.errors import UsageError

if TYPE_CHECKING:
    from xsns_stream.store import FisherKey, FoldKey, RowKey, SubNetworkStore
    from xsns_stream.store.prune import PrunePlan

_Key = TypeVar("_Key", "RowKey", "FisherKey")


@click.command(
    name="prune",
    epilog=examples(
        "xsns-stream prune xsns.zarr --keep-lang sw,zu --dry-run", "xsns-stream prune xsns.zarr --unfinished --yes"
    ),
)
@click.argument("store", metavar="STORE", callback=lasting)
@selection_options
@click.option("--keep-lang", multiple=True, metavar="CODES", help="All languages but these, instead of --lang.")
@click.option("--fisher", is_flag=True, help="Drop kept Fisher values, and leave the sub-networks.")
@click.option("--parts", is_flag=True, help="Drop the parts of rows, and leave the rows.")
@click.option("--unfinished", is_flag=True, help="Drop what killed builds left: rows never committed, partial files.")
@click.option("--dry-run", is_flag=True, help="Say what would be dropped, and stop.")
@click.option("-y", "--yes", is_flag=True, help="Drop it without asking.")
@common_options
def command(store: str, dry_run: bool, yes: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Drop rows of a store, kept Fisher values, or what crashes left.

    Says what goes and what that frees. What is dropped is gone; building again measures it anew. Without a terminal
    nothing is asked, and nothing dropped without --yes.
    """
    from xsns_stream.store import open_store
    from xsns_stream.store.prune import plan_prune, prune

    if dry_run and yes:
        raise UsageError("--dry-run and --yes were both given.", "ask for one of them.")
    # What is left beside the store is named before it goes.
    opened = open_store(store, "r" if dry_run else "a", sweep=False)
    opened.load()
    rows, kept, parts = _chosen(opened, store, **options)
    plan = plan_prune(opened, rows, kept, folds=parts, leftovers=options["unfinished"])
    if not as_json:
        _show(plan, store, "would be dropped" if dry_run else "to be dropped")
    dropped = not dry_run and (yes or not plan.things or _agreed(as_json))
    if dropped:
        with progress_bar("dropping", quiet) as on_progress:
            plan = prune(opened, plan, on_progress)
    if not as_json and not dry_run:
        say(f"{store}: {_amount(plan)} dropped." if dropped else f"{store}: nothing was dropped.")
    if as_json:
        emit_json("prune", _result(plan, store, dropped))


def _chosen(
    opened: SubNetworkStore,
    store: str,
    lang: tuple[str, ...],
    seeds: tuple[int, ...],
    densities: tuple[float, ...],
    keep_lang: tuple[str, ...],
    fisher: bool,
    parts: bool,
    unfinished: bool,
) -> tuple[Sequence[RowKey], Sequence[FisherKey], Sequence[FoldKey]]:
    """Return the rows, the kept values and the parts that are meant.

    Raises:
        UsageError: Nothing was asked for, or options that contradict each other.
    """
    filtered = bool(lang or seeds or densities or keep_lang)
    if not (filtered or fisher or parts or unfinished):
        raise UsageError(
            f"nothing of the store '{store}' was asked to be dropped.",
            "choose rows with --lang, --keep-lang, --seed or --density, or give --fisher, --parts or --unfinished.",
        )
    for one, other, given in (("--lang", "--keep-lang", lang and keep_lang), ("--fisher", "--parts", fisher and parts)):
        if given:
            raise UsageError(f"{one} and {other} were both given.", "say what goes, or what stays; one at a time.")
    if fisher and densities:
        raise UsageError("--density means nothing for Fisher values.", "leave it away, or leave --fisher away.")
    if not (fisher or parts or filtered):
        return (), (), ()
    where = f"the store '{store}'"
    every = [key for count in opened.fold_counts for key in opened.fold_keys(count)] if parts else []
    if parts:
        rows = _keys(sorted({key.row for key in every}), lang, keep_lang, seeds, densities, f"the parts of {where}")
        return (), (), [key for key in every if key.row in set(rows)]
    if fisher:
        return (), _keys(opened.fisher_keys(), lang, keep_lang, seeds, (), f"the Fisher values of {where}"), ()
    return _keys(opened.keys(), lang, keep_lang, seeds, densities, where), (), ()


def _keys(
    keys: Sequence[_Key],
    lang: tuple[str, ...],
    keep_lang: tuple[str, ...],
    seeds: tuple[int, ...],
    densities: tuple[float, ...],
    where: str,
) -> Sequence[_Key]:
    """Return the keys that are chosen, by what goes or by what stays."""
    from xsns_stream.languages import select

    if keep_lang:
        known = sorted({key.language for key in keys})
        staying = select(keep_lang, known, where)
        lang = tuple(code for code in known if code not in staying)
        if not lang:
            return ()
    return select_keys(keys, lang, seeds, densities, where)


def _agreed(as_json: bool) -> bool:
    """Ask, where somebody can answer.

    Raises:
        UsageError: Nobody can.
    """
    if as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError(
            "nothing was dropped, because nobody could be asked.", "give --yes, or --dry-run to look only."
        )
    return click.confirm("drop it?", err=True)


def _amount(plan: PrunePlan) -> str:
    from rich.filesize import decimal

    parts = [
        counted(len(plan.rows), "row"),
        *([f"Fisher values of {counted(len(plan.fisher), 'row')}"] if plan.fisher else []),
        *([counted(len(plan.folds), "part")] if plan.folds else []),
        *([counted(len(plan.leftovers), "leftover")] if plan.leftovers else []),
    ]
    return f"{', '.join(parts)}, {decimal(plan.bytes)}"


def _show(plan: PrunePlan, store: str, what: str) -> None:
    for key in (*plan.rows, *plan.fisher, *plan.folds, *plan.leftovers):
        say(f"  {key}")
    say(f"{store}: {_amount(plan)} {what}.")


def _result(plan: PrunePlan, store: str, dropped: bool) -> dict[str, Any]:
    return {
        "store": store,
        "dropped": dropped,
        "rows": [key_json(key) for key in plan.rows],
        "kept_rows": [key_json(key) for key in plan.fisher],
        "parts": [key_json(key.row) | {"part": key.number, "parts": key.count} for key in plan.folds],
        "leftovers": list(plan.leftovers),
        "bytes": plan.bytes,
    }
