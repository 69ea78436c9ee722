"""The package xsns_kernels: import without libraries, other processors, no folder for a cache, examples that run."""

import doctest
import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import xsns_kernels as kernels
from tests.support.page_blocks import run_page

ROOT = Path(__file__).resolve().parents[2] / "kernels"
README = ROOT / "README.md"
FUNCTIONS = sorted(name for name in kernels.__all__ if name[0].islower() and name != "implementations")
MODULES = ["xsns_kernels", *(f"xsns_kernels.{info.name}" for info in pkgutil.iter_modules(kernels.__path__))]

EXACT_PAIRS = """
import numpy as np
import xsns_kernels as kernels
rows = np.random.default_rng(0).integers(0, 2**64, (7, 1041), dtype=np.uint64)
def same(name, *arguments):
    fast, slow = (getattr(kernels, name)(*arguments, impl=impl) for impl in ("numba", "numpy"))
    assert np.array_equal(fast, slow), name
same("intersection_counts", rows)
"""

EXACT = (
    EXACT_PAIRS
    + """
values = np.random.default_rng(1).random(5000, dtype=np.float32)
same("cross_intersection_counts", rows, rows[:3])
same("popcount", rows)
same("pack_bits", values > 0.5)
for array in (values, values.astype(np.float64)):
    same("kth_largest", array, 700)
    pieces = [array[:77], array[77:]]
    fast, slow = (kernels.threshold_bits(pieces, 0.3, impl=impl) for impl in ("numba", "numpy"))
    assert np.array_equal(fast[0], slow[0]) and fast[1] == slow[1]
"""
)

SQUEEZED = """
columns = kernels.ArrayColumns(np.repeat(rows, 9, axis=0) & rows[0])
squeezed = kernels.stream_intersections(columns, squeeze=True)
assert np.array_equal(squeezed, kernels.stream_intersections(columns, impl="numpy"))
"""

WITHOUT_PLACE = """
from numba.core import caching
caching.CompileResultCacheImpl._locator_classes = []
"""

WITHOUT_ROOM = """
from numba.core import caching
def full(self, signature, data):
    raise OSError(28, "No space left on device")
caching.FunctionCache.save_overload = full
"""

NO_WIDE_VECTORS = """
from xsns_kernels import _numba_bits, _numba_overlap
for kernel in (_numba_overlap.add_pairs, _numba_bits.mask_into, _numba_bits.count_low):
    code = "".join(kernel.inspect_asm().values())
    assert code and "zmm" not in code and "ymm" not in code
"""


def _python(program, tmp_path, **variables):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), **variables}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_import_loads_no_library(tmp_path):
    program = "import sys, xsns_kernels; print({'numpy', 'numba', 'bitarray', 'torch', 'triton'} & set(sys.modules))"
    assert _python(program, tmp_path).stdout.strip() == "set()"


def test_references_do_not_load_numba(tmp_path):
    loaded = "import sys; print({'numba', 'torch'} & set(sys.modules))"
    completed = _python(EXACT.replace('("numba", "numpy")', '("numpy", "numpy")') + loaded, tmp_path)
    assert completed.stdout.strip() == "set()", completed.stderr


def test_selection_on_a_device_loads_neither_numba_nor_triton(tmp_path):
    program = (
        "import sys, torch; from xsns_kernels import device, grouped\n"
        "F, rows = torch.zeros(1, 1), torch.ones(2, 1)\n"
        "grouped.add_squared_products(F, rows, rows, torch.tensor([0, 2]), impl='torch')\n"
        "device.threshold_bits(F, float(device.kth_largest(F, 1)))\n"
        "print({'numba', 'triton'} & set(sys.modules))"
    )
    completed = _python(program, tmp_path)
    assert completed.stdout.strip() == "set()", completed.stderr


@pytest.mark.parametrize("name", FUNCTIONS)
def test_auto_is_the_last_implementation(name):
    from xsns_kernels.dispatch import resolve

    assert resolve(name, "auto") == kernels.implementations(name)[-1]
    assert all(resolve(name, impl) == impl for impl in kernels.implementations(name))


def test_public_names_exist_and_others_do_not():
    assert set(kernels.__all__) <= set(dir(kernels))
    assert all(callable(getattr(kernels, name)) for name in kernels.__all__)
    assert all(kernels.implementations(name) for name in FUNCTIONS)
    with pytest.raises(AttributeError, match="module 'xsns_kernels' has no attribute 'sort'"):
        _ = kernels.sort


def test_the_folder_is_not_a_package():
    assert not (ROOT / "__init__.py").exists()


@pytest.mark.slow
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="names an x86 processor")
def test_results_are_exact_on_a_processor_without_avx(tmp_path):
    # Name and features must be given; with the name only, numba keeps the features of this machine.
    completed = _python(EXACT + SQUEEZED + NO_WIDE_VECTORS, tmp_path, NUMBA_CPU_NAME="nehalem", NUMBA_CPU_FEATURES="")
    assert completed.returncode == 0, completed.stderr


@pytest.mark.parametrize(
    "setup", [WITHOUT_PLACE, pytest.param(WITHOUT_ROOM, marks=pytest.mark.slow)], ids=["no place", "no room"]
)
def test_works_where_nothing_can_be_cached(tmp_path, setup):
    completed = _python(setup + EXACT_PAIRS, tmp_path)
    assert completed.returncode == 0, completed.stderr
    assert not list(tmp_path.rglob("*.nbc"))


