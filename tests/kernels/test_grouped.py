"""Contract of the grouped squared product: each form agrees with a float64 loop over the same rows.

Where there is no GPU, Triton's form runs in Triton's interpreter. It reads TRITON_INTERPRET when it is imported,
so one test here runs this file again in a process that has it set.
"""

import os
import re
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from xsns_kernels import grouped
from xsns_kernels.grouped import add_squared_products

HAS_TRITON = find_spec("triton") is not None
INTERPRETED = HAS_TRITON and os.environ.get("TRITON_INTERPRET") == "1"
ON_GPU = torch.cuda.is_available() and not INTERPRETED
DEVICE = torch.device("cuda" if ON_GPU else "cpu")
FORMS = ("torch", *([] if ON_GPU else ["numba"]), *(["triton"] if INTERPRETED or (HAS_TRITON and ON_GPU) else []))
DTYPES = {
    "torch": (torch.float32, torch.float16, torch.bfloat16, torch.float64),
    "numba": (torch.float32, torch.float16, torch.bfloat16),
    # The interpreter multiplies the bits of bfloat16 as integers.
    "triton": (torch.float32, torch.float16, *([torch.bfloat16] if ON_GPU else [])),
}
CASES = {
    "one example": ((37, 70), (40,)),
    "rows and columns of one": ((1, 1), (3, 1)),
    "one row each": ((33, 65), (1,) * 9),
    "empty between": ((32, 64), (0, 5, 0, 0, 17, 0)),
    "nothing but empty": ((5, 7), (0, 0)),
    "no example": ((5, 7), ()),
    "no feature": ((0, 7), (3, 2)),
    "around a block of rows": ((20, 31), (15, 16, 17, 64, 65)),
    "around a tile": ((13, 130), (3, 40)),
    "whole tiles": ((12, 128), (7, 30, 0, 2)),
    "more rows than a panel": ((7, 17), (600, 500, 700, 400, 1)),
    "many": ((19, 23), tuple(n % 5 for n in range(120))),
}

every_form = pytest.mark.parametrize(
    ("impl", "dtype"), [(impl, dtype) for impl in FORMS for dtype in DTYPES[impl]], ids=str
)
every_impl = pytest.mark.parametrize("impl", FORMS)


def _problem(shape, lengths, dtype=torch.float32):
    """Return F, G, A, segments and the expected result in float64; the sizes are the seed."""
    rng = np.random.default_rng((*shape, *lengths))
    rows, (features_out, features_in) = sum(lengths), shape
    G = torch.from_numpy(rng.standard_normal((rows, features_out)) * 0.1).to(DEVICE, dtype)
    A = torch.from_numpy(rng.standard_normal((rows, features_in))).to(DEVICE, dtype)
    F = torch.from_numpy(rng.random(shape) * 1e-3).to(DEVICE, dtype if dtype == torch.float64 else torch.float32)
    segments = torch.tensor([0, *np.cumsum(lengths, dtype=np.int64)])
    truth = F.double().cpu().numpy()
    for G_n, A_n in zip(G.double().cpu().split(lengths), A.double().cpu().split(lengths), strict=True):
        truth = truth + (G_n.numpy().T @ A_n.numpy()) ** 2
    return F, G, A, segments, truth


def _error(F, truth):
    """Return the largest difference relative to the largest value."""
    return np.abs(F.double().cpu().numpy() - truth).max(initial=0.0) / max(truth.max(initial=0.0), 1e-300)


@every_form
@pytest.mark.parametrize(("shape", "lengths"), CASES.values(), ids=CASES)
def test_adds_the_squares_of_every_example(impl, dtype, shape, lengths):
    F, G, A, segments, truth = _problem(shape, lengths, dtype)
    add_squared_products(F, G, A, segments, impl=impl)
    assert _error(F, truth) <= (1e-14 if dtype == torch.float64 else 1e-6)


