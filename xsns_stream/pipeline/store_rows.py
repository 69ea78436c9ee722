"""Functions that copy, merge, relabel, prune and export rows of stores."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from xsns_stream.errors import LanguageError, PartialError, StoreError, UsageError
from xsns_stream.io.tables import listed
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

#: Placeholder in the name of an exported file that is replaced by the code of the language.
LANGUAGE_FIELD: Final = "{lang}"
#: Largest number of rows that an error message names; the result of the function contains all.
_NAMED: Final = 3
OnProgress = Callable[[int, int], None] | None
#: Handler that is called with a sentence for each language whose label in the store is not the given code.
OnNote = Callable[[str], None]
_Key = TypeVar("_Key", RowKey, FisherKey)


# ------------------------------------------------------------------------------------------------------ selection


def _unheard(sentence: str) -> None:
    """Do nothing with a note; this is the default handler of notes."""


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
        keys: Keys of all rows.
        lang: Codes of languages; a string may contain several codes, separated by commas.
        seeds: Seeds.
        densities: Densities. Keys of Fisher values have no density, and match every density.
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
    # If the user gave a filter that names no language, such as an empty text, `select` raises an error: the filter must
    # not select all rows.
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
        codec: Compression of a new store, `none` or `zstd`; by default the compression of the source.
        with_fisher: Whether to also copy Fisher values of the same languages and seeds.
        on_progress: Called with (done, total) after each copied item.
        on_note: Called with a sentence for each language that has another label in the store.

    Raises:
        StoreError: A store cannot be read or written, or `target` has one of the rows with different bits.
        UsageError: The target has another codec, or a filter names a seed or density without rows.
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
    """Open the store to copy to. A new store gets the given codec, or the codec of the source if none is given.

    Raises:
        StoreError: There is something other than a store at the path.
        UsageError: The store exists and has another codec.
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
    """Copy the rows of several stores of the same experiment into one store, like `xsns-stream merge`.

    Args:
        target: The store to write to; it is created if it does not exist.
        sources: The stores to read.
        with_fisher: Whether to also copy Fisher values.
        on_progress: Called with (done, total).

    Raises:
        IncompatibleError: The stores contain different experiments.
        StoreError: A store cannot be read or written, or two stores have the same row with different bits.
    """
    opened = [as_store(source) for source in sources]
    return merge_stores(open_store(target, "a"), opened, with_fisher=with_fisher, on_progress=on_progress)


def require_rows(verb: str, result: CopyResult, target: str) -> None:
    """Check that a copy or merge found at least one row.

    Args:
        verb: The verb for the message, `copy` or `merge`.
        result: The result of the copy or merge.
        target: Path of the store that was written to.

    Raises:
        StoreError: There was no row. The target may not exist then.
    """
    if not (result.written or result.skipped or result.failed):
        raise StoreError(
            f"there is no row to {verb}: nothing was written to '{target}'.", "choose other rows, or build them first."
        )


def refuse_unread_rows(result: CopyResult, target: str) -> None:
    """Raise an error if rows could not be read from their source.

    Raises:
        PartialError: Some rows could not be read. The other rows were copied.
    """
    if not result.failed:
        return
    first, number = next(iter(result.failed.values())), len(result.failed)
    names = listed([str(key) for key in result.failed], _NAMED)
    copied = f"the other rows are in '{target}'." if result.written or result.skipped else "no row was copied."
    raise PartialError(
        f"{number:,} {'row' if number == 1 else 'rows'} could not be read: {names}.",
        f"{copied} The first error: {first.message} {first.hint}".rstrip(),
    )


# --------------------------------------------------------------------------------------------------------- relabel


def relabel(store: StoreLike, old: str, new: str, *, on_progress: OnProgress = None) -> RelabelResult:
    """Give the rows of a language another label, like `xsns-stream relabel`.

    The folds, the saved Fisher values and the cached overlap counts of the rows get the new label too. If a call is
    interrupted, the same call completes the change.

    Args:
        store: The store.
        old: The present label, or another spelling of it (such as `swa` for `sw`).
        new: The new label; it is stored as given, without normalisation.
        on_progress: Called with (done, total).

    Raises:
        LanguageError: The store has no row with the label `old`, or it has a row with the label `new`, or `new` is not
            a valid label.
        StoreError: The store does not exist or cannot be written, or a row is damaged, or another process is measuring
            a row.
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
    """Open a store, and return it with a plan of what to remove; :func:`prune` carries out the plan.

    Args:
        store: The store.
        lang: Codes of the languages whose rows are removed; empty for all.
        keep_lang: Codes of languages to keep; the rows of all other languages are removed.
        seeds: Only rows with these seeds are removed; empty for all seeds.
        densities: Only rows with these densities are removed; empty for all densities.
        fisher: Whether to remove Fisher values instead of sub-networks.
        parts: Whether to remove the parts (folds) of rows instead of the rows.
        unfinished: Whether to remove the leftovers of killed builds.
        writable: Whether the store is opened for writing.
        on_note: Called with a sentence for each language that has another label in the store.

    Raises:
        StoreError: The store does not exist.
        LanguageError: A language is not in the store.
        UsageError: No argument selects anything to remove, arguments exclude each other, or a seed or density has no
            rows.
    """
    # Leftovers beside the store are part of the plan, and must not be removed when the store is opened.
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
    """Return the keys to remove: those of the languages in `lang`, or of all languages that are not in `keep_lang`."""
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
    """Result of an export of sub-networks.

    Attributes:
        files: One dictionary for each written file. It has the path and size of the file, the language, seed and
            density of the row, the numbers of selected and of all parameters, and the digest of the layout.
        failed: {language: error} of the rows that could not be read or written.
        left_out: Languages that have no sub-network of the exported seed and density in the store.
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
        output: Path of the file, in which `{lang}` is replaced by the code of the language. A file with the suffix
            .safetensors has one boolean mask for each tensor; a file with the suffix .npz has the indices of the
            selected parameters.
        languages: Codes, or `all`.
        seed: The seed; may be None if the store has only one.
        density: The density; may be None if the store has only one.
        on_left_out: Called before the first file is written, with the languages that have no sub-network of this seed
            and density; not called if there are none.
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
    # Labels are safe in file names: a store accepts only letters and digits, with single `-`, `_` or `.` between them.
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
    """Return the keys of the rows to export, and the languages that have no such row."""
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
