"""Counts on a device equal those of the reference, on the CPU and on a GPU if there is one."""

import numpy as np
import pytest

from tests.support.devices import every_device
from xsns_kernels import ArrayColumns, Segment, stream_cross_intersections, stream_intersections
from xsns_kernels import device_overlap as on_device

SEGMENTS = [None, [Segment(0, 1, 0), Segment(1, 130, 1), Segment(130, 640, 0)], []]


@every_device
@pytest.mark.parametrize("segments", SEGMENTS)
@pytest.mark.parametrize("rows", [0, 1, 31, 33])
def test_pairs_are_exact(device, segments, rows, random_words):
    columns, groups = ArrayColumns(random_words(rows, 10)), 2
    counts = on_device.stream_intersections_on(columns, device, segments=segments, groups=groups)
    truth = stream_intersections(columns, segments=segments, groups=groups, impl="numpy")
    assert counts.dtype == np.int64
    assert np.array_equal(counts, truth)


@every_device
@pytest.mark.parametrize("split", [0, 2, 5])
def test_rectangles_are_exact(device, split, random_words):
    columns = ArrayColumns(random_words(5, 9))
    counts = on_device.stream_cross_intersections_on(columns, split, device)
    for fast, slow in zip(counts, stream_cross_intersections(columns, split, impl="numpy"), strict=True):
        assert np.array_equal(fast, slow)


@every_device
def test_many_blocks_add_up_and_report_progress(device, random_words, monkeypatch):
    monkeypatch.setattr(on_device, "_UNPACKED_BYTES", 64 * 32 * 16)
    columns, progress = ArrayColumns(random_words(7, 100)), []
    counts = on_device.stream_intersections_on(columns, device, on_progress=lambda *step: progress.append(step))
    assert np.array_equal(counts, stream_intersections(columns, impl="numpy"))
    assert progress == [*((words, 100) for words in range(16, 100, 16)), (100, 100)]


def test_a_split_outside_is_refused(random_words):
    with pytest.raises(ValueError, match="split must be from 0 to the number of rows, 3; got 4"):
        on_device.stream_cross_intersections_on(ArrayColumns(random_words(3, 1)), 4, "cpu")
