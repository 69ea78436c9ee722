"""Contract of counts from streams of rows: any source, any bounds of segments, with and without squeezing."""

import threading

import numpy as np
import pytest

from xsns_kernels import ArrayColumns, Segment, stream_cross_intersections, stream_intersections

THREADS = (1, 2, 5)


class Given:
    """A source of rows that records which ranges of words are read."""

    def __init__(self, array):
        self._array = array
        self.rows, self.words = array.shape
        self.reads = []

    def read(self, start, stop, out):
        assert out.shape == (self.rows, stop - start)
        self.reads.append((start, stop))
        out[...] = self._array[:, start:stop]


def alike(rows, words, seed=0, some=0.3, common=0.05):
    """Return rows like those of languages of one model: few columns have bits, and some bits are set in all rows."""
    rng = np.random.default_rng(seed)

    def bits(density, count):
        packed = np.packbits(rng.random((count, words * 64)) < density, axis=1, bitorder="little")
        return packed.view("<u8").astype(np.uint64)

    return bits(0.5, rows) & bits(some, 1) | bits(common, 1)


def expected(rows, segments, groups, count_pairs):
    """Return the counts of each group, from unpacked bits."""
    bits = np.unpackbits(np.ascontiguousarray(rows).view(np.uint8), axis=1, bitorder="little")
    out = np.zeros((groups, len(rows), len(rows)), np.int64)
    for segment in segments:
        part = bits[:, segment.start : segment.stop].astype(np.float64)
        out[segment.group] += (part @ part.T).astype(np.int64)
    return out


#: Squeeze never, always, or if the estimate says that it pays.
every_way = pytest.mark.parametrize("squeeze", [False, True, None])


@every_way
@pytest.mark.parametrize("source", [ArrayColumns, Given])
@pytest.mark.parametrize("shape", [(1, 1), (2, 7), (3, 64), (5, 513), (17, 1025), (66, 600), (4, 8200)])
def test_every_path_is_exact(squeeze, source, shape, random_words, count_pairs):
    for rows in (random_words(*shape), alike(*shape), np.zeros(shape, np.uint64), ~np.zeros(shape, np.uint64)):
        counts = stream_intersections(source(rows), squeeze=squeeze, threads=1)
        assert counts.dtype == np.int64
        assert np.array_equal(counts[0], count_pairs(rows, rows))


@every_way
def test_joined_columns_of_every_density_are_exact(squeeze, count_pairs):
    for density in (0.0, 0.01, 0.2, 0.5, 0.85, 0.95, 1.0):
        rows = alike(9, 700, seed=int(100 * density), some=density, common=0.0)
        counts = stream_intersections(ArrayColumns(rows), squeeze=squeeze, threads=1)
        assert np.array_equal(counts[0], count_pairs(rows, rows))


SEGMENTS = [
    [Segment(0, 6400, 0)],
    [Segment(0, 1, 0), Segment(1, 6400, 1)],
    [Segment(0, 100, 2), Segment(100, 101, 1), Segment(101, 4000, 0), Segment(4000, 6399, 2)],
    [Segment(64, 128, 0), Segment(70, 75, 1), Segment(128, 128, 1), Segment(3, 3000, 1)],
    [],
]


@every_way
@pytest.mark.parametrize("segments", SEGMENTS)
@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("source", [ArrayColumns, Given])
def test_segments_with_any_bounds_are_exact(squeeze, source, threads, segments, count_pairs):
    rows = alike(6, 100)
    counts = stream_intersections(source(rows), segments=segments, groups=3, threads=threads, squeeze=squeeze)
    assert np.array_equal(counts, expected(rows, segments, 3, count_pairs))
    slow = stream_intersections(source(rows), segments=segments, groups=3, impl="numpy")
    assert np.array_equal(counts, slow)


@pytest.mark.parametrize("segments", SEGMENTS)
@pytest.mark.parametrize("threads", THREADS)
@pytest.mark.parametrize("split", [0, 1, 3, 6, 7])
def test_rectangles_are_exact(threads, segments, split, count_pairs):
    rows = alike(7, 100)
    truth = expected(rows, segments, 3, count_pairs)
    for impl in ("numba", "numpy"):
        counts, sizes = stream_cross_intersections(
            Given(rows), split, segments=segments, groups=3, threads=threads if impl == "numba" else None, impl=impl
        )
        assert np.array_equal(counts, truth[:, :split, split:])
        assert np.array_equal(sizes, np.diagonal(truth, axis1=1, axis2=2))


