"""Counts of several rows: sums over ranges of columns, and the bits that rows have in common."""

import numpy as np
import pytest

from xsns_kernels import ArrayColumns
from xsns_stream.errors import StoreError
from xsns_stream.similarity import common, count_by_group, count_common, select, united
from xsns_stream.similarity.groups import groups_of
from xsns_stream.similarity.row_counts import AllPairs, CommonAndUnited, Device, TwoSides
from xsns_stream.similarity.streaming import Picked

CODES = ("en", "fi", "sw", "zu", "yo")


@pytest.fixture
def store(memory_rows, random_rows, two_layers):
    return memory_rows(random_rows(CODES, two_layers.size), two_layers)


@pytest.mark.parametrize("by", ["layer", "module", "tensor"])
@pytest.mark.parametrize("codes", [CODES, ("sw",), ("zu", "en", "sw", "fi")])
def test_common_parameters_are_those_of_the_sets(store, two_layers, by, codes):
    selection = select(store, languages=codes)
    in_all, in_any = count_common(store, selection, 0, groups_of(two_layers, by))
    assert in_all.tolist() == list(count_by_group(common(store, codes), by).values())
    assert in_any.tolist() == list(count_by_group(united(store, codes), by).values())


def test_common_parameters_of_changed_rows_are_refused(store, two_layers, monkeypatch):
    recorded = np.arange(len(CODES))
    monkeypatch.setattr(type(store), "cardinalities", lambda *arguments: recorded)
    with pytest.raises(StoreError, match="rows have changed since they were committed: 'en' has"):
        count_common(store, select(store), 0, groups_of(two_layers, "layer"))


@pytest.mark.parametrize(
    ("rows", "pairs"),
    [(AllPairs(CODES), 15), (TwoSides(CODES, (0, 1), 2), 10), (TwoSides(CODES, (), 3), 6), (CommonAndUnited(CODES), 5)],
    ids=["all pairs", "two sides with common rows", "two sides", "common"],
)
@pytest.mark.parametrize("threads", [1, None])
def test_counts_of_ranges_add_up_to_the_whole(rows, pairs, threads, random_rows):
    assert rows.pairs == pairs
    array = np.stack(list(random_rows(CODES, 40 * 64).values()))
    columns = ArrayColumns(array)
    totals = rows.count(columns, None, 1)
    ranges = [(0, 1), (1, 17), (17, 40)]
    parts = [rows.count(Picked(columns, [each]), None, 1, None, Device(threads=threads)) for each in ranges]
    for number, expected in enumerate(totals):
        assert np.array_equal(sum(part[number] for part in parts), expected)
