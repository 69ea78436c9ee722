"""Stopping of stable rows, and comparison of halves, compared with measurements of the same examples alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tests.support.networks import jaccard
from xsns_stream.errors import UsageError
from xsns_stream.fisher import diagonal_fisher
from xsns_stream.models import LoadedModel, parameter_layout
from xsns_stream.objectives import EncodedExample, batches
from xsns_stream.pipeline.events import ExamplesDone, Row, RowCommitted
from xsns_stream.pipeline.repeatability import jaccard_of_bits
from xsns_stream.pipeline.settings import Stopping
from xsns_stream.subnetworks.select import extract_subnetwork
from xsns_stream.types import FisherSettings, SubNetwork


@pytest.fixture
def slowly(loaded: LoadedModel) -> Callable[..., SubNetwork]:
    """A function that returns the sub-network of the given examples only."""

    def measure(examples: Sequence[EncodedExample], density: float = 0.15) -> SubNetwork:
        layout = parameter_layout(loaded.model)
        return extract_subnetwork(diagonal_fisher(loaded.model, batches(examples, 4, 1), layout), density)

    return measure


@pytest.fixture
def encoded(make: Callable[..., Any], loaded: LoadedModel) -> Sequence[EncodedExample]:
    settings = make("sw", examples=20)
    return settings.objective.encode(settings.corpus.sample("sw", 20, 42), loaded.tokenizer, 42).examples


def reliability(store: Any, **row: Any) -> dict[str, Any]:
    return dict(store.read("sw", **row).provenance.reliability)


# --------------------------------------------------------------------------------------- two halves


def test_split_half_is_the_jaccard_of_the_two_halves(
    make: Any, run: Any, slowly: Any, encoded: Any, loaded: LoadedModel
) -> None:
    settings = make("sw", examples=20, split_half=True, densities=(0.15, 0.4))
    result, events, store = run(settings)
    for density in (0.15, 0.4):
        expected = jaccard(slowly(encoded[:10], density), slowly(encoded[10:], density))
        assert reliability(store, density=density)["split_half"] == pytest.approx(expected, abs=2e-3)
        assert 0.1 < expected < 0.9, "otherwise nothing would be tested"
    assert result.reliability[Row("sw", 42)] == reliability(store, density=0.15)
    (committed,) = [event for event in events if isinstance(event, RowCommitted)]
    assert committed.reliability == reliability(store, density=0.15)


def test_comparing_halves_changes_no_row(make: Any, run: Any, tmp_path: Any) -> None:
    for estimator in ("per-example", "per-batch"):
        fisher = FisherSettings(estimator)
        plain, halved = tmp_path / f"{estimator}.zarr", tmp_path / f"{estimator}-halved.zarr"
        _, _, expected = run(make("sw", examples=18, fisher=fisher), at=plain)
        _, _, with_halves = run(make("sw", examples=18, fisher=fisher, split_half=True), at=halved)
        assert jaccard(with_halves["sw"], expected["sw"]) > 0.999
        assert with_halves["sw"].cardinality == pytest.approx(expected["sw"].cardinality, abs=3)


def test_one_example_has_no_halves(make: Any, run: Any) -> None:
    result, _, store = run(make("sw", examples=1, split_half=True))
    assert result.committed == (Row("sw", 42),)
    assert reliability(store) == {}


# ------------------------------------------------------------------------------------- until stable


def test_the_curve_is_that_of_growing_text(make: Any, run: Any, slowly: Any, encoded: Any) -> None:
    settings = make("sw", examples=20, stopping=Stopping(1.0, check_every=6, at_least=1))
    _, _, store = run(settings)
    curve = reliability(store)["stability"]
    assert [point[0] for point in curve] == [6, 12, 18, 20]
    assert curve[0][1] is None
    networks = [slowly(encoded[:count]) for count in (6, 12, 18, 20)]
    for (_, stability), before, after in zip(curve[1:], networks, networks[1:], strict=False):
        assert stability == pytest.approx(jaccard(before, after), abs=2e-3)
    assert json.loads(json.dumps(curve)) == curve


def test_a_row_stops_once_it_is_stable(make: Any, run: Any, slowly: Any, encoded: Any, tmp_path: Any) -> None:
    _, _, unstopped = run(make("sw", examples=20, stopping=Stopping(1.0, 4, 1)), at=tmp_path / "whole.zarr")
    curve = reliability(unstopped)["stability"]
    target = max(value for _, value in curve[1:-1])
    stops = next(count for count, value in curve if value is not None and value >= target)
    assert stops < 20, "otherwise nothing would be tested"
    result, events, store = run(make("sw", examples=20, stopping=Stopping(target, 4, 1)))
    assert reliability(store)["stability"] == curve[: stops // 4]
    record = store.record("sw").provenance
    assert (record.examples, record.examples_asked) == (stops, 20)
    assert record.stopping == f"until-stable(jaccard={target:g},check_every=4,at_least=1,density=0.15)"
    assert store.experiment["stopping"] == record.stopping
    assert np.array_equal(store["sw"].bits, slowly(encoded[:stops]).bits) or (
        jaccard(store["sw"], slowly(encoded[:stops])) > 0.999
    )
    assert [event.count for event in events if isinstance(event, ExamplesDone)] == list(range(4, stops + 1, 4))
    assert result.reliability[Row("sw", 42)] == reliability(store)


def test_a_row_does_not_stop_before_the_least_number_of_examples(make: Any, run: Any) -> None:
    _, _, store = run(make("sw", examples=20, stopping=Stopping(0.01, check_every=4, at_least=11)))
    assert store.record("sw").provenance.examples == 12


def test_split_half_and_stopping_can_be_combined(make: Any, run: Any, slowly: Any, encoded: Any) -> None:
    """The examples before each check are divided, so that there are two halves wherever the row stops."""
    _, _, store = run(make("sw", examples=20, split_half=True, stopping=Stopping(0.01, 8, 16)))
    known = reliability(store)
    assert store.record("sw").provenance.examples == 16
    first, second = (*encoded[0:4], *encoded[8:12]), (*encoded[4:8], *encoded[12:16])
    assert known["split_half"] == pytest.approx(jaccard(slowly(first), slowly(second)), abs=2e-3)
    assert [point[0] for point in known["stability"]] == [8, 16]


def test_stability_is_judged_at_one_density_whatever_the_rows_have(make: Any, run: Any, tmp_path: Any) -> None:
    curves = []
    for density in (0.15, 0.5):
        _, _, store = run(
            make("sw", examples=12, stopping=Stopping(1.0, 4, 1), densities=(density,)),
            at=tmp_path / f"{density}.zarr",
        )
        curves.append(reliability(store)["stability"])
    assert curves[0] == curves[1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((0.0,), "the coefficient at which a row is stable must be in (0, 1], not 0.0."),
        ((1.5,), "the coefficient at which a row is stable must be in (0, 1], not 1.5."),
        ((float("nan"),), "the coefficient at which a row is stable must be in (0, 1], not nan."),
        ((0.9, 0), "the number of examples between two checks must be at least 1, not 0."),
        ((0.9, 1, -1), "the smallest number of examples must be at least 1, not -1."),
    ],
)
def test_invalid_rules_of_stopping_are_refused(values: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        Stopping(*values)
    assert caught.value.message == message


def test_jaccard_of_bits_is_intersection_over_union() -> None:
    a, b, none = (np.array([word], np.uint64) for word in (0b0111, 0b1110, 0))
    assert jaccard_of_bits(a, b) == 0.5
    assert jaccard_of_bits(a, a) == 1
    assert jaccard_of_bits(a, none) == 0
    assert jaccard_of_bits(none, none) is None