@every_impl
def test_rows_may_be_strided_and_segments_may_have_32_bits(impl):
    F, G, A, segments, truth = _problem((37, 70), (9, 20, 3))
    wide = torch.zeros(2 * len(A), 2 * A.shape[1], device=DEVICE)
    wide[::2, ::2] = A
    add_squared_products(F, G.t().contiguous().t(), wide[::2, ::2], segments.int().to(DEVICE), impl=impl)
    assert _error(F, truth) <= 1e-6


@every_impl
def test_two_calls_add_up(impl):
    F, G, A, segments, truth = _problem((20, 31), (4, 6, 5))
    add_squared_products(F, G[:4], A[:4], segments[:2], impl=impl)
    add_squared_products(F, G[4:], A[4:], segments[1:] - 4, impl=impl)
    assert _error(F, truth) <= 1e-6


@every_impl
def test_autocast_and_grad_leave_no_trace(impl):
    F, G, A, segments, truth = _problem((20, 31), (4, 6, 5))
    with torch.autocast(DEVICE.type, torch.bfloat16):
        add_squared_products(F, G.requires_grad_(), A, segments, impl=impl)
    assert _error(F, truth) <= 1e-6
    assert not F.requires_grad


@every_impl
def test_some_rows_in_any_order_are_summed(impl):
    F, G, A, segments, truth = _problem((20, 31), (4, 6, 5))
    order = np.random.default_rng(1).permutation(40)
    wide_G, wide_A = torch.full((40, 20), torch.nan, device=DEVICE), torch.full((40, 31), torch.nan, device=DEVICE)
    rows = torch.from_numpy(order[:15]).to(DEVICE)
    wide_G[rows], wide_A[rows] = G, A
    add_squared_products(F, wide_G, wide_A, segments, impl=impl, rows=rows)
    assert _error(F, truth) <= 1e-6


@pytest.mark.parametrize("wrong", [-1, 15])
def test_rows_out_of_range_are_refused(wrong):
    F, G, A, segments, _ = _problem((20, 31), (4, 6, 5))
    rows = torch.arange(15)
    rows[3] = wrong
    for impl in [] if ON_GPU else ["numba"]:
        with pytest.raises(IndexError, match=f"rows must be in 0 to 14, got .*{wrong}"):
            add_squared_products(F, G, A, segments, impl=impl, rows=rows)


@every_impl
def test_an_example_may_be_longer_than_a_panel(impl):
    # A float32 sum of 2,500 products of both signs has an error of about 2e-6 of the largest value.
    F, G, A, segments, truth = _problem((7, 17), (2500,))
    add_squared_products(F, G, A, segments, impl=impl)
    assert _error(F, truth) <= 1e-5


@pytest.mark.skipif("numba" not in FORMS, reason="runs on a CPU")
@pytest.mark.parametrize("shape", [(600, 700), (7, 1300)])
def test_threads_change_no_bit(shape, monkeypatch):
    from xsns_kernels import _grouped_numba

    monkeypatch.setattr(_grouped_numba, "_WORK_OF_A_THREAD", 1)
    results = []
    for threads in (1, 2, 5):
        F, G, A, _, _ = _problem(shape, (5, 9))
        bounds = np.array([0, 5, 14])
        _grouped_numba.add_squared_products(F.numpy(), G.numpy(), A.numpy(), np.arange(14), bounds, threads)
        results.append(F)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_half_precision_rows_are_not_rounded_again():
    # A sum in half precision stops at 2048, and half precision ends before 2049².
    F = torch.zeros(1, 1)
    add_squared_products(F, torch.ones(2049, 1).half(), torch.ones(2049, 1).half(), torch.tensor([0, 2049]))
    assert F.item() == 2049**2


@pytest.mark.skipif(not HAS_TRITON, reason="needs Triton")
@pytest.mark.skipif(INTERPRETED, reason="is the process that this test starts")
def test_the_contract_holds_in_the_interpreter():
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", __file__, "-k", "triton or interpreter"]
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    completed = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr
    # Without this line, a run that tests no Triton implementation would pass as well.
    passed = re.findall(r"adds_the_squares\S*\[.*-triton-torch\.float(?:16|32)\] PASSED", completed.stdout)
    assert len(passed) == 2 * len(CASES), completed.stdout


