"""Intersection and union of several sub-networks, compared with Python integers."""

from functools import reduce
from operator import and_, or_

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xsns_kernels import unpack_bits
from xsns_stream.errors import LanguageError, StoreError
from xsns_stream.similarity import common, count_by_group, united
from xsns_stream.similarity import nway as combining
from xsns_stream.types import ParameterSet

CODES = ("en", "fi", "sw", "yo")


@given(
    codes=st.lists(st.sampled_from(CODES), min_size=1, unique=True), seed=st.integers(0, 9), budget=st.integers(1, 200)
)
def test_results_equal_those_of_integers(memory_rows, two_layers, random_rows, codes, seed, budget):
    store = memory_rows(random_rows(CODES, two_layers.size, seed), two_layers)
    numbers = [int.from_bytes(store.packed[code].tobytes(), "little") for code in codes]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(combining, "_BLOCK_BYTES", budget)
        for combine, operation in ((common, and_), (united, or_)):
            combined = combine(store, codes)
            expected = reduce(operation, numbers)
            assert int.from_bytes(combined.bits.tobytes(), "little") == expected
            assert len(combined) == expected.bit_count()
            assert combined.layout is two_layers
            sets = [ParameterSet(store.packed[code], two_layers) for code in codes]
            assert combined == reduce(operation, sets)


def test_common_parameters_are_counted_by_layer_module_and_tensor(memory_rows, two_layers, random_rows):
    store = memory_rows(random_rows(CODES, two_layers.size), two_layers)
    in_both = common(store, ["en", "sw"])
    bits = unpack_bits(in_both.bits, two_layers.size)
    assert count_by_group(in_both) == {"model.layers.0": bits[:110].sum(), "model.layers.1": bits[110:].sum()}
    assert count_by_group(in_both, "module")["scale"] == bits[107:110].sum()
    for by in ("layer", "module", "tensor"):
        assert sum(count_by_group(in_both, by).values()) == in_both.cardinality
    assert len(united(store)) == sum(count_by_group(united(store, CODES)).values())


def test_rows_that_cannot_be_combined(memory_rows, two_layers, random_rows):
    store = memory_rows(random_rows(CODES, two_layers.size), two_layers)
    with pytest.raises(LanguageError, match="no sub-network of 'xx'"):
        common(store, ["en", "xx"])

    class Damaged(memory_rows):
        def cardinalities(self, languages, seed, density):
            return super().cardinalities(languages, seed, density) + 1

    progress = []
    with pytest.raises(StoreError, match="rows have changed since they were committed: 'en' has"):
        united(Damaged(store.packed, two_layers), ["en"], on_progress=lambda *done: progress.append(done))
    assert progress[-1] == (4, 4)
    assert np.bitwise_count(store.packed["en"]).sum() > 0
