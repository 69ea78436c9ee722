"""Contract of the intersection counts: every implementation is exact for every shape, also around block sizes."""

import numpy as np
import pytest

import xsns_kernels as kernels

IMPLEMENTATIONS = kernels.implementations("intersection_counts")
# Around one vector (8 words), one block (512 and 1024), 2**16 bytes (8192 words) and 2**16 words.
WORDS = (0, 1, 7, 8, 9, 63, 64, 65, 511, 513, 1023, 1025, 8193)
ROWS = (1, 2, 3, 4, 5, 17)

every_implementation = pytest.mark.parametrize("impl", IMPLEMENTATIONS)


@every_implementation
@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("rows", ROWS)
def test_pairs_are_exact(impl, rows, words, random_words, count_pairs):
    packed = random_words(rows, words)
    counts = kernels.intersection_counts(packed, impl=impl)
    assert counts.dtype == np.int64
    assert np.array_equal(counts, count_pairs(packed, packed))


@every_implementation
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_pairs_past_65536_words_are_exact(impl, rows, random_words, count_pairs):
    packed = random_words(rows, 2**16 + 3)
    assert np.array_equal(kernels.intersection_counts(packed, impl=impl), count_pairs(packed, packed))


@every_implementation
@pytest.mark.parametrize("words", [0, 1, 9, 65])
def test_282_rows_are_exact(impl, words, random_words, count_pairs):
    packed = random_words(282, words)
    assert np.array_equal(kernels.intersection_counts(packed, impl=impl), count_pairs(packed, packed))


@every_implementation
@pytest.mark.parametrize("words", [0, 1, 100])
def test_no_rows_give_an_empty_matrix_of_counts(impl, words):
    counts = kernels.intersection_counts(np.zeros((0, words), np.uint64), impl=impl)
    assert counts.shape == (0, 0)
    assert counts.dtype == np.int64


@every_implementation
def test_all_ones_past_2_to_24_bits_are_exact(impl):
    packed = np.full((2, 2**18 + 1), 2**64 - 1, np.uint64)
    assert (kernels.intersection_counts(packed, impl=impl) == 64 * (2**18 + 1)).all()


@every_implementation
@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (1, 1), (4, 4), (1, 6), (17, 5), (130, 3), (3, 130)])
@pytest.mark.parametrize("words", [0, 1, 65, 1030])
def test_cross_is_exact(impl, shape, words, random_words, count_pairs):
    a, b = random_words(shape[0], words), random_words(shape[1], words)[:, ::-1]
    assert np.array_equal(kernels.cross_intersection_counts(a, b, impl=impl), count_pairs(a, b))


@every_implementation
@pytest.mark.parametrize("block", [1, 7, 8, 64, 1000])
def test_blocks_of_columns_add_up_to_the_whole(impl, block, random_words, count_pairs):
    a, b = random_words(5, 1003), random_words(3, 1003)
    pairs, cross = np.zeros((5, 5), np.int64), np.zeros((5, 3), np.int64)
    for start in range(0, 1003, block):
        columns = slice(start, start + block)
        kernels.accumulate_intersections(a[:, columns], pairs, impl=impl)
        kernels.accumulate_cross_intersections(a[:, columns], b[:, columns], cross, impl=impl)
    assert np.array_equal(pairs, count_pairs(a, a))
    assert np.array_equal(cross, count_pairs(a, b))


@every_implementation
def test_rows_may_be_strided_reversed_or_read_only(impl, random_words, count_pairs):
    words = random_words(12, 300)
    words.flags.writeable = False
    for view in (words[::2, 5:201], words[::-1], words[:, ::3], words.T):
        assert np.array_equal(kernels.intersection_counts(view, impl=impl), count_pairs(view, view))


@every_implementation
def test_counts_are_accumulated_into_a_strided_total(impl, random_words, count_pairs):
    packed = random_words(5, 20)
    frame = np.zeros((10, 10), np.int64)
    kernels.accumulate_intersections(packed, frame[::2, ::2], impl=impl)
    assert np.array_equal(frame[::2, ::2], count_pairs(packed, packed))
    assert not frame[1::2].any()


def test_a_memory_map_is_counted_like_an_array(tmp_path, random_words, count_pairs):
    packed = random_words(6, 1500)
    np.save(tmp_path / "rows.npy", packed)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert np.array_equal(kernels.intersection_counts(mapped), count_pairs(packed, packed))


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_threads_do_not_change_the_counts(threads, random_words, count_pairs):
    packed = random_words(9, 5003)
    assert np.array_equal(kernels.intersection_counts(packed, threads=threads), count_pairs(packed, packed))
    crossed = kernels.cross_intersection_counts(packed, packed[:2], threads=threads)
    assert np.array_equal(crossed, count_pairs(packed, packed[:2]))


def test_counts_with_default_threads_equal_those_with_one_thread(random_words):
    packed = random_words(40, 25_000)
    assert np.array_equal(kernels.intersection_counts(packed), kernels.intersection_counts(packed, threads=1))


def test_more_rows_than_a_panel_are_exact(random_words, count_pairs):
    packed = random_words(301, 11)
    assert np.array_equal(kernels.intersection_counts(packed), count_pairs(packed, packed))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda k: k.intersection_counts([[1]]), TypeError, "rows must be a NumPy array of uint64, got list"),
        (
            lambda k: k.intersection_counts(np.zeros((2, 2), np.int64)),
            TypeError,
            "rows must have dtype uint64, got int64",
        ),
        (
            lambda k: k.intersection_counts(np.zeros((2, 2), ">u8")),
            TypeError,
            "rows must have dtype uint64, got >u8",
        ),
        (
            lambda k: k.intersection_counts(np.zeros(2, np.uint64)),
            ValueError,
            r"rows must have 2 axes, got shape \(2,\)",
        ),
        (
            lambda k: k.intersection_counts(np.zeros((2, 2), np.uint64), threads=0),
            ValueError,
            "threads must be at least 1, got 0",
        ),
        (
            lambda k: k.intersection_counts(np.zeros((2, 2), np.uint64), impl="gpu"),
            ValueError,
            "intersection_counts has no implementation 'gpu'; choose one of: auto, numpy, bitarray, numba",
        ),
        (
            lambda k: k.cross_intersection_counts(np.zeros((2, 2), np.uint64), np.zeros((2, 3), np.uint64)),
            ValueError,
            "rows of a and b must have the same length: a has 2 words, b has 3",
        ),
        (
            lambda k: k.accumulate_intersections(np.zeros((2, 2), np.uint64), np.zeros((2, 2), np.float64)),
            TypeError,
            "out must have dtype int64, got float64",
        ),
        (
            lambda k: k.accumulate_intersections(np.zeros((2, 2), np.uint64), np.zeros((2, 3), np.int64)),
            ValueError,
            r"out must have shape \(2, 2\), got \(2, 3\)",
        ),
        (
            lambda k: k.accumulate_intersections(np.zeros((1, 1), np.uint64), np.broadcast_to(np.int64(0), (1, 1))),
            ValueError,
            "out must be writable, because counts are added to it; got a read-only array",
        ),
    ],
)
def test_errors_name_the_expected_and_the_given_value(call, error, message):
    with pytest.raises(error, match=message):
        call(kernels)
