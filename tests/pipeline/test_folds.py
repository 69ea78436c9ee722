"""Rows with parts: the row without a part equals that of the other parts, and the row itself does not change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.networks import jaccard
from xsns_stream.errors import FisherError, IncompatibleError, UsageError
from xsns_stream.fisher import measurement
from xsns_stream.models import LoadedModel, parameter_layout
from xsns_stream.objectives import EncodedExample, batches
from xsns_stream.pipeline.events import Row, RowCommitted
from xsns_stream.pipeline.repeatability import FoldSums
from xsns_stream.pipeline.settings import Stopping
from xsns_stream.store import open_store
from xsns_stream.subnetworks.select import select_top
from xsns_stream.types import FisherSettings


@pytest.fixture
def encoded(make: Callable[..., Any], loaded: LoadedModel) -> Sequence[EncodedExample]:
    settings = make("sw", examples=18)
    examples: Sequence[EncodedExample] = settings.objective.encode(
        settings.corpus.sample("sw", 18, 42), loaded.tokenizer, 42
    ).examples
    return examples


def test_a_row_without_a_part_equals_the_row_of_the_other_parts(
    make: Any, run: Any, encoded: Any, loaded: LoadedModel
) -> None:
    _, _, store = run(make("sw", examples=18, parts=4, densities=(0.15, 0.4)))
    layout = parameter_layout(loaded.model)
    assert store.fold_counts == (4,)
    bounds = [0, 4, 9, 13, 18]
    cuts = [encoded[start:stop] for start, stop in pairwise(bounds)]
    sums = []
    for part in cuts:
        with measurement(loaded.model, layout, seed=42) as running:
            for batch in batches(part, 4, 1):
                running.add(batch)
        sums.append({name: values.clone() for name, values in running.sums.items()})
    for number, left_out in enumerate(store.folds(4)):
        others = [k for k in range(4) if k != number]
        count = sum(len(cuts[k]) for k in others)
        values = []
        for name in layout.names:
            total = torch.zeros_like(sums[0][name])
            for k in others:
                total += sums[k][name]
            values.append((total / count).numpy())
        for density in (0.15, 0.4):
            bits, cardinality, threshold = select_top(values, density)
            network = left_out.read("sw", density=density)
            assert np.array_equal(network.bits, bits)
            assert (network.threshold, network.cardinality) == (threshold, cardinality)
            assert network.provenance.examples == count
            row = store.read("sw", density=density)
            assert network.provenance.corpus_digest == row.provenance.corpus_digest
            assert 0.3 < jaccard(network, row) < 1


def test_an_example_that_outweighs_all_others_leaves_no_rounding_behind(tmp_path: Path) -> None:
    """Parts are not subtracted from the total, because 1e9 + 1 − 1e9 is 0 in float32."""
    sums = {"a": torch.zeros(2), "b": torch.zeros(1, 2)}
    parts = FoldSums(tmp_path, 3)
    for row in ([1e9, 1, 0, 2], [1, 1, 1, 1], [2, 0, 0, 1]):
        sums["a"].add_(torch.tensor(row[:2]))
        sums["b"].add_(torch.tensor([row[2:]]))
        parts.take(sums)
        assert not sums["a"].any()
    parts.add_up(sums, [1, 2])
    assert (sums["a"].tolist(), sums["b"].tolist()) == ([3, 1], [[1, 2]])
    parts.add_up(sums, [0, 1, 2])
    assert sums["a"].tolist() == [pytest.approx(1e9), 2]


@pytest.mark.parametrize("estimator", ["per-example", "per-batch", "grad-abs"])
def test_cutting_into_parts_changes_no_row(make: Any, run: Any, tmp_path: Any, estimator: str) -> None:
    fisher = FisherSettings(estimator)
    _, _, plain = run(make("sw", examples=18, fisher=fisher), at=tmp_path / "plain.zarr")
    _, _, in_parts = run(make("sw", examples=18, fisher=fisher, parts=3), at=tmp_path / "cut.zarr")
    assert jaccard(plain["sw"], in_parts["sw"]) > 0.999
    assert plain["sw"].threshold == pytest.approx(in_parts["sw"].threshold, rel=1e-5)
    assert plain.experiment == in_parts.experiment
    assert in_parts["sw"].provenance.examples == 18


def test_parts_give_split_half_too(make: Any, run: Any, tmp_path: Any) -> None:
    result, events, store = run(make("sw fi", examples=20, parts=4))
    _, _, halved = run(make("sw fi", examples=20, split_half=True), at=tmp_path / "halved.zarr")
    for language in ("sw", "fi"):
        expected = halved[language].provenance.reliability["split_half"]
        assert store[language].provenance.reliability == {"split_half": pytest.approx(expected, abs=2e-3)}
        assert all(part[language].provenance.reliability == {} for part in store.folds(4))
        assert result.reliability[Row(language, 42)] == store[language].provenance.reliability
    assert store.info()["parts"] == [{"count": 4, "rows": 2, "bytes": store.info()["bytes"] * 4}]
    assert store.verify() == []
    assert [event for event in events if isinstance(event, RowCommitted)]


def test_rows_that_are_there_get_their_parts_later(make: Any, run: Any) -> None:
    run(make("sw fi", examples=18))
    result, _, store = run(make("sw et", examples=18, parts=3))
    before = open_store(store.path)["sw"].bits
    assert set(result.committed) == {Row("sw", 42), Row("et", 42)}
    assert np.array_equal(store["sw"].bits, before)
    assert [store.has_folds(code, 42, 0.15, 3) for code in ("sw", "fi", "et")] == [True, False, True]
    again, _, _ = run(make("sw et", examples=18, parts=3))
    assert again.committed == ()
    assert again.skipped == (Row("sw", 42), Row("et", 42))


def test_a_row_whose_parts_were_interrupted_is_measured_again(make: Any, run: Any) -> None:
    settings = make("sw", examples=18, parts=3)
    _, _, store = run(settings)
    expected = [part["sw"].bits for part in store.folds(3)]
    store.folds(3)[1].discard("sw", 42, 0.15)
    assert not store.has_folds("sw", 42, 0.15, 3)
    result, _, store = run(settings)
    assert result.committed == (Row("sw", 42),)
    assert all(np.array_equal(part["sw"].bits, bits) for part, bits in zip(store.folds(3), expected, strict=True))


def test_parts_of_kept_values_are_measured(make: Any, run: Any) -> None:
    run(make("sw", examples=18, keep_fisher="float32"))
    result, _, store = run(make("sw", examples=18, keep_fisher="float32", parts=3))
    assert result.committed == (Row("sw", 42),)
    assert store.has_folds("sw", 42, 0.15, 3)
    assert store.verify() == []


def test_parts_of_changed_text_are_refused(make: Any, run: Any, write_texts: Any, tmp_path: Any) -> None:
    from xsns_stream.corpora import open_corpus

    folder = write_texts(tmp_path / "texts", "sw", 18)
    run(make("sw", examples=18, corpus=open_corpus(str(folder))))
    (folder / "sw.txt").write_text("\n".join(f"maneno mengine {n} kabisa" for n in range(18)), encoding="utf-8")
    with pytest.raises(IncompatibleError, match="differs from the text on which its row in the store was measured"):
        run(make("sw", examples=18, corpus=open_corpus(str(folder)), parts=3))


def test_too_few_examples_fail_their_language_alone(make: Any, run: Any, write_texts: Any, tmp_path: Any) -> None:
    from xsns_stream.corpora import open_corpus

    folder = write_texts(write_texts(tmp_path / "texts", "sw", 18), "fi", 2)
    result, _, store = run(make("sw fi", examples=18, corpus=open_corpus(str(folder)), parts=3))
    error = result.failed[Row("fi", 42)]
    assert isinstance(error, FisherError)
    assert error.message == "the language 'fi' has 2 usable examples: too few for 3 parts."
    assert store.languages == ("sw",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parts": 1}, "examples can be divided into 2 to 64 parts, not 1."),
        ({"parts": 65, "examples": 100}, "examples can be divided into 2 to 64 parts, not 65."),
        ({"parts": 8}, "6 examples cannot be split into 8 parts."),
        ({"parts": 2, "split_half": True}, "--parts and --split-half were both given."),
        ({"parts": 2, "stopping": Stopping(0.9)}, "--parts and --until-stable were both given."),
    ],
)
def test_invalid_settings_of_parts_are_refused(make: Any, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make("sw", **changes)
    assert caught.value.message == message


def test_parts_need_all_values_at_once(make: Any, run: Any) -> None:
    with pytest.raises(UsageError, match="--parts needs all Fisher values at once"):
        run(make("sw", parts=2, memory=40_000))
