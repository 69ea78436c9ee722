"""Commit what one measured row consists of, while other processes may commit the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final

from xsns_stream.pipeline.events import Noted, Row
from xsns_stream.pipeline.measure import Measured, Run
from xsns_stream.store import OtherBitsError, SubNetworkStore
from xsns_stream.types import SubNetwork

_OTHER_BITS: Final = (
    "was committed by another process meanwhile, with other bits, as other hardware or other batches round "
    "differently; the first commit counts."
)
_WITHOUT_HALVES: Final = (
    "was in the store already: its parts are added, and its record, which is never rewritten, stays without split-half."
)


class RowCommits:
    """The commits of one row: its sub-networks at each density, and those that leave out a part.

    What is committed when this object is made stays as it is: an interrupted run may have committed it, and other
    batches may have rounded it differently. What another process commits later is counted as lost.

    Args:
        row: The row.
        run: What all rows share.

    Attributes:
        written: Number of commits of this process.
        lost: Number of commits of other processes since this object was made.
    """

    def __init__(self, row: Row, run: Run) -> None:
        self.row, self.run = row, run
        self.written = self.lost = 0
        self._told = False
        stores = [run.store, *(run.store.parts(run.settings.parts) if run.settings.parts else ())]
        self._there = {
            (number, density)
            for number, store in enumerate(stores)
            for density in run.settings.densities
            if store.is_committed(row.language, row.seed, density)
        }

    def write_parts(self, measured: Measured) -> None:
        """Commit what leaves out a part, to be done before the row: a row that was measured in parts has them."""
        count = len(measured.parts)
        for number, networks in enumerate(measured.parts, start=1):
            write = partial(self.run.store.write_part, count=count, number=number)
            for network in networks:
                self._add(network, number, self.run.store.parts(count)[number - 1], write)

    def write(self, network: SubNetwork, measured: Measured) -> None:
        """Commit the row's sub-network of one density.

        Raises:
            OtherBitsError: Another process has committed it from other text.
        """
        reliability = measured.reliability(network.density)
        if (0, network.density) in self._there:
            self._note_halves(network, reliability)
            return
        provenance = replace(measured.fisher.provenance, reliability=reliability)
        self._add(replace(network, provenance=provenance), 0, self.run.store, self.run.store.write)

    def _add(
        self, network: SubNetwork, number: int, store: SubNetworkStore, write: Callable[[SubNetwork], bool]
    ) -> None:
        if (number, network.density) in self._there:
            return
        try:
            ours = write(network)
        except OtherBitsError:
            there = store.record(network.language, network.seed, network.density).provenance
            if there.corpus_digest != network.provenance.corpus_digest:
                raise
            ours = False
            self._tell_once(_OTHER_BITS)
        self.written += ours
        self.lost += not ours

    def _note_halves(self, network: SubNetwork, reliability: dict[str, object]) -> None:
        if "split_half" not in reliability:
            return
        record = self.run.store.record(network.language, network.seed, network.density)
        if "split_half" not in record.provenance.reliability:
            self._tell_once(_WITHOUT_HALVES)

    def _tell_once(self, text: str) -> None:
        if not self._told:
            self._told = True
            self.run.tell(Noted(text, self.row))
