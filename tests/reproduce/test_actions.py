"""Actions of recipes: comparisons of Fisher values, compared with loops over all values, and control models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from xsns_stream.errors import StoreError, UsageError
from xsns_stream.models import load_model
from xsns_stream.reproduce.actions import ALTERNATIVES, compare_fisher_values, main
from xsns_stream.similarity.matrix_io import read_matrix
from xsns_stream.store import open_store
from xsns_stream.subnetworks.select import extract_subnetwork
from xsns_stream.types import DiagonalFisher, LayerSpan, ParameterLayout, Provenance

LAYOUT = ParameterLayout(
    ("a.weight", "a.bias", "b.weight"), ((6, 10), (7,), (9, 9)), (LayerSpan("a", 0, 67), LayerSpan("b", 67, 148))
)
LANGUAGES = ("en", "fi", "sw")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of three languages with two seeds. The values of the second layer are much larger."""
    opened = open_store(tmp_path / "kept.zarr", "a")
    for seed in (1, 2):
        for index, language in enumerate(LANGUAGES):
            rng = np.random.default_rng([seed, index])
            values = [
                rng.gamma(0.3, size=s).astype(np.float32) * (50 if i == 2 else 1) for i, s in enumerate(LAYOUT.shapes)
            ]
            fisher = DiagonalFisher(tuple(values), LAYOUT, 4, language, Provenance(model="m", seed=seed))
            opened.save_fisher(fisher)
            opened.write(extract_subnetwork(fisher, 0.2))
    return tmp_path / "kept.zarr"


def test_each_alternative_equals_a_loop(store: Path, tmp_path: Path) -> None:
    main(["alternatives", str(store), "0.2", str(tmp_path / "out")])
    opened = open_store(store)
    for alternative in ALTERNATIVES:
        matrix = read_matrix(str(tmp_path / "out" / f"{alternative}.parquet"))
        assert (matrix.sources, matrix.seeds, matrix.coefficient) == (LANGUAGES, (1, 2), alternative)
        assert matrix.per_seed is not None
        for number, seed in enumerate(matrix.seeds):
            fisher_values = [opened.fisher_values(code, seed) for code in LANGUAGES]
            rows = [
                np.concatenate([v.ravel() for v in fisher.values]).astype(float) for fisher in fisher_values if fisher
            ]
            expected = [[slow(alternative, a, b) for b in rows] for a in rows]
            np.testing.assert_allclose(matrix.per_seed[number], expected, rtol=1e-6)


def test_the_shuffled_control_has_the_values_of_every_tensor_in_another_order(
    tiny_folder: Path, tmp_path: Path
) -> None:
    main(["shuffled-weights", str(tiny_folder), str(tmp_path / "shuffled")])
    model, control = (
        dict(load_model(str(folder)).model.named_parameters()) for folder in (tiny_folder, tmp_path / "shuffled")
    )
    assert model.keys() == control.keys()
    for name, values in model.items():
        assert torch.equal(values.flatten().sort().values, control[name].flatten().sort().values), name
    moved = [name for name, values in model.items() if not torch.equal(values, control[name])]
    assert any(name.endswith("query.weight") for name in moved)
    main(["shuffled-weights", str(tiny_folder), str(tmp_path / "again")])
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("shuffled", "again")]
    assert weights[0] == weights[1]
    assert (tmp_path / "shuffled" / "tokenizer.json").is_file()


def slow(alternative: str, a: np.ndarray, b: np.ndarray) -> float:
    if alternative == "weighted":
        return sum(map(min, a, b)) / sum(map(max, a, b))
    if alternative == "cosine":
        return float(np.dot(a, b) / np.sqrt(np.dot(a, a) * np.dot(b, b)))
    one, two = ({i for span in LAYOUT.layers for i in top(values, span.start, span.stop)} for values in (a, b))
    return len(one & two) / len(one | two)


def top(values: np.ndarray, start: int, stop: int) -> list[int]:
    count = int(0.2 * (stop - start) + 0.5)
    return sorted(range(start, stop), key=lambda i: -values[i])[:count]


def test_a_threshold_per_layer_differs_from_a_global_one(store: Path) -> None:
    opened = open_store(store)
    matrix = compare_fisher_values(opened, 0.2)["per-layer"]
    small = np.unpackbits(opened.read("en", 1, 0.2).bits.view(np.uint8), bitorder="little")[:67].sum()
    assert small < 0.2 * 67 / 2  # one threshold leaves the small layer nearly empty
    assert matrix["en", "en"] == 1.0


def test_a_store_without_fisher_values_is_refused(store: Path, tmp_path: Path) -> None:
    opened = open_store(tmp_path / "other.zarr", "a")
    fisher = open_store(store).fisher_values("en", 1)
    assert fisher is not None
    opened.write(extract_subnetwork(fisher, 0.2))
    with pytest.raises(StoreError, match="does not have Fisher values"):
        compare_fisher_values(open_store(tmp_path / "other.zarr"), 0.2)
    with pytest.raises(UsageError, match="the action or its arguments are missing"):
        main([])
