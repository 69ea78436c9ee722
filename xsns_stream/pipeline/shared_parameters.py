"""Parameters that the sub-networks of several languages share: the sizes of their intersection and of their union.

:func:`shared` is the public function; the command `xsns-stream shared` calls it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from xsns_stream.pipeline.cluster_clients import workers_asked
from xsns_stream.pipeline.events import NoteLog, OnReadEvent, progress_of
from xsns_stream.pipeline.row_selection import (
    Codes,
    Seeds,
    StoreLike,
    as_density,
    as_seeds,
    as_store,
    noting,
    require_labels,
    select_languages,
)
from xsns_stream.types.html_table import html_table, text_table

if TYPE_CHECKING:
    import pandas as pd
    from distributed import Client

    from xsns_stream.similarity.groups import Groups
    from xsns_stream.types import Counts


@dataclass(frozen=True)
class SharedGroup:
    """Sizes of the intersection and the union of several sub-networks, within one group of parameters.

    Attributes:
        name: Name of the group, for example `layer.3`.
        parameters: Number of parameters in the group.
        common: For each seed, the number of parameters of the group that are in all sub-networks.
        united: For each seed, the number of parameters of the group that are in at least one sub-network.
    """

    name: str
    parameters: int
    common: tuple[int, ...]
    united: tuple[int, ...]


@dataclass(frozen=True)
class SharedParameters:
    """Sizes of the intersection and the union of the sub-networks of several languages, in total and for each group.

    Attributes:
        languages: Codes of the languages.
        seeds: The seeds.
        density: The density.
        by: Kind of the groups: `layer`, `module` or `tensor`.
        total: The sizes over all parameters; the name of this group is `all`.
        groups: The sizes within each group.
        notes: Notes on languages that were left out.
    """

    languages: tuple[str, ...]
    seeds: tuple[int, ...]
    density: float
    by: str
    total: SharedGroup
    groups: tuple[SharedGroup, ...]
    notes: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `xsns-stream shared --json` prints."""
        return {
            "languages": list(self.languages),
            "seeds": list(self.seeds),
            "density": self.density,
            "parameters": self.total.parameters,
            "common": list(self.total.common),
            "united": list(self.total.united),
            "by": self.by,
            "groups": [
                {
                    "name": group.name,
                    "parameters": group.parameters,
                    "common": list(group.common),
                    "united": list(group.united),
                }
                for group in self.groups
            ],
        } | ({"notes": list(self.notes)} if self.notes else {})

    def to_frame(self) -> pd.DataFrame:
        """Return a pandas frame with one row for each group and a last row `all`; the sizes are means over seeds."""
        import pandas as pd

        rows = [
            (
                group.name,
                group.parameters,
                sum(group.common) / len(self.seeds),
                sum(group.united) / len(self.seeds),
            )
            for group in (*self.groups, self.total)
        ]
        return pd.DataFrame(rows, columns=[self.by, "parameters", "common", "united"])

    def _repr_html_(self) -> str:
        return html_table(self.to_frame(), self._caption(), notes=self.notes, number="{:,.0f}")

    def __repr__(self) -> str:
        return text_table(self.to_frame(), self._caption())

    def _caption(self) -> str:
        return f"Parameters that {', '.join(self.languages)} have in common, by {self.by}"


def shared(
    store: StoreLike,
    languages: Codes,
    *,
    seeds: Seeds | None = None,
    density: float | None = None,
    by: Literal["layer", "module", "tensor"] = "layer",
    workers: int | Literal["auto"] | None = None,
    scheduler: str | None = None,
    client: Client | None = None,
    retries: int | None = None,
    worker_timeout: float | None = None,
    on_event: OnReadEvent | None = None,
) -> SharedParameters:
    """Count the parameters that the sub-networks of several languages share, like the command `xsns-stream shared`.

    :func:`xsns_stream.common` and :func:`xsns_stream.united` return the parameters instead of their number.

    Args:
        store: A store, or its folder or URL.
        languages: The languages; `all` means all languages that have every seed.
        seeds: Seeds; by default all seeds of the store.
        density: Density; required if the store has several densities.
        by: `layer`, `module` or `tensor`, to count each layer, kind of module or tensor separately.
        workers: Number of processes on this machine that count, or `auto`; see :func:`xsns_stream.similarity`.
        scheduler: Address of a running Dask scheduler, or the path of its scheduler file.
        client: A Dask client.
        retries: Number of times that a range is counted again after its worker died; 3 by default.
        worker_timeout: Seconds after which a worker that has not finished a range is restarted.
        on_event: Handler of progress and notes.

    Raises:
        UsageError: The store does not have the seed or the density.
        LanguageError: A language is not in the store, or lacks a seed.
        StoreError: The store cannot be read, or a row has changed.
        IncompatibleError: A worker has other versions of libraries.

    >>> import xsns_stream as xs
    >>> parameters = xs.shared("xsns.zarr", "sw,zu")
    >>> parameters.total.common, parameters.total.united
    ((191, 197), (239, 300))
    """
    from xsns_stream.pipeline.cluster_counts import counted_on_workers
    from xsns_stream.similarity import count_common, select
    from xsns_stream.similarity.groups import groups_of

    cluster = workers_asked(workers, scheduler, client, retries, worker_timeout)
    log = NoteLog(on_event)
    rows = as_store(store)
    density = as_density(density)
    require_labels(rows, as_seeds(seeds), density)
    selected = select_languages(languages, rows, noting(log))
    # `all` means all languages that have every seed.
    selection = select(rows, languages=selected, seeds=as_seeds(seeds) or None, density=density)
    groups = groups_of(rows.layout, by)
    with counted_on_workers(cluster, "cpu", log) as counter:
        counts = [
            count_common(rows, selection, seed, groups, progress_of(f"comparing, seed {seed}", log), counter)
            for seed in selection.seeds
        ]
    total, each = _shared_groups(counts, groups)
    return SharedParameters(selection.sources, selection.seeds, selection.density, by, total, each, tuple(log.notes))


def _shared_groups(
    counts: Sequence[tuple[Counts, Counts]], groups: Groups
) -> tuple[SharedGroup, tuple[SharedGroup, ...]]:
    """Return the sizes over all parameters, and the sizes within each group.

    Args:
        counts: For each seed, the sizes of the intersection and of the union in each group, int64 [groups] each.
        groups: Names and sizes of the groups.
    """
    common, united = ([seed[part].tolist() for seed in counts] for part in (0, 1))
    total = SharedGroup("all", sum(groups.sizes), tuple(map(sum, common)), tuple(map(sum, united)))
    return total, tuple(
        SharedGroup(name, size, tuple(seed[index] for seed in common), tuple(seed[index] for seed in united))
        for index, (name, size) in enumerate(zip(groups.names, groups.sizes, strict=True))
    )
