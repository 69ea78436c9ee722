"""Saved Fisher values: another density needs no model later, and gives the same bits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xsns_stream.errors import FisherError, IncompatibleError, StoreError, UsageError
from xsns_stream.fisher import diagonal_fisher
from xsns_stream.models import LoadedModel, parameter_layout
from xsns_stream.objectives import batches
from xsns_stream.pipeline.events import Noted, Row, RowCommitted


@pytest.fixture
def no_measuring(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """A function after whose call every measurement is an error."""

    def forbid() -> None:
        def fail(*args: object, **kwargs: object) -> None:
            raise FisherError("nothing was to be measured.")

        for name in ("measurement", "diagonal_fisher_in_groups", "without_rules", "token_budget"):
            monkeypatch.setattr(f"xsns_stream.fisher.{name}", fail)

    return forbid


def test_another_density_is_made_from_kept_values(make: Any, run: Any, no_measuring: Any, tmp_path: Path) -> None:
    _, _, expected = run(make("sw fi", densities=(0.05, 0.3)), at=tmp_path / "expected.zarr")
    run(make("sw fi", keep_fisher="float32", densities=(0.3,)))
    no_measuring()
    result, events, store = run(make("sw fi", densities=(0.05,)))
    assert result.committed == (Row("sw", 42), Row("fi", 42))
    for language in ("sw", "fi"):
        for density in (0.05, 0.3):
            network, measured = store.read(language, density=density), expected.read(language, density=density)
            assert np.array_equal(network.bits, measured.bits)
            assert network.threshold == measured.threshold
    provenance = store.read("sw", density=0.05).provenance
    assert (provenance.values, provenance.examples) == ("kept-float32", 6)
    assert store.read("sw", density=0.3).provenance.values == ""
    assert provenance.corpus_digest == store.read("sw", density=0.3).provenance.corpus_digest
    assert [event.stored_fisher for event in events if isinstance(event, RowCommitted)] == [True, True]
    assert [e.text for e in events if isinstance(e, Noted)] == ["is selected from the Fisher values in the store."] * 2
    assert store.verify() == []


def test_values_are_those_of_the_engine(make: Any, run: Any, loaded: LoadedModel) -> None:
    settings = make("sw", keep_fisher="float32")
    _, _, store = run(settings)
    encoded = settings.objective.encode(settings.corpus.sample("sw", 6, 42), loaded.tokenizer, 42)
    measured = diagonal_fisher(loaded.model, batches(encoded.examples, 4, 1), parameter_layout(loaded.model))
    fisher = store.fisher_values("sw", 42)
    assert fisher.examples == 6
    assert all(np.array_equal(a, b) for a, b in zip(fisher.values, measured.values, strict=True))


def test_rounded_values_give_an_approximation_and_say_so(
    make: Any, run: Any, no_measuring: Any, tmp_path: Path
) -> None:
    _, _, expected = run(make("sw", densities=(0.05, 0.3)), at=tmp_path / "expected.zarr")
    run(make("sw", keep_fisher="bf16", densities=(0.3,)))
    no_measuring()
    _, events, store = run(make("sw", densities=(0.05,)))
    exact = store.read("sw", density=0.3)
    assert np.array_equal(exact.bits, expected.read("sw", density=0.3).bits), (
        "the threshold is that of the values before rounding"
    )
    network, unrounded = (s.read("sw", density=0.05).to_numpy() for s in (store, expected))
    assert 0.95 < (network & unrounded).sum() / (network | unrounded).sum() <= 1
    assert store.read("sw", density=0.05).provenance.values == "kept-bf16"
    (note,) = [event.text for event in events if isinstance(event, Noted)]
    assert note.endswith(
        "from the Fisher values in the store. They are rounded to bf16, and the sub-network is therefore an "
        "approximation."
    )


def test_values_measured_in_groups_are_kept_too(make: Any, run: Any, tmp_path: Path) -> None:
    _, _, at_once = run(make("sw", keep_fisher="float32"), at=tmp_path / "whole.zarr")
    _, _, store = run(make("sw", keep_fisher="float32", memory=40_000))
    fisher, measured = store.fisher_values("sw", 42), at_once.fisher_values("sw", 42)
    assert all(np.array_equal(a, b) for a, b in zip(fisher.values, measured.values, strict=True))


def test_a_row_that_was_only_kept_is_finished_without_measuring(make: Any, run: Any, no_measuring: Any) -> None:
    """The store is as after a kill between the commits of the values and of the row."""
    import shutil

    _, _, store = run(make("sw", keep_fisher="float32"))
    before = store["sw"]
    shutil.rmtree(store.path / "commits" / "0.15" / "42" / "sw")
    no_measuring()
    result, _, store = run(make("sw", keep_fisher="float32"))
    assert result.committed == (Row("sw", 42),)
    assert np.array_equal(store["sw"].bits, before.bits)


def test_kept_rows_beside_rows_that_are_measured(make: Any, run: Any) -> None:
    run(make("sw", keep_fisher="float32"))
    result, events, store = run(make("fi sw et", densities=(0.15, 0.4)))
    assert result.committed == (Row("fi", 42), Row("sw", 42), Row("et", 42))
    assert [event.stored_fisher for event in events if isinstance(event, RowCommitted)] == [False, True, False]
    assert store.verify() == []


def test_text_that_changed_since_values_were_kept_is_refused(
    make: Any, run: Any, tmp_path: Path, write_texts: Callable[..., Path]
) -> None:
    from xsns_stream.corpora import open_corpus

    folder = write_texts(tmp_path / "texts", "sw")
    run(make("sw", corpus=open_corpus(str(folder)), keep_fisher="float32"))
    (folder / "sw.txt").write_text("kitu kingine kabisa\n", encoding="utf-8")
    with pytest.raises(IncompatibleError, match=r"the text of 'sw' .* differs from the text on which its row"):
        run(make("sw", corpus=open_corpus(str(folder)), densities=(0.5,)))


def test_one_store_has_one_encoding(make: Any, run: Any) -> None:
    run(make("sw", keep_fisher="float32"))
    with pytest.raises(StoreError, match="are saved as float32, not as bf16") as caught:
        run(make("fi", keep_fisher="bf16"))
    assert "--keep-fisher float32" in caught.value.hint


def test_an_unknown_encoding_is_refused(make: Any) -> None:
    with pytest.raises(UsageError, match="'int8' is not an encoding"):
        make("sw", keep_fisher="int8")


def test_a_note_says_what_existing_rows_lack(make: Any, run: Any) -> None:
    run(make("sw"))
    _, events, _ = run(make("sw fi", keep_fisher="float32", split_half=True))
    notes = [event.text for event in events if isinstance(event, Noted) and event.row is None]
    missing = "compared in halves or stored with its Fisher values"
    assert notes == [
        f"1 of 2 rows are in the store already, and are not {missing}. "
        "To add what is missing, remove these rows with prune, and build again. "
        "--parts 8 adds intervals and split-half to rows that are in the store."
    ]
    for again in (make("sw fi"), make("fi", keep_fisher="float32", split_half=True)):
        _, events, _ = run(again)
        assert not [event for event in events if isinstance(event, Noted) and event.row is None]


def test_a_store_that_cannot_save_fisher_values_is_refused_before_measuring(
    make: Any, run: Any, no_measuring: Callable[[], None]
) -> None:
    no_measuring()
    with pytest.raises(StoreError, match="Fisher values can be saved in folders only"):
        run(make("sw", keep_fisher="float32"), at="memory://keeps-nothing")
