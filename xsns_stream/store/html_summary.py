"""Short description of a store as HTML, for a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from xsns_stream.errors import XsnsError
from xsns_stream.io.tables import listed
from xsns_stream.languages import shown_name
from xsns_stream.types.html_table import html_notes, html_table

if TYPE_CHECKING:
    from xsns_stream.store.format import RowKey
    from xsns_stream.store.store import SubNetworkStore

#: Largest number of languages in the table. Only the records of these languages are read, so that large and remote
#: stores are shown quickly.
_LANGUAGES: Final = 12
#: Largest number of seeds or densities that are listed.
_LABELS: Final = 8


def html_summary(store: SubNetworkStore) -> str:
    """Return a summary of a store as HTML: its experiment, and a table of its first languages.

    If the store cannot be read, the summary is the error message.

    Args:
        store: The store, which need not exist yet.
    """
    try:
        if not store.exists:
            return html_notes((f"Store {store.path}: it has no rows yet.",))
        keys = store.keys()
        if not keys:
            return html_notes((f"Store {store.path}: it has no rows yet.",))
        table = _language_table(store, keys)
        return "\n".join((table, html_notes(_facts(store))))
    except XsnsError as error:
        return html_notes((f"Store {store.path}: {error.message}", error.hint))


def _facts(store: SubNetworkStore) -> list[str]:
    """Return sentences on the model, the text, the objective, the seeds and the densities of a store."""
    experiment = store.experiment
    seeds, densities = _listed(store.seeds), _listed(f"{density:g}" for density in store.densities)
    folds = f"; parts: {_listed(store.fold_counts)}" if store.fold_counts else ""
    return [
        f"Model {experiment['model']}, {store.layout.size:,} parameters in {len(store.layout.layers)} layers; "
        f"text {experiment['corpus']}; objective {experiment['objective']}.",
        f"Seeds: {seeds}; densities: {densities}{folds}.",
    ]


def _listed(labels: Iterable[object]) -> str:
    return listed(list(map(str, labels)), _LABELS)


def _language_table(store: SubNetworkStore, keys: Sequence[RowKey]) -> str:
    """Return an HTML table that has one line for each of the first languages.

    The number of examples and the split-half coefficient are those of the first row of the language.
    """
    import pandas as pd

    rows: dict[str, list[RowKey]] = {}
    for key in keys:
        rows.setdefault(key.language, []).append(key)
    lines = []
    for language in sorted(rows)[:_LANGUAGES]:
        first = rows[language][0]
        record = store.record(language, first.seed, first.density)
        half = store.reliability(record).get("split_half")
        lines.append((language, shown_name(language), len(rows[language]), record.provenance.examples, half))
    header = ["code", "language", "rows", "examples", "split-half"]
    frame = pd.DataFrame(lines, columns=header).dropna(axis="columns", how="all")
    more = [f"{_LANGUAGES} of {len(rows):,} languages are shown."] if len(rows) > _LANGUAGES else []
    count = f"{len(rows):,} {'language' if len(rows) == 1 else 'languages'}"
    return html_table(frame, f"Store {store.path}: {count}, {len(keys):,} sub-networks", notes=more, number="{:.3f}")