def test_other_failures_of_the_compiler_are_not_hidden(monkeypatch):
    from xsns_kernels import _numba_jit

    def fail(*arguments, **options):
        raise RuntimeError("broken")

    monkeypatch.setattr(_numba_jit, "_jit", fail)
    with pytest.raises(RuntimeError, match="broken"):
        _numba_jit.compiled()(len)


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(name):
    if name.endswith("_triton"):
        pytest.importorskip("triton")
    module = importlib.import_module(name)
    public = {key: getattr(kernels, key) for key in kernels.__all__}
    result = doctest.testmod(module, extraglobs={**public, "np": np} if name == "xsns_kernels" else {"np": np})
    assert result.failed == 0


def test_every_public_function_has_an_example():
    assert all(">>>" in (getattr(kernels, name).__doc__ or "") for name in FUNCTIONS)


@pytest.fixture(scope="module")
def specification():
    """The names that the pseudo-code of the README defines if it runs from top to bottom."""
    return run_page("kernels/README.md", None).names


@pytest.mark.parametrize("size", [0, 1, 64, 65, 3001])
def test_the_specification_agrees_with_the_kernels(specification, size, random_values):
    values = random_values(size)
    parts = np.split(values, [size // 3, size // 2])
    bits = values > 1e-9
    words = kernels.pack_bits(bits)
    assert np.array_equal(specification["pack_bits"](bits), words)
    assert np.array_equal(specification["unpack_bits"](words, size), bits)
    assert specification["popcount"](words) == kernels.popcount(words)
    packed, cardinality = kernels.threshold_bits(parts, 1e-9)
    expected, count = specification["threshold_bits"](parts, 1e-9)
    assert np.array_equal(packed, expected)
    assert cardinality == count
    for k in {1, size // 3 + 1, size} - {0} if size else ():
        for dtype in (np.float32, np.float64):
            typed = [part.astype(dtype) for part in parts]
            assert specification["kth_largest"](typed, k) == kernels.kth_largest(typed, k)


@pytest.mark.parametrize("size", [1, 64, 3001])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_specification_agrees_on_tops_and_quantiles(specification, size, dtype, random_values):
    from xsns_kernels.quantiles import estimate_kth

    parts = np.split(random_values(size, dtype), [size // 3, size // 2])
    ranks = sorted({1, size // 3 + 1, size})
    result = kernels.top_bits_many(parts, ranks)
    for fast, specified in zip(result, specification["top_bits_many"](parts, ranks), strict=True):
        assert np.array_equal(fast[0], specified[0])
        assert fast[1:] == specified[1:]
    counts = kernels.pattern_histogram(parts)
    assert np.array_equal(counts, specification["pattern_histogram"](parts))
    for k in ranks:
        estimate = estimate_kth(counts, k, dtype)
        assert (estimate.value, estimate.error) == specification["estimate_kth"](counts, k, dtype)
    for percent in (0, 12.5, 85, 99.99, 100):
        assert specification["percentile"](parts, percent) == float(np.percentile(np.concatenate(parts), percent))


@pytest.mark.parametrize("shape", [(0, 3), (1, 0), (5, 9)])
def test_the_specification_agrees_on_intersections(specification, shape, random_words):
    rows, others = random_words(*shape), random_words(3, shape[1])
    assert np.array_equal(specification["intersection_counts"](rows), kernels.intersection_counts(rows))
    assert np.array_equal(
        specification["cross_intersection_counts"](rows, others),
        kernels.cross_intersection_counts(rows, others),
    )


@pytest.mark.parametrize("shape", [(1, 1), (5, 9)])
def test_the_specification_agrees_on_streams(specification, shape, random_words):
    columns = kernels.ArrayColumns(random_words(*shape) & random_words(1, shape[1]))
    segments = [kernels.Segment(0, 30, 1), kernels.Segment(30, 64, 0), kernels.Segment(7, 64 * shape[1], 1)]
    counts = kernels.stream_intersections(columns, segments=segments, groups=2)
    assert np.array_equal(specification["stream_intersections"](columns, segments, 2), counts)
    crossed = kernels.stream_cross_intersections(columns, 1, segments=segments, groups=2)
    for fast, specified in zip(
        crossed, specification["stream_cross_intersections"](columns, 1, segments, 2), strict=True
    ):
        assert np.array_equal(specified, fast)
    assert np.array_equal(specification["squeezed_counts"](columns.array), kernels.intersection_counts(columns.array))


@pytest.mark.parametrize("lengths", [(), (0,), (3,), (2, 0, 9, 1)])
def test_the_specification_agrees_on_squared_products(specification, lengths):
    import torch

    from xsns_kernels.grouped import add_squared_products

    rng = np.random.default_rng(len(lengths))
    F, G, A = rng.random((5, 7)), rng.standard_normal((sum(lengths), 5)), rng.standard_normal((sum(lengths), 7))
    segments = np.cumsum([0, *lengths])
    added = torch.from_numpy(F.copy())
    add_squared_products(added, torch.from_numpy(G), torch.from_numpy(A), torch.from_numpy(segments))
    specification["add_squared_products"](F, G, A, segments)
    assert np.allclose(added.numpy(), F, rtol=1e-13, atol=0)


def test_the_specification_names_every_kernel(specification):
    named = {"add_squared_products", *FUNCTIONS}
    assert {name for name in named if not name.startswith("accumulate")} <= set(specification)
