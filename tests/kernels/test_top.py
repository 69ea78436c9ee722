"""Contract of the K largest values: exact for any sample, for several arrays, with any number of threads."""

import itertools
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import xsns_kernels as kernels
from xsns_kernels import top

SIZE = 40_003
every_impl = pytest.mark.parametrize("impl", kernels.implementations("top_bits"))
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def truth(values, k):
    """Return bool [n] and the threshold by sorting: all values that reach the K-th largest one, except zeros."""
    kth = np.sort(values)[::-1][k - 1]
    positive = values[values > 0]
    threshold = kth if kth > 0 else min(positive, default=np.inf)
    return (values >= threshold) & (values > 0), float(threshold)


def kinds(size=SIZE):
    rng = np.random.default_rng(size)
    plain = rng.standard_normal(size) ** 2
    lines = np.repeat(rng.random(size // 16 + 1), 16)[:size]
    two = np.where(rng.random(size) < 0.15, 2.0, 1.0)
    return {
        "squares": plain,
        "scales by tensor": plain * np.repeat(10.0 ** rng.uniform(-9, 3, 41), size // 40)[:size],
        "ascending": np.sort(plain),
        "descending": np.sort(plain)[::-1].copy(),
        "constant lines": lines,
        "two values": two,
        "two values in order": np.sort(two),
        "all equal": np.full(size, 0.25),
        "all zeros": np.zeros(size),
        "minus zeros": np.where(rng.random(size) < 0.5, -0.0, plain),
        "mostly zeros": np.where(rng.random(size) < 0.9, 0.0, plain),
        "as many zeros as not selected": np.where(rng.random(size) < 0.85, 0.0, plain),
        "one positive": np.where(np.arange(size) == size // 3, 1e-38, 0.0),
        "few distinct": np.floor(plain * 20) / 20,
        "subnormal": rng.integers(0, 5000, size) * 1.4e-45,
        "large": 3.4e38 * rng.random(size),
    }


@pytest.fixture
def sampled(monkeypatch):
    """Use sampling and the single pass for small inputs as well."""
    monkeypatch.setattr(top, "LEAST_VALUES", 1)
    monkeypatch.setattr(top, "_FEWEST_LINES", 16)


@pytest.fixture
def fused(sampled, monkeypatch):
    """Like `sampled`, in many blocks of a few words."""
    monkeypatch.setattr(top, "_BLOCK_OCTETS", 64 * 8 * 3)


def check(values, parts, k, **options):
    words, cardinality, threshold = kernels.top_bits(parts, k, **options)
    expected, lowest = truth(values, k)
    assert words.dtype == np.uint64
    assert type(cardinality) is int
    assert type(threshold) is float
    assert threshold == lowest
    assert cardinality == expected.sum()
    assert np.array_equal(words, kernels.pack_bits(expected))


@every_impl
@every_dtype
@pytest.mark.parametrize("kind", kinds())
@pytest.mark.parametrize("k", [1, 2, SIZE * 15 // 100, SIZE // 2, SIZE - 1, SIZE])
def test_the_result_is_that_of_sorting(impl, dtype, kind, k, fused):
    values = kinds()[kind].astype(dtype)
    check(values, np.split(values, (0, 0, 1, 64, 65, 191, 255, 256, 30_011)), k, impl=impl)


@every_dtype
@pytest.mark.parametrize("kind", kinds())
def test_threads_do_not_change_a_bit(dtype, kind, fused):
    values = kinds()[kind].astype(dtype)
    parts = np.split(values, (3, 20_000, 20_001))
    one, two, three = (kernels.top_bits(parts, 6_001, threads=threads) for threads in (1, 2, 3))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[0], three[0])
    assert one[1:] == two[1:] == three[1:]


@pytest.mark.parametrize("threads", [1, 2, None])
def test_blocks_of_the_usual_size_are_exact(threads):
    values = np.random.default_rng(0).standard_normal(3_000_003, np.float32) ** 2
    for k in (1, 450_000, 2_999_999):
        check(values, np.split(values, (1_000_001, 1_000_100)), k, threads=threads)


@every_dtype
@pytest.mark.parametrize("sizes", [(0, 1, 63, 65, 64, 2) * 40, (1,) * 300, (15,) * 100, (0, 0, 500, 0)], ids=len)
def test_many_tiny_arrays_are_exact(dtype, sizes, fused, random_values):
    values = random_values(sum(sizes), dtype)
    parts = np.split(values, np.cumsum(sizes)[:-1])
    for k in (1, values.size // 7 + 1, values.size):
        check(values, parts, k)


@every_impl
@every_dtype
@pytest.mark.parametrize("size", [1, 2, 15, 16, 17, 63, 64, 65, 1000])
def test_every_rank_of_few_values_is_exact(impl, dtype, size, sampled, random_values):
    values = random_values(size, dtype)
    for k in range(1, size + 1, 1 + size // 90):
        check(values, values, k, impl=impl)


def counted_misses(monkeypatch):
    """Count how often the histogram is needed after a sample was taken."""
    from xsns_kernels import top

    calls = []
    counting = top._by_counting
    monkeypatch.setattr(top, "_by_counting", lambda parts, rank: calls.append(rank) or counting(parts, rank))
    return calls


@pytest.mark.parametrize(
    "kind", ["squares", "scales by tensor", "ascending", "descending", "mostly zeros", "all zeros", "minus zeros"]
)
def test_one_pass_is_enough_for_usual_values(kind, monkeypatch):
    calls = counted_misses(monkeypatch)
    values = kinds(200_003)[kind]
    for k in (1, values.size * 15 // 100, values.size):
        check(values, values, k)
    assert calls == []


@pytest.mark.parametrize("kind", ["mostly zeros", "one positive"])
def test_the_smallest_of_few_positive_values_needs_no_further_pass(kind, monkeypatch):
    monkeypatch.delattr(top, "_smallest")
    values = kinds(200_003)[kind]
    check(values, values, values.size * 15 // 100)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("kind", ["all equal", "two values in order"])
def test_heavy_ties_are_left_to_the_histogram_after_one_miss(kind, threads, fused, monkeypatch):
    calls = counted_misses(monkeypatch)
    values = kinds()[kind]
    k = int((values == values.max()).sum()) // 2
    check(values, values, k, threads=threads)
    assert calls == [k]


@pytest.mark.parametrize(("lowest", "highest"), [(1, 2), (0x7F7F0000, 0x7F7FFFFF), (0x3F000000, 0x3F000001)])
def test_a_wrong_bracket_does_not_change_the_result(lowest, highest, fused, monkeypatch):
    """The bracket is below, above or beside the K-th largest value, which the counts detect."""
    monkeypatch.setattr(top, "_bracket", lambda *_: top._Bracket(lowest, highest))
    for kind in ("squares", "two values", "mostly zeros"):
        values = kinds()[kind].astype(np.float32)
        check(values, values, 6_000)
        check(values, values, SIZE)


def test_no_more_is_collected_than_there_is_room_for(fused, monkeypatch):
    monkeypatch.setattr(top, "_ROOM", 100)
    calls = counted_misses(monkeypatch)
    values = kinds()["squares"].astype(np.float32)
    for threads in (1, 2):
        check(values, values, 6_000, threads=threads)
    assert calls == [6_000, 6_000]


@every_impl
@every_dtype
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf, -1.0, -1e-40])
@pytest.mark.parametrize("kind", ["squares", "all equal", "mostly zeros"])
def test_invalid_values_are_refused_with_their_number(impl, dtype, bad, kind, fused):
    values = kinds()[kind].astype(dtype)
    values[[0, 63, 64, 9_000, SIZE - 1]] = bad
    values[5:8] = -0.0
    with pytest.raises(ValueError, match=f"non-negative and finite; 5 of {SIZE + 5} are negative, infinite or NaN"):
        kernels.top_bits([np.ones(5, dtype), values], 6_000, impl=impl)
    with pytest.raises(ValueError, match=f"5 of {SIZE} are"):
        kernels.top_bits_many(values, (1, 6_000), impl=impl)


@every_dtype
def test_arrays_may_be_read_only_misaligned_or_shaped(dtype, fused):
    values = kinds()["squares"].astype(dtype)
    octets = np.zeros(values.nbytes + 1, np.uint8)
    octets[1:] = values.view(np.uint8)
    shaped = values[:40_000].reshape(200, 200).view()
    shaped.flags.writeable = False
    check(values, octets[1:].view(dtype), 6_000)
    check(values, [shaped[:70], shaped[70:], values[40_000:]], 6_000)


@every_impl
@every_dtype
@pytest.mark.parametrize("kind", kinds())
def test_several_ranks_agree_with_single_ranks_and_are_nested(impl, dtype, kind, fused):
    values = kinds()[kind].astype(dtype)
    parts = np.split(values, (1, 1000))
    ranks = (1, 400, 6_000, 6_001, 20_000, SIZE)
    result = kernels.top_bits_many(parts, ranks, impl=impl)
    for k, (words, cardinality, threshold) in zip(ranks, result, strict=True):
        single = kernels.top_bits(parts, k, impl=impl)
        assert np.array_equal(words, single[0])
        assert (cardinality, threshold) == single[1:]
    for (fewer, _, _), (more, _, _) in itertools.pairwise(result):
        assert np.array_equal(fewer & more, fewer)


@every_impl
def test_no_ranks_give_nothing(impl):
    assert kernels.top_bits_many(np.ones(3), (), impl=impl) == []


@every_impl
@pytest.mark.parametrize(
    ("values", "k", "error", "message"),
    [
        (np.ones(3, np.float32), 0, ValueError, "k must be from 1 to the number of values, 3; got 0"),
        (np.ones(3, np.float32), 4, ValueError, "k must be from 1 to the number of values, 3; got 4"),
        ([], 1, ValueError, "k must be from 1 to the number of values, 0; got 1"),
        (np.ones(3, np.float16), 1, TypeError, r"values\[0\] must have dtype float32 or float64, got float16"),
        (np.ones(6)[::2], 1, ValueError, r"values\[0\] must be C-contiguous"),
    ],
)
def test_invalid_values_and_ranks_are_refused(impl, values, k, error, message):
    with pytest.raises(error, match=message):
        kernels.top_bits(values, k, impl=impl)
    with pytest.raises(error, match=message):
        kernels.top_bits_many(values, (k,), impl=impl)


def test_invalid_options_are_refused():
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        kernels.top_bits(np.ones(3), 1, threads=0)
    with pytest.raises(ValueError, match="top_bits has no implementation 'sort'; choose one of: auto, numpy, numba"):
        kernels.top_bits(np.ones(3), 1, impl="sort")


@every_dtype
@settings(deadline=None, max_examples=150, derandomize=True)
@given(data=st.data())
def test_all_forms_agree_for_all_values_cuts_and_ranks(dtype, data):
    width = 8 * np.dtype(dtype).itemsize
    elements = st.one_of(
        st.floats(0, width=width, allow_infinity=False, allow_nan=False), st.sampled_from([0.0, -0.0, 1.0, 2.0])
    )
    values = data.draw(arrays.arrays(dtype, st.integers(1, 400), elements=elements, fill=st.sampled_from([0.0, 1.0])))
    parts = np.split(values, sorted(data.draw(st.lists(st.integers(0, values.size), max_size=5))))
    k = data.draw(st.integers(1, values.size))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(top, "LEAST_VALUES", 1)
        patch.setattr(top, "_FEWEST_LINES", 1)
        patch.setattr(top, "_BLOCK_OCTETS", 64 * 8)
        check(np.abs(values), parts, k, threads=data.draw(st.integers(1, 3)))


ELSEWHERE = """
import numpy as np
import xsns_kernels as kernels
from xsns_kernels import _numba_bits, top
values = np.random.default_rng(1).standard_normal(100_003) ** 2
values[::7] = -0.0
for array in (values.astype(np.float32), values, np.where(values > 2, values, 0)):
    pieces = np.split(array, (77, 70_000))
    ranks = (1, 15_000, 100_003)
    fast, slow = (kernels.top_bits_many(pieces, ranks, impl) for impl in ("numba", "numpy"))
    for found, expected in zip(fast, slow):
        assert np.array_equal(found[0], expected[0]) and found[1:] == expected[1:]
    found, expected = (kernels.pattern_histogram(pieces, impl) for impl in ("numba", "numpy"))
    assert np.array_equal(found, expected)
code = "".join(_numba_bits.bracket_into.inspect_asm().values())
assert code and "zmm" not in code and "ymm" not in code
"""


@pytest.mark.slow
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="names an x86 processor")
def test_results_are_exact_on_a_processor_without_avx(tmp_path):
    variables = {"NUMBA_CPU_NAME": "nehalem", "NUMBA_CPU_FEATURES": "", "NUMBA_CACHE_DIR": str(tmp_path)}
    completed = subprocess.run(
        [sys.executable, "-W", "error", "-c", ELSEWHERE],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
