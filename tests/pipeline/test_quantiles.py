"""Thresholds of a build, and their record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xsns_stream.errors import UsageError
from xsns_stream.fisher import diagonal_fisher
from xsns_stream.models import LoadedModel, parameter_layout
from xsns_stream.objectives import batches
from xsns_stream.pipeline.events import Noted
from xsns_stream.subnetworks.select import extract_subnetwork
from xsns_stream.types import FisherSettings

DENSITIES = (0.3, 0.05, 0.15)


@pytest.mark.parametrize(
    ("quantile", "used", "recorded"),
    [(None, "exact", ""), ("exact", "exact", ""), ("histogram",) * 3, ("percentile",) * 3],
)
def test_every_density_is_selected_as_asked(
    quantile: str | None, used: str, recorded: str, make: Any, run: Any, loaded: LoadedModel
) -> None:
    settings = make("sw", quantile=quantile, densities=DENSITIES)
    _, events, store = run(settings)
    examples = settings.objective.encode(settings.corpus.sample("sw", 6, 42), loaded.tokenizer, 42).examples
    fisher = diagonal_fisher(
        loaded.model, batches(examples, 4, 1, order="length"), parameter_layout(loaded.model), seed=42
    )
    for density in DENSITIES:
        expected = extract_subnetwork(fisher, density, quantile=used)
        network = store.read("sw", density=density)
        assert np.array_equal(network.bits, expected.bits)
        assert (network.threshold, network.provenance.quantile) == (expected.threshold, recorded)
    assert store.experiment["quantile"] == recorded
    notes = [event.text for event in events if isinstance(event, Noted) and "thresholds are estimated" in event.text]
    assert len(notes) == (used == "histogram")


@pytest.mark.parametrize(("quantile", "recorded"), [(None, ""), ("percentile", ""), ("exact", "exact")])
def test_the_authors_estimator_uses_the_percentile_by_default(
    quantile: str | None, recorded: str, make: Any, run: Any
) -> None:
    settings = make("sw", fisher=FisherSettings("authors"), quantile=quantile)
    assert settings.quantile_used == (quantile or "percentile")
    _, _, store = run(settings)
    assert store.experiment["quantile"] == recorded


def test_halves_are_selected_by_the_same_quantile(make: Any, run: Any, tmp_path: Path) -> None:
    split_half = {}
    for quantile in ("exact", "histogram"):
        settings = make("sw", quantile=quantile, split_half=True, examples=12, densities=DENSITIES)
        _, _, store = run(settings, at=tmp_path / quantile)
        split_half[quantile] = [store.read("sw", density=one).provenance.reliability["split_half"] for one in DENSITIES]
    assert split_half["exact"] == pytest.approx(split_half["histogram"], abs=0.01)
    assert split_half["exact"] != split_half["histogram"], "the two quantiles give different halves"


def test_an_unknown_quantile_is_refused(make: Any) -> None:
    with pytest.raises(UsageError, match="there is no quantile 'median'"):
        make("sw", quantile="median")
