"""Files of sub-networks: round trips, and error messages for other files."""

from __future__ import annotations

import json
import math
import resource
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from xsns_kernels import pack_bits
from xsns_stream.errors import StoreError, UsageError, XsnsError
from xsns_stream.types import LayerSpan, ParameterLayout, Provenance, SubNetwork
from xsns_stream.types.subnetwork import FORMATS

LAYOUT = ParameterLayout(
    ("b.weight", "b.bias", "a.weight", "a.scale"),
    ((4, 30), (4,), (9, 5), ()),
    (LayerSpan("b", 0, 124), LayerSpan("a", 124, 170)),
)
PROVENANCE = Provenance(model="mini", layout_digest=LAYOUT.digest, examples=7, versions={"numpy": "2"}, reliability={})


def network(chosen: set[int], **labels: Any) -> SubNetwork:
    bits = np.zeros(LAYOUT.size, bool)
    bits[list(chosen)] = True
    fields = {"language": "zh-Hant", "seed": 42, "threshold": 0.1, "density": 0.15, "provenance": PROVENANCE} | labels
    return SubNetwork(bits=pack_bits(bits), layout=LAYOUT, cardinality=len(chosen), **fields)


SOME = network({0, 63, 64, 123, 124, 169})


def save(sub: SubNetwork, path: Path) -> Path:
    return sub.save_safetensors(path) if path.suffix == ".safetensors" else sub.save_indices(path)


def metadata(path: Path) -> dict[str, str]:
    with safe_open(path, framework="numpy") as file:
        return dict(file.metadata())


@given(
    chosen=st.sets(st.integers(0, LAYOUT.size - 1)),
    seed=st.integers(0, 2**63 - 1),
    threshold=st.floats(0, allow_nan=False),
    suffix=st.sampled_from(FORMATS),
)
def test_files_round_trip(chosen: set[int], seed: int, threshold: float, suffix: str) -> None:
    written = network(chosen, seed=seed, threshold=threshold)
    with tempfile.TemporaryDirectory() as folder:
        path = save(written, Path(folder) / f"x{suffix}")
        loaded = SubNetwork.load(path)
        assert [entry.name for entry in Path(folder).iterdir()] == [path.name]
    assert loaded == written
    for name in ("language", "seed", "layout", "cardinality", "threshold", "density", "provenance"):
        assert getattr(loaded, name) == getattr(written, name)


def test_masks_are_tensors_by_name() -> None:
    masks = SOME.to_masks()
    assert list(masks) == list(LAYOUT.names)
    assert {name: tuple(mask.shape) for name, mask in masks.items()} == dict(
        zip(LAYOUT.names, LAYOUT.shapes, strict=True)
    )
    assert {mask.dtype for mask in masks.values()} == {torch.bool}
    flat = torch.cat([mask.ravel() for mask in masks.values()])
    assert flat.nonzero().ravel().tolist() == SOME.indices().tolist()


def test_safetensors_reads_the_masks(tmp_path: Path) -> None:
    path = SOME.save_safetensors(tmp_path / "zh.safetensors")
    loaded = load_file(path)
    masks = SOME.to_masks()
    assert set(loaded) == set(masks)
    assert all(torch.equal(loaded[name], masks[name]) for name in masks)
    record = json.loads(metadata(path)["record"])
    assert (record["language"], record["seed"], record["layout_digest"]) == ("zh-Hant", 42, LAYOUT.digest)
    assert record["provenance"]["model"] == "mini"


def test_numpy_reads_the_indices_without_pickles(tmp_path: Path) -> None:
    with np.load(SOME.save_indices(tmp_path / "zh.npz"), allow_pickle=False) as arrays:
        assert set(arrays) == {"indices", "record"}
        assert arrays["indices"].tolist() == [0, 63, 64, 123, 124, 169]
        assert arrays["indices"].dtype == np.uint32
        assert json.loads(arrays["record"].tobytes())["cardinality"] == 6


def test_a_sub_network_of_nothing_has_an_infinite_threshold(tmp_path: Path) -> None:
    empty = network(set(), threshold=math.inf)
    for suffix in FORMATS:
        assert SubNetwork.load(save(empty, tmp_path / f"x{suffix}")).threshold == math.inf


def test_nothing_but_masks_needs_torch(tmp_path: Path) -> None:
    for suffix in FORMATS:
        save(SOME, tmp_path / f"x{suffix}")
    program = (
        "import sys; from pathlib import Path; from xsns_stream.types import SubNetwork\n"
        "for path in map(Path, sys.argv[1:]):\n"
        "    sub = SubNetwork.load(path); sub.save_safetensors(path.with_name('again.safetensors')); sub & sub\n"
        "assert 'torch' not in sys.modules"
    )
    paths = [str(tmp_path / f"x{suffix}") for suffix in FORMATS]
    completed = subprocess.run([sys.executable, "-c", program, *paths], capture_output=True, text=True, check=False)
    assert (completed.returncode, completed.stderr) == (0, "")


# ---------------------------------------------------------------------------------------- refused


