"""The commands and the Python examples of docs/sub-networks.md run unchanged, in the order of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import xsns_stream as xs
from tests.support.page_blocks import run_page
from xsns_kernels import pack_bits
from xsns_stream.types import Provenance, SubNetwork


@pytest.fixture
def model(tiny_folder: Path) -> Any:
    from transformers import XLMRobertaForMaskedLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    return XLMRobertaForMaskedLM.from_pretrained(tiny_folder)


@pytest.fixture
def folder(model: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a store of three languages whose layout is that of the model."""
    layout = xs.parameter_layout(model)
    store = xs.open_store(tmp_path / "xsns.zarr", "a")
    for number, language in enumerate(("sw", "zu", "en")):
        chosen = np.random.default_rng(number).random(layout.size) < 0.15
        provenance = Provenance(layout_digest=layout.digest, seed=42)
        count = int(chosen.sum())
        store.write(SubNetwork(language, 42, pack_bits(chosen), layout, count, 0.1, 0.15, provenance))
    (tmp_path / "masks").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_examples_run_and_training_changes_only_the_sub_network(folder: Path, model: Any, xsns: Any) -> None:
    printed: list[tuple[Any, ...]] = []
    names: dict[str, Any] = {"torch": torch, "xs": xs, "model": model, "print": lambda *values: printed.append(values)}
    space = run_page("docs/sub-networks.md", xsns, names=names).names
    assert [layer for layer, *_ in printed] == [layer.name for layer in space["sw"].layout.layers]
    assert sorted(path.name for path in folder.rglob("*.npz")) == ["en.npz", "sw.npz", "zu.npz"]

    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    tokens = torch.arange(4, 28).reshape(2, 12)
    for _ in range(3):
        space["optimizer"].zero_grad()
        model(input_ids=tokens, labels=tokens).loss.backward()
        space["optimizer"].step()
    moved = {name: parameter.detach() != before[name] for name, parameter in model.named_parameters()}
    assert set(space["masks"]) < set(moved)
    for name, positions in moved.items():
        if name not in space["masks"]:
            assert not positions.any(), name
        else:
            assert not positions[~space["masks"][name]].any(), name
    assert sum(int(positions.sum()) for positions in moved.values()) > 0.9 * len(space["sw"])