@pytest.mark.skipif(not INTERPRETED, reason="runs in the process that has an interpreter")
def test_the_interpreter_refuses_bfloat16():
    F, G, A, segments, _ = _problem((3, 4), (2,), torch.bfloat16)
    with pytest.raises(ValueError, match="interpreter cannot multiply bfloat16"):
        add_squared_products(F, G, A, segments, impl="triton")


@pytest.mark.skipif(not INTERPRETED, reason="runs in the process that has an interpreter")
def test_triton_refuses_float64():
    F, G, A, segments, _ = _problem((3, 4), (2,), torch.float64)
    with pytest.raises(ValueError, match=r"accumulates in float32, got F of torch.float64"):
        add_squared_products(F, G, A, segments, impl="triton")


@pytest.mark.skipif(not HAS_TRITON or INTERPRETED, reason="needs Triton's compiler")
def test_compiled_triton_refuses_the_cpu():
    F, G, A, segments, _ = _problem((3, 4), (2,))
    with pytest.raises(ValueError, match="needs a CUDA device"):
        add_squared_products(F.cpu(), G.cpu(), A.cpu(), segments, impl="triton")


@pytest.mark.skipif(not HAS_TRITON or INTERPRETED, reason="needs Triton's compiler")
@pytest.mark.parametrize("case", [0, *(pytest.param(case, marks=pytest.mark.slow) for case in range(1, 5)), 5])
def test_the_kernel_compiles_without_a_gpu(case, tmp_path, monkeypatch):
    """The compiler may refuse code that the interpreter accepts, and it must not use TF32 for float32."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from xsns_kernels import _grouped_triton

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    # Every tile is compiled for some dtype, and every dtype for both generations.
    rows, capability = ("fp32", "fp16", "bf16")[case % 3], (80, 90)[case // 3]
    tile = _grouped_triton._TILES[case % len(_grouped_triton._TILES)]
    block = _grouped_triton._block(6400, 100, {"fp32": torch.float32}.get(rows, torch.float16))
    blocks = {"BLOCK_R": block, "BLOCK_O": tile[0], "BLOCK_I": tile[1]}
    names = _grouped_triton._kernel.arg_names
    pointers = {"F": "*fp32", "G": f"*{rows}", "A": f"*{rows}", "offsets": "*i64"}
    source = ASTSource(
        fn=_grouped_triton._kernel,
        signature={name: "constexpr" if name in blocks else pointers.get(name, "i32") for name in names},
        constexprs={(names.index(name),): value for name, value in blocks.items()},
    )
    options = {"num_warps": tile[2], **_grouped_triton._OPTIONS}
    code = triton.compile(source, target=GPUTarget("cuda", capability, 32), options=options).asm["ptx"]
    assert "tf32" not in code
    assert ("mma" in code) == (rows != "fp32")


@pytest.mark.parametrize(
    ("rows", "segments", "dtype", "expected"),
    [
        (20, 20, torch.float16, 16),
        (330, 20, torch.float16, 32),
        (640, 20, torch.bfloat16, 32),
        (661, 20, torch.float16, 64),
        (9000, 20, torch.float16, 64),
        (9000, 20, torch.float32, 16),
    ],
)
@pytest.mark.skipif(not HAS_TRITON, reason="needs Triton")
def test_blocks_of_rows_follow_the_segments(rows, segments, dtype, expected):
    from xsns_kernels import _grouped_triton

    assert _grouped_triton._block(rows, segments, dtype) == expected


@pytest.mark.parametrize("bounds", [[], [1, 5], [0, 4], [0, 3, 2, 5], [0, 5, 5, 6]], ids=str)
def test_segments_that_do_not_rise_from_0_to_the_rows_are_refused(bounds):
    F, G, A, _, _ = _problem((3, 4), (2, 3))
    with pytest.raises(ValueError, match=r"segments must rise from 0 to the number of rows, 5; got \["):
        add_squared_products(F, G, A, torch.tensor(bounds, dtype=torch.int64))


def test_a_long_list_of_wrong_segments_is_shortened():
    F, G, A, _, _ = _problem((3, 4), (2, 3))
    with pytest.raises(ValueError, match=r"got \[0, 1, 2, 3, '…', 7, 8, 9\]"):
        add_squared_products(F, G, A, torch.arange(10))


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"F": torch.zeros(3)}, ValueError, r"F must have 2 axes, got shape \(3,\)"),
        ({"segments": torch.zeros(1, 1).long()}, ValueError, "segments must have 1 axes"),
        ({"F": torch.zeros(3, 4).half()}, TypeError, "F must have dtype float32 or float64, got torch.float16"),
        ({"G": torch.zeros(5, 3).double()}, TypeError, "G and A must share one dtype of .* got torch.float64 and"),
        ({"A": torch.zeros(5, 4).half()}, TypeError, "got torch.float32 and torch.float16"),
        ({"F": torch.zeros(3, 4).double()}, TypeError, "one dtype of torch.float64 for F of torch.float64"),
        ({"segments": torch.tensor([0.0, 5.0])}, TypeError, "segments must have dtype int32 or int64"),
        ({"A": torch.zeros(6, 4)}, ValueError, r"\[R, O\] and \[R, I\], got \(3, 4\), \(5, 3\), \(6, 4\)"),
        ({"F": torch.zeros(4, 3)}, ValueError, r"got \(4, 3\), \(5, 3\), \(5, 4\)"),
        ({"A": torch.zeros(5, 4, device="meta")}, ValueError, "on one device, .* got cpu, cpu, meta, cpu"),
        (
            {"segments": torch.zeros(2, device="meta").long()},
            ValueError,
            "there or on the CPU, got cpu, cpu, cpu, meta",
        ),
        ({"F": torch.zeros(4, 3).t()}, ValueError, r"F must be contiguous, got shape \(3, 4\) with strides \(1, 3\)"),
        ({"impl": "cuda"}, ValueError, "impl must be one of auto, torch, numba, triton; got 'cuda'"),
    ],
)
def test_invalid_tensors_are_refused(change, error, message):
    arguments = {
        "F": torch.zeros(3, 4),
        "G": torch.zeros(5, 3),
        "A": torch.zeros(5, 4),
        "segments": torch.tensor([0, 5]),
    }
    with pytest.raises(error, match=message):
        add_squared_products(**{**arguments, **change})


@pytest.mark.parametrize(
    ("device", "dtype", "capability", "installed", "expected"),
    [
        ("cpu", torch.float32, (9, 0), True, "numba"),
        ("cpu", torch.bfloat16, (9, 0), False, "numba"),
        ("cpu", torch.float64, (9, 0), True, "torch"),
        ("cuda", torch.float32, (8, 0), True, "triton"),
        ("cuda", torch.bfloat16, (9, 0), True, "triton"),
        ("cuda", torch.float16, (7, 5), True, "torch"),
        ("cuda", torch.float64, (9, 0), True, "torch"),
        ("cuda", torch.float32, (9, 0), False, "torch"),
    ],
)
def test_the_implementation_depends_on_device_dtype_and_capability(
    device, dtype, capability, installed, expected, monkeypatch
):
    # Other GPUs and a missing Triton are simulated here by one replaced function each.
    monkeypatch.delenv(grouped.VARIABLE, raising=False)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(grouped, "_has_triton", lambda: installed)
    monkeypatch.setattr(grouped, "_has_avx512", lambda: True)
    assert grouped.choose(torch.device(device), dtype) == expected


def test_an_environment_variable_overrides_the_choice(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setenv(grouped.VARIABLE, "triton")
    assert grouped.choose(cpu, torch.float32) == "triton"
    monkeypatch.setenv(grouped.VARIABLE, "auto")
    monkeypatch.setattr(grouped, "_has_avx512", lambda: False)
    assert grouped.choose(cpu, torch.float32) == "torch"
    monkeypatch.setenv(grouped.VARIABLE, "cutlass")
    message = "XSNS_KERNELS_GROUPED must be one of auto, torch, numba, triton; got 'cutlass'"
    with pytest.raises(ValueError, match=message):
        grouped.choose(cpu, torch.float32)