def test_a_rectangle_of_many_rows_in_memory_is_exact(random_words, count_pairs):
    rows = random_words(133, 1100)
    counts, sizes = stream_cross_intersections(ArrayColumns(rows), 130)
    assert np.array_equal(counts[0], count_pairs(rows[:130], rows[130:]))
    assert np.array_equal(sizes[0], np.bitwise_count(rows).sum(axis=1))


@pytest.mark.parametrize("threads", THREADS)
def test_every_word_is_read_once(threads):
    rows = Given(alike(5, 20_000))
    stream_intersections(rows, threads=threads)
    assert sorted(rows.reads) == sorted(set(rows.reads))
    assert sum(stop - start for start, stop in rows.reads) == rows.words


def test_strided_rows_are_counted_too(random_words, count_pairs):
    rows = random_words(2003, 10).T
    assert np.array_equal(stream_intersections(ArrayColumns(rows))[0], count_pairs(rows, rows))
    mirrored = random_words(5, 100)[::-1, ::-1]
    assert np.array_equal(stream_intersections(ArrayColumns(mirrored))[0], count_pairs(mirrored, mirrored))


@pytest.mark.parametrize("threads", THREADS)
def test_progress_ends_at_the_whole(threads):
    progress = []
    stream_intersections(Given(alike(3, 30_000)), threads=threads, on_progress=lambda *step: progress.append(step))
    assert [done for done, _ in progress] == sorted(done for done, _ in progress)
    assert progress[-1] == (30_000, 30_000)
    assert len(progress) > 3


@pytest.mark.parametrize("threads", THREADS)
def test_an_error_of_reading_is_raised_and_ends_the_work(threads):
    class Torn(Given):
        def read(self, start, stop, out):
            super().read(start, stop, out)
            if start >= 4000:
                raise OSError("gone")

    rows = Torn(alike(3, 2_000_000 // 64))
    before = threading.active_count()
    with pytest.raises(OSError, match="gone"):
        stream_intersections(rows, threads=threads)
    assert len(rows.reads) < rows.words // 512
    assert threading.active_count() == before


def test_columns_are_removed_only_where_it_pays(monkeypatch):
    from xsns_kernels import _numba_squeeze

    if not _numba_squeeze.AVAILABLE:
        pytest.skip("this processor has no bit extraction")
    called = []
    squeezed = _numba_squeeze.add_pairs_squeezed
    monkeypatch.setattr(_numba_squeeze, "add_pairs_squeezed", lambda *arguments: called.append(squeezed(*arguments)))
    stream_intersections(ArrayColumns(alike(120, 1024)), threads=1)
    assert called
    called.clear()
    # Squeezing does not pay for few rows, or if all columns have bits.
    stream_intersections(ArrayColumns(alike(16, 1024)), threads=1)
    stream_intersections(ArrayColumns(alike(120, 1024, some=1.0, common=0.0)), threads=1)
    assert not called


def test_extraction_without_the_instruction_is_exact():
    from xsns_kernels import _numba_squeeze

    rng = np.random.default_rng(0)
    for word, mask in rng.integers(0, 2**64, (200, 2), np.uint64):
        chosen = [(int(word) >> position) & 1 for position in range(64) if (int(mask) >> position) & 1]
        assert int(_numba_squeeze._pext_bit_by_bit(word, mask)) == sum(bit << index for index, bit in enumerate(chosen))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda rows: stream_intersections(rows, segments=[Segment(0, 129)]), "bits 0 up to 129 are not within rows"),
        (lambda rows: stream_intersections(rows, segments=[Segment(5, 4)]), "bits 5 up to 4"),
        (lambda rows: stream_intersections(rows, segments=[Segment(0, 1, 2)], groups=2), "group 2 is not one of 2"),
        (lambda rows: stream_intersections(rows, groups=0), "groups must be at least 1, got 0"),
        (lambda rows: stream_intersections(rows, threads=0), "threads must be at least 1, got 0"),
        (lambda rows: stream_intersections(rows, impl="gpu"), "no implementation 'gpu'"),
        (lambda rows: stream_cross_intersections(rows, 4), "split must be from 0 to the number of rows, 3; got 4"),
    ],
)
def test_errors_name_the_expected_and_the_given_value(call, message):
    with pytest.raises(ValueError, match=message):
        call(ArrayColumns(np.zeros((3, 2), np.uint64)))