def edited(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the record of a file of masks, and keep its tensors."""
    record = json.loads(metadata(path)["record"])
    change(record)
    save_file(load_file(path), path, {"record": json.dumps(record)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record.update(kind="weights"), "is not a sub-network of xsns-stream"),
        (lambda record: record.update(version=2), "has version 2, and this program reads up to 1"),
        (lambda record: record.update(layout_digest="0"), "does not match its digest"),
        (lambda record: record.update(sha256="0"), "does not contain the bits that were exported"),
        (lambda record: record.update(cardinality=5), "has 6 bits set, but its record says 5"),
        (lambda record: record.pop("threshold"), "cannot be read as a sub-network: 'threshold'"),
    ],
)
def test_a_record_that_does_not_fit_is_refused(
    change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path
) -> None:
    path = SOME.save_safetensors(tmp_path / "x.safetensors")
    edited(path, change)
    with pytest.raises(StoreError) as refused:
        SubNetwork.load(path)
    assert message in refused.value.message


def flip(tensors: dict[str, torch.Tensor]) -> None:
    tensors["a.weight"][2, 2] = True


def drop(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["a.scale"]


def widen(tensors: dict[str, torch.Tensor]) -> None:
    tensors["b.bias"] = tensors["b.bias"].float()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (flip, "does not contain the bits that were exported"),
        (drop, "differ from its layout"),
        (widen, "'b.bias' in '{path}' is float32 [4], not bool [4]"),
    ],
)
def test_changed_masks_are_refused(damage: Callable[[Any], None], message: str, tmp_path: Path) -> None:
    path = SOME.save_safetensors(tmp_path / "x.safetensors")
    tensors, fields = load_file(path), metadata(path)
    damage(tensors)
    save_file(tensors, path, fields)
    with pytest.raises(StoreError) as refused:
        SubNetwork.load(path)
    assert message.format(path=path) in refused.value.message


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        (np.array([0, 63, 64, 123, 124, 170]), "has indices outside of its 170 parameters"),
        (np.array([-1, 63, 64, 123, 124, 169]), "has indices outside of its 170 parameters"),
        (np.array([0, 63, 64, 123, 124, 168]), "does not contain the bits that were exported"),
        (np.array([0.5]), "the indices in '{path}' are float64 [1]"),
    ],
)
def test_changed_indices_are_refused(indices: np.ndarray, message: str, tmp_path: Path) -> None:
    path = SOME.save_indices(tmp_path / "x.npz")
    with np.load(path) as arrays:
        record = arrays["record"]
    np.savez(path, indices=indices, record=record)
    with pytest.raises(StoreError) as refused:
        SubNetwork.load(path)
    assert message.format(path=path) in refused.value.message


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("keep", [0, 1, 40, -1])
def test_a_truncated_file_is_refused(suffix: str, keep: int, tmp_path: Path) -> None:
    path = save(SOME, tmp_path / f"x{suffix}")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(StoreError, match="cannot be read as a sub-network") as refused:
        SubNetwork.load(path)
    assert refused.value.hint


def test_objects_in_an_archive_are_not_unpickled(tmp_path: Path) -> None:
    path = SOME.save_indices(tmp_path / "x.npz")
    with np.load(path) as arrays:
        record = arrays["record"]
    np.savez(path, indices=np.array([print], object), record=record)
    with pytest.raises(StoreError, match="cannot be read as a sub-network: Object arrays cannot be loaded"):
        SubNetwork.load(path)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("language", "../../etc"),
        ("language", None),
        ("seed", -5),
        ("seed", 1.5),
        ("density", 7),
        ("density", float("nan")),
        ("threshold", "nan"),
        ("threshold", "-0x1p+0"),
    ],
)
def test_a_record_with_invalid_labels_is_refused(field: str, value: object, tmp_path: Path) -> None:
    path = SOME.save_safetensors(tmp_path / "x.safetensors")
    edited(path, lambda record: record.update({field: value}))
    with pytest.raises(StoreError, match=r"the record in .* has invalid labels"):
        SubNetwork.load(path)


def test_files_of_other_programs_are_refused(tmp_path: Path) -> None:
    save_file({"b.weight": torch.ones(2)}, tmp_path / "x.safetensors")
    np.savez(tmp_path / "x.npz", weights=np.ones(2))
    for name in ("x.safetensors", "x.npz"):
        with pytest.raises(StoreError, match="is not a sub-network of xsns-stream"):
            SubNetwork.load(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "y.npz", "w") as archive:
        archive.writestr("indices.npy", b"")
        archive.writestr("record.npy", b"")
    with pytest.raises(StoreError, match="cannot be read as a sub-network"):
        SubNetwork.load(tmp_path / "y.npz")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("x.pt", UsageError, "does not end in the suffix of a supported format"),
        ("x", UsageError, "does not end in the suffix of a supported format"),
        ("none.npz", StoreError, "there is no file"),
        ("folder.npz", StoreError, "there is no file"),
    ],
)
def test_paths_that_cannot_be_read(name: str, error: type[XsnsError], message: str, tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(error, match=message):
        SubNetwork.load(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x.npz", r"does not end in the suffix of a supported format"),
        ("none/x.safetensors", "there is no folder"),
        ("folder.safetensors", "is a folder"),
    ],
)
def test_paths_that_cannot_be_written(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(UsageError, match=message) as refused:
        SOME.save_safetensors(tmp_path / name)
    assert refused.value.hint


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = SOME.save_safetensors(tmp_path / "x.safetensors")
    old = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(XsnsError, match=r"cannot write .*: File too large") as refused:
            network({5}).save_safetensors(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert refused.value.hint == "check the free space and the permissions."
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]
