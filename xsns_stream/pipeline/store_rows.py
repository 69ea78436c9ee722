"""Functions on the rows of stores: copy, merge, relabel, prune and export."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from xsns_stream.errors import LanguageError, PartialError, StoreError, UsageError
from xsns_stream.languages import pick, require_string, select
from xsns_stream.pipeline.row_selection import StoreLike, as_store, require_path, select_languages
from xsns_stream.store import FisherKey, FoldKey, RowKey, SubNetworkStore, open_store
from xsns_stream.store.copy_merge import CopyResult, copy_rows, merge_stores
from xsns_stream.store.prune import PrunePlan, plan_prune, prune
from xsns_stream.store.relabel import RelabelResult
from xsns_stream.types.subnetwork import check_target

__all__ = [
    "CopyResult",
    "ExportResult",
    "FisherKey",
    "FoldKey",
    "PrunePlan",
    "RelabelResult",
    "RowKey",
    "copy_store",
    "export_rows",
    "merge",
    "prune",
    "prune_plan",
    "refuse_unread_rows",
    "relabel",
    "require_rows",
    "select_keys",
]

#: Placeholder for the code of the language in the name of an exported file.
LANGUAGE_FIELD: Final = "{lang}"
#: Largest number of rows that an error names; the result of the verb names all.
_NAMED: Final = 3
OnProgress = Callable[[int, int], None] | None
#: Handler of a sentence for each language that has another label in the store than it was named by.
OnNote = Callable[[str], None]
_Key = TypeVar("_Key", RowKey, FisherKey)


# ------------------------------------------------------------------------------------------------------ selection


def _unheard(sentence: str) -> None:
    """Ignore a note."""


def select_keys(
    keys: Sequence[_Key],
    lang: Sequence[str],
    seeds: Sequence[int],
    densities: Sequence[float],
    where: str,
    on_note: OnNote = _unheard,
) -> tuple[_Key, ...]:
    """Return the rows that match all filters; an empty filter matches all rows.

    Args:
        keys: All rows.
        lang: Codes of languages; a string may contain several codes with commas.
        seeds: Seeds.
        densities: Densities; Fisher values have no density and always match.
        where: Name of the store, for messages.
        on_note: Called with a sentence for each language that has another label in the store.

    Raises:
        LanguageError: A language is not among `keys`; the hint suggests similar codes.
        UsageError: A seed or a density is not among `keys`.
    """
    _require("seed", seeds, sorted({key.seed for key in keys}), where)
    if densities:
        _require("density", densities, sorted({key.density for key in keys if key.density is not None}), where)
    languages = sorted({key.language for key in keys})
    # An empty filter of the user is an error, because it must not select all rows.
    selected = set(select(lang, languages, where, on_note) if lang else languages)
    return tuple(
        key
        for key in keys
        if key.language in selected
        and (not seeds or key.seed in seeds)
        and (not densities or key.density is None or key.density in densities)
    )


def _require(name: str, requested: Sequence[Any], known: Sequence[Any], where: str) -> None:
    missing = [value for value in requested if value not in known]
    if missing:
        raise UsageError(
            f"there is no {name} {', '.join(map(str, missing))} in {where}.",
            f"it has {', '.join(map(str, known))}." if known else "it has no row.",
        )


# --------------------------------------------------------------------------------------------------- copy and merge


def copy_store(
    source: str,
    target: str,
    *,
    lang: Sequence[str] = (),
    seeds: Sequence[int] = (),
    densities: Sequence[float] = (),
    codec: str | None = None,
    with_fisher: bool = False,
    on_progress: OnProgress = None,
    on_note: OnNote = _unheard,
) -> CopyResult:
    """Copy a store, or some of its rows, into another store, like `xsns-stream copy`.

    Args:
        source: The store to copy from.
        target: The store to copy to; it is created if it does not exist.
        lang: Codes of languages; empty for all.
        seeds: Seeds; empty for all.
        densities: Densities; empty for all.
        codec: Compression of a new store, `none` or `zstd`; by default that of the source.
        with_fisher: Whether to also copy Fisher values of the same languages and seeds.
        on_progress: Called with (done, total).
        on_note: Called with a sentence for each language that has another label in the store.

    Raises:
        StoreError: A store cannot be read or written, or `target` has a row with other bits.
        UsageError: The target has another codec, or a filter selects no row.
    """
    origin = as_store(source)
    rows = select_keys(origin.keys(), lang, seeds, densities, f"the store '{source}'", on_note)
    languages = {key.language for key in rows}
    fisher = tuple(
        key
        for key in (origin.fisher_keys() if with_fisher else ())
        if (not lang or key.language in languages) and (not seeds or key.seed in seeds)
    )
    return copy_rows(origin, _open_target(target, origin, codec), rows, fisher=fisher, on_progress=on_progress)


def _open_target(target: str, origin: SubNetworkStore, codec: str | None) -> SubNetworkStore:
    """Open the store to copy to; a new store gets the codec, or that of the source.

    Raises:
        StoreError: The path contains something else.
        UsageError: The store exists with another codec.
    """
    opened = open_store(target, "a")
    if not opened.exists:
        return open_store(target, "a", compressor="zstd" if (codec or _codec(origin)) == "zstd" else "none")
    existing = _codec(opened)
    if codec not in (None, existing):
        raise UsageError(
            f"the store '{target}' exists with codec {existing}, not {codec}.",
            "a store has one codec: omit --codec, or copy to a new store.",
        )
    return opened


def _codec(store: SubNetworkStore) -> str:
    return "zstd" if store.info()["compressed"] else "none"


def merge(
    target: str, sources: Sequence[str], *, with_fisher: bool = False, on_progress: OnProgress = None
) -> CopyResult:
    """Add the rows of stores of one experiment to a store, like `xsns-stream merge`.

    Args:
        target: The store to write to; it is created if it does not exist.
        sources: The stores to read.
        with_fisher: Whether to also copy Fisher values.
        on_progress: Called with (done, total).

    Raises:
        IncompatibleError: The experiments differ.
        StoreError: A store cannot be read or written, or a row has other bits.
    """
    opened = [as_store(source) for source in sources]
    return merge_stores(open_store(target, "a"), opened, with_fisher=with_fisher, on_progress=on_progress)


def require_rows(verb: str, result: CopyResult, target: str) -> None:
    """Check that there was a row to copy.

    Raises:
        StoreError: There was no row, and the target may not exist.
    """
    if not (result.written or result.skipped or result.failed):
        raise StoreError(
            f"there is no row to {verb}: nothing was written to '{target}'.", "choose other rows, or build them first."
        )


def refuse_unread_rows(result: CopyResult, target: str) -> None:
    """Raise an error if rows could not be read from their source.

    Raises:
        PartialError: Some rows could not be read; the others are copied.
    """
    if not result.failed:
        return
    named, more = list(result.failed)[:_NAMED], len(result.failed) - _NAMED
    others = f" and {more} more" if more > 0 else ""
    first = result.failed[named[0]]
    number = len(result.failed)
    raise PartialError(
        f"{number:,} {'row' if number == 1 else 'rows'} could not be read: {', '.join(map(str, named))}{others}.",
        f"the others are in '{target}'. The first: {first.message} {first.hint}".rstrip(),
    )


# --------------------------------------------------------------------------------------------------------- relabel


def relabel(store: StoreLike, old: str, new: str, *, on_progress: OnProgress = None) -> RelabelResult:
    """Give the rows of a language another label: like `xsns-stream relabel`.

    Folds, saved Fisher values and cached counts of the rows get the label too. After a crash, the same call continues.

    Args:
        store: The store.
        old: The label, or another spelling of the same code (`swa` for `sw`).
        new: The new label, which is not normalised.
        on_progress: Called with (done, total).

    Raises:
        LanguageError: The store has no row of `old`, or has a row of `new`, or `new` cannot be a label.
        StoreError: The store does not exist or cannot be written, or a row is damaged or being measured.
    """
    opened = _open_to_change(store)
    opened.load()
    require_string(old)
    require_string(new)
    known = {*opened.languages, *(key.language for key in opened.fisher_keys())}
    with suppress(LanguageError):
        # An interrupted call may have left a part of a row, which the store finds by its label.
        old = pick(old, sorted(known))
    return opened.relabel(old, new, on_progress)


def _open_to_change(store: StoreLike) -> SubNetworkStore:
    if isinstance(store, SubNetworkStore):
        return store
    require_path(store, "the store")
    return open_store(os.fspath(store), "a")


# ----------------------------------------------------------------------------------------------------------- prune


def prune_plan(
    store: str,
    *,
    lang: Sequence[str] = (),
    keep_lang: Sequence[str] = (),
    seeds: Sequence[int] = (),
    densities: Sequence[float] = (),
    fisher: bool = False,
    parts: bool = False,
    unfinished: bool = False,
    writable: bool = True,
    on_note: OnNote = _unheard,
) -> tuple[SubNetworkStore, PrunePlan]:
    """Open a store and return the plan of a removal; :func:`prune` removes it.

    Args:
        store: The store.
        lang: Codes of languages to remove.
        keep_lang: Codes of languages to keep; all others are removed.
        seeds: Only these seeds.
        densities: Only these densities.
        fisher: Whether to remove Fisher values instead of sub-networks.
        parts: Whether to remove the parts of rows instead of the rows.
        unfinished: Whether to remove the leftovers of killed builds.
        writable: Whether the store is opened for writing.
        on_note: Called with a sentence for each language that has another label in the store.

    Raises:
        StoreError: The store does not exist.
        LanguageError: A language is not in the store.
        UsageError: No row is selected, or arguments exclude each other.
    """
    # Leftovers beside the store are part of the plan, so that they must not be removed here.
    opened = open_store(store, "a" if writable else "r", sweep=False)
    opened.load()
    filtered = bool(lang or seeds or densities or keep_lang)
    if not (filtered or fisher or parts or unfinished):
        raise UsageError(
            f"no row to remove from the store '{store}' was selected.",
            "choose rows with --lang, --keep-lang, --seed or --density, or give --fisher, --parts or --unfinished.",
        )
    if fisher and densities:
        raise UsageError("--density does not apply to Fisher values.", "omit --density, or omit --fisher.")
    rows: Sequence[RowKey] = ()
    values: Sequence[FisherKey] = ()
    folds: Sequence[FoldKey] = ()
    where = f"the store '{store}'"
    if parts:
        every = [key for count in opened.fold_counts for key in opened.fold_keys(count)]
        of_rows = sorted({key.row for key in every})
        chosen = set(_keys_to_remove(of_rows, lang, keep_lang, seeds, densities, f"the parts of {where}", on_note))
        folds = [key for key in every if key.row in chosen]
    elif fisher:
        values = _keys_to_remove(
            opened.fisher_keys(), lang, keep_lang, seeds, (), f"the Fisher values of {where}", on_note
        )
    elif filtered:
        rows = _keys_to_remove(opened.keys(), lang, keep_lang, seeds, densities, where, on_note)
    return opened, plan_prune(opened, rows, values, folds=folds, leftovers=unfinished)


def _keys_to_remove(
    keys: Sequence[_Key],
    lang: Sequence[str],
    keep_lang: Sequence[str],
    seeds: Sequence[int],
    densities: Sequence[float],
    where: str,
    on_note: OnNote,
) -> Sequence[_Key]:
    """Return the selected keys: those of the given languages, or those of all other languages."""
    if keep_lang:
        known = sorted({key.language for key in keys})
        kept = select(keep_lang, known, where, on_note)
        lang = tuple(code for code in known if code not in kept)
        if not lang:
            return ()
    return select_keys(keys, lang, seeds, densities, where, on_note)


# ---------------------------------------------------------------------------------------------------------- export


@dataclass(frozen=True)
class ExportResult:
    """Files of exported sub-networks.

    Attributes:
        files: One record for each file: path, labels of the row, sizes and digest of the layout.
        failed: {language: error}.
        left_out: Languages of the store without a sub-network of this seed and density.
    """

    files: tuple[dict[str, Any], ...]
    failed: dict[str, StoreError] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()


def export_rows(
    store: str,
    output: str,
    languages: Sequence[str],
    seed: int | None = None,
    density: float | None = None,
    on_left_out: Callable[[Sequence[str]], None] = lambda languages: None,
    on_note: OnNote = _unheard,
) -> ExportResult:
    """Write sub-networks to files for other programs, like `xsns-stream export`.

    Args:
        store: The store.
        output: Path ending in .safetensors (boolean masks by the name of the tensor) or .npz (indices of the selected
            parameters); `{lang}` in it becomes the code of the language.
        languages: Codes, or `all`.
        seed: The seed; may be None if the store has only one.
        density: The density; may be None if the store has only one.
        on_left_out: Called before the first file with languages that have no sub-network of this seed and density.
        on_note: Called with a sentence for each language that has another label in the store.

    Raises:
        LanguageError, StoreError, UsageError: A row does not exist, a seed or density must be chosen, or files would
            overwrite each other.
    """
    rows = as_store(store)
    keys, left_out = _keys_to_export(rows, store, languages, seed, density, on_note)
    if left_out:
        on_left_out(left_out)
    if LANGUAGE_FIELD not in output and len(keys) > 1:
        raise UsageError(
            f"{len(keys)} languages cannot be written to one file.", f"give a name such as '{LANGUAGE_FIELD}.npz'."
        )
    # A label has only letters, digits and `-`, `_` or `.` between them, otherwise the store would not have accepted it.
    targets = {key: Path(output.replace(LANGUAGE_FIELD, key.language)) for key in keys}
    for target in targets.values():
        check_target(target)
    files, failed = [], {}
    for key, target in targets.items():
        try:
            files.append(_export(rows, key, target))
        except StoreError as error:
            if len(keys) == 1:
                raise
            failed[key.language] = error
    return ExportResult(tuple(files), failed, left_out)


def _keys_to_export(
    rows: SubNetworkStore,
    store: str,
    languages: Sequence[str],
    seed: int | None,
    density: float | None,
    on_note: OnNote,
) -> tuple[list[RowKey], tuple[str, ...]]:
    """Return the rows to export, and languages without a row."""
    named = select_languages(languages, rows, on_note)
    if named is not None:
        return [rows.record(language, seed, density).key for language in named], ()
    every = rows.keys()
    keys = [key for key in every if seed in (None, key.seed) and density in (None, key.density)]
    if not keys:
        raise LanguageError(
            f"the store '{store}' has no sub-network of this seed and density.", "`xsns-stream info` lists its rows."
        )
    # Reading the record raises an error that names seeds and densities if several remain.
    first = rows.record(keys[0].language, seed, density).key
    chosen = [key for key in keys if (key.seed, key.density) == (first.seed, first.density)]
    return chosen, tuple(sorted({key.language for key in every} - {key.language for key in chosen}))


def _export(rows: SubNetworkStore, key: RowKey, target: Path) -> dict[str, Any]:
    network = rows.read(key.language, key.seed, key.density)
    network.save(target)
    return {
        "path": str(target),
        "language": key.language,
        "seed": key.seed,
        "density": key.density,
        "cardinality": network.cardinality,
        "parameters": network.size,
        "layout_digest": network.layout.digest,
        "bytes": target.stat().st_size,
    }
