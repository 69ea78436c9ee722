"""A build within this process: events, rows, resuming, and errors that concern one or all languages."""

from __future__ import annotations

import errno
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.build_events import notes
from xsns_stream.corpora import open_corpus
from xsns_stream.errors import (
    CorpusError,
    ExitCode,
    FisherError,
    IncompatibleError,
    LanguageError,
    StoreError,
    UsageError,
    XsnsError,
)
from xsns_stream.fisher import diagonal_fisher
from xsns_stream.models import LoadedModel, parameter_layout
from xsns_stream.objectives import MaskedLanguageModelling, batches
from xsns_stream.pipeline.build import build
from xsns_stream.pipeline.events import (
    BuildResult,
    Event,
    ExamplesDone,
    Noted,
    Row,
    RowCommitted,
    RowFailed,
    RowStarted,
)
from xsns_stream.pipeline.settings import BuildSettings, Stopping
from xsns_stream.store import SubNetworkStore, open_store
from xsns_stream.store.storage import local
from xsns_stream.subnetworks.select import extract_subnetwork
from xsns_stream.types import FisherSettings, LanguageSample, TextExample

SHORT = MaskedLanguageModelling(max_length=24)


def settings(texts: Path, languages: str = "sw fi et", **changes: Any) -> BuildSettings:
    fields = {"examples": 6, "batch_size": 4, "objective": SHORT} | changes
    return BuildSettings(corpus=open_corpus(str(texts)), languages=tuple(languages.split()), **fields)


def run(
    build_settings: BuildSettings, loaded: LoadedModel, path: Path
) -> tuple[BuildResult, list[Event], SubNetworkStore]:
    events: list[Event] = []
    store = open_store(path, "a")
    return build(build_settings, loaded, store, events.append), events, store


# ---------------------------------------------------------------------------------------- a whole run


def test_every_row_is_measured_and_committed(texts: Path, loaded: LoadedModel, path: Path) -> None:
    build_settings = settings(texts, seeds=(1, 2), densities=(0.1, 0.3))
    result, events, store = run(build_settings, loaded, path)
    rows = tuple(Row(language, seed) for language in ("sw", "fi", "et") for seed in (1, 2))
    assert (result.committed, result.skipped, dict(result.failed)) == (rows, (), {})
    assert {(key.language, key.seed, key.density) for key in store.keys()} == {  # noqa: SIM118
        (row.language, row.seed, density) for row in rows for density in (0.1, 0.3)
    }
    assert store.verify() == []
    assert store.unfinished() == ()
    assert [event.row for event in events if isinstance(event, RowCommitted)] == list(rows)


def test_a_row_is_what_the_stages_give(texts: Path, loaded: LoadedModel, path: Path) -> None:
    build_settings = settings(texts, "sw", seeds=(3,), fisher=FisherSettings(token_reduction="mean"))
    _, _, store = run(build_settings, loaded, path)
    sample = build_settings.corpus.sample("sw", 6, 3)
    encoded = SHORT.encode(sample, loaded.tokenizer, 3)
    layout = parameter_layout(loaded.model)
    fisher = diagonal_fisher(loaded.model, batches(encoded.examples, 4, 1), layout, token_reduction="mean")
    expected = extract_subnetwork(fisher, 0.15, language="sw", seed=3)
    network = store["sw"]
    assert np.array_equal(network.bits, expected.bits)
    assert (network.cardinality, network.threshold) == (expected.cardinality, expected.threshold)
    assert network.layout == layout


def test_what_is_written_next_to_a_row(texts: Path, loaded: LoadedModel, path: Path) -> None:
    build_settings = settings(texts, "sw", seeds=(3,))
    _, _, store = run(build_settings, loaded, path)
    provenance = store["sw"].provenance
    assert (provenance.model, provenance.revision, provenance.device, provenance.dtype) == (
        "tiny",
        "",
        "cpu",
        "float32",
    )
    assert (provenance.examples, provenance.examples_asked, provenance.seed, provenance.fallback) == (6, 6, 3, ())
    assert provenance.objective == "masked-lm(rate=0.15,max_length=24)"
    assert provenance.estimator == "per-example(token_reduction=sum)"
    assert provenance.corpus == "folder(texts)"
    assert provenance.corpus_digest == build_settings.corpus.sample("sw", 6, 3).digest
    assert provenance.weights_digest == loaded.weights_digest
    assert provenance.tokenizer_digest == loaded.tokenizer_digest
    assert provenance.layout_digest == parameter_layout(loaded.model).digest
    assert {"torch", "transformers", "numpy"} <= set(provenance.versions)
    assert store.experiment == provenance.experiment()


def test_events_of_a_row_are_in_order(texts: Path, loaded: LoadedModel, path: Path) -> None:
    _, events, _ = run(settings(texts, "sw fi", examples=10), loaded, path)
    for language in ("sw", "fi"):
        row = Row(language, 42)
        own = [event for event in events if getattr(event, "row", None) == row and not isinstance(event, Noted)]
        assert own[0] == RowStarted(row)
        assert own[1:-1] == [ExamplesDone(row, count, 10) for count in (4, 8, 10)]
        assert isinstance(own[-1], RowCommitted)
        assert (own[-1].examples, own[-1].density_realised) == (10, pytest.approx(0.15, rel=0.01))
        assert own[-1].seconds > 0
    assert events.index(RowStarted(Row("fi", 42))) > max(events.index(e) for e in events if e.row == Row("sw", 42))


def test_batch_size_changes_no_row(texts: Path, loaded: LoadedModel, tmp_path: Path) -> None:
    bits = []
    for size in (1, 5, 64):
        _, _, store = run(settings(texts, "sw", examples=20, batch_size=size), loaded, tmp_path / f"{size}.zarr")
        bits.append(store["sw"].to_numpy())
    # Rounding may exchange values at the threshold: a few of 17,088 parameters.
    for other in bits[1:]:
        assert (bits[0] & other).sum() / (bits[0] | other).sum() > 0.999


def test_the_model_is_left_as_it_was(texts: Path, loaded: LoadedModel, path: Path) -> None:
    flags = {name: p.requires_grad for name, p in loaded.model.named_parameters()}
    run(settings(texts, "sw"), loaded, path)
    assert {name: p.requires_grad for name, p in loaded.model.named_parameters()} == flags
    assert not loaded.model.training
    assert all(p.grad is None for p in loaded.model.parameters())


# ------------------------------------------------------------------------------------------- resuming


def test_running_again_measures_nothing(
    texts: Path, loaded: LoadedModel, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(settings(texts), loaded, path)
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    monkeypatch.setattr("xsns_stream.fisher.measurement", None)
    result, events, _ = run(settings(texts), loaded, path)
    assert (len(result.committed), len(result.skipped), events) == (0, 3, [])
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before


def test_only_new_rows_are_measured(texts: Path, loaded: LoadedModel, path: Path) -> None:
    run(settings(texts, "sw", seeds=(1,)), loaded, path)
    result, _, _ = run(settings(texts, "sw fi", seeds=(1, 2)), loaded, path)
    assert result.skipped == (Row("sw", 1),)
    assert result.committed == (Row("sw", 2), Row("fi", 1), Row("fi", 2))


def test_another_density_is_added_without_touching_the_first(texts: Path, loaded: LoadedModel, path: Path) -> None:
    run(settings(texts, "sw", densities=(0.1,)), loaded, path)
    result, _, store = run(settings(texts, "sw", densities=(0.1, 0.4)), loaded, path)
    assert result.committed == (Row("sw", 42),)
    small, large = (store.read("sw", density=density).to_numpy() for density in (0.1, 0.4))
    assert (small & large).sum() == small.sum()


def test_after_an_interruption_the_rows_are_the_same(texts: Path, loaded: LoadedModel, tmp_path: Path) -> None:
    uninterrupted, stopped = tmp_path / "whole.zarr", tmp_path / "stopped.zarr"
    _, _, expected = run(settings(texts), loaded, uninterrupted)

    def stop(event: Event) -> None:
        if isinstance(event, ExamplesDone) and event.row.language == "fi":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(settings(texts), loaded, open_store(stopped, "a"), stop)
    assert open_store(stopped).languages == ("sw",)
    result, _, store = run(settings(texts), loaded, stopped)
    assert result.skipped == (Row("sw", 42),)
    for language in ("sw", "fi", "et"):
        assert np.array_equal(store[language].bits, expected[language].bits)
        assert store[language].threshold == expected[language].threshold


# --------------------------------------------------------------------------------- another experiment

OTHERS = {
    "the number of examples (--examples)": {"examples": 7},
    "objective": {"objective": MaskedLanguageModelling(0.2, 24)},
    "estimator": {"fisher": FisherSettings(token_reduction="mean")},
    "stopping": {"stopping": Stopping(0.9)},
    "quantile": {"quantile": "histogram"},
}


@pytest.mark.parametrize("field", OTHERS)
def test_another_experiment_is_refused_by_name(field: str, texts: Path, loaded: LoadedModel, path: Path) -> None:
    run(settings(texts, "sw"), loaded, path)
    events: list[Event] = []
    with pytest.raises(IncompatibleError) as caught:
        build(settings(texts, "fi", **OTHERS[field]), loaded, open_store(path, "a"), events.append)
    assert events == [], "the error occurs before anything is measured"
    assert caught.value.message.startswith(f"the store '{path}' contains another experiment: {field} is ")
    assert caught.value.message.count(" is ") == 1
    assert open_store(path).languages == ("sw",)


def test_another_corpus_model_or_tokenizer_is_refused(
    texts: Path, loaded: LoadedModel, path: Path, tmp_path: Path, write_texts: Callable[..., Path]
) -> None:
    run(settings(texts, "sw"), loaded, path)
    with pytest.raises(IncompatibleError, match=r"corpus is 'folder\(texts\)' in the store and 'folder\(other\)' here"):
        run(settings(write_texts(tmp_path / "other", "sw fi"), "fi"), loaded, path)
    with pytest.raises(IncompatibleError, match="weights_digest is"):
        run(settings(texts, "fi"), replace(loaded, weights_digest="0" * 64), path)
    with pytest.raises(IncompatibleError, match="tokenizer_digest is"):
        run(settings(texts, "fi"), replace(loaded, tokenizer_digest="0" * 64), path)


# ------------------------------------------------------------------------------ errors of one language


def test_a_language_without_text_does_not_stop_the_others(
    loaded: LoadedModel, path: Path, tmp_path: Path, write_texts: Callable[..., Path]
) -> None:
    folder = write_texts(tmp_path / "texts", "sw fi et")
    (folder / "fi.txt").write_text(" \n\t\n\n", encoding="utf-8")
    result, events, store = run(settings(folder), loaded, path)
    assert result.committed == (Row("sw", 42), Row("et", 42))
    assert store.languages == ("et", "sw")
    (failed,) = [event for event in events if isinstance(event, RowFailed)]
    assert failed.row == Row("fi", 42)
    assert result.failed == {failed.row: failed.error}
    assert isinstance(failed.error, XsnsError)
    assert "fi" in failed.error.message


class Corpus:
    """A corpus of three languages, one of which raises an error or has another text."""

    name, local = "made up", True

    def __init__(self, error: Exception | None = None, example: TextExample | None = None) -> None:
        self.error, self.example = error, example

    def languages(self) -> tuple[str, ...]:
        return ("et", "fi", "sw")

    def sample(self, language: str, count: int, seed: int) -> LanguageSample:
        if language == "fi" and self.error:
            raise self.error
        text = [TextExample(f"{language} watoto wanasoma kitabu {n}") for n in range(count)]
        if language == "fi" and self.example:
            text = [self.example] * count
        return LanguageSample(language, tuple(text), "nowhere")


@pytest.mark.parametrize("kind", [CorpusError, FisherError, LanguageError])
def test_errors_of_one_language_are_collected(kind: type[XsnsError], loaded: LoadedModel, path: Path) -> None:
    build_settings = BuildSettings(Corpus(kind("a sad file.")), ("sw", "fi", "et"), examples=3, objective=SHORT)
    result, _, _ = run(build_settings, loaded, path)
    assert [row.language for row in result.committed] == ["sw", "et"]
    assert [(row.language, error.message) for row, error in result.failed.items()] == [("fi", "a sad file.")]


@pytest.mark.parametrize("error", [StoreError("a sad disk."), MemoryError(), ZeroDivisionError(), UsageError("no.")])
def test_errors_that_concern_all_languages_end_the_run(error: Exception, loaded: LoadedModel, path: Path) -> None:
    build_settings = BuildSettings(Corpus(error), ("sw", "fi", "et"), examples=3, objective=SHORT)
    with pytest.raises(type(error)):
        run(build_settings, loaded, path)
    assert open_store(path).languages == ("sw",)


@pytest.fixture
def damaged(loaded: LoadedModel) -> LoadedModel:
    """A copy of the model, whose weights a test may damage."""
    import copy

    return replace(loaded, model=copy.deepcopy(loaded.model))


def test_nan_in_the_weights_is_named_with_the_language(texts: Path, damaged: LoadedModel, path: Path) -> None:
    name = "roberta.encoder.layer.1.output.dense.weight"
    with torch.no_grad():
        damaged.model.get_parameter(name)[0, 0] = math.nan
    result, _, store = run(settings(texts, "sw fi"), damaged, path)
    assert result.committed == ()
    assert not store.exists
    for row, error in result.failed.items():
        assert f"parameter '{name}'" in error.message
        assert f"language '{row.language}'" in error.message


def test_nan_in_the_embedding_of_a_token_fails_only_languages_with_that_token(damaged: LoadedModel, path: Path) -> None:
    # A token that occurs in every Finnish example and in no other, and that is not a special token.
    token = damaged.tokenizer.convert_tokens_to_ids("▁ja")
    assert token > 5
    with torch.no_grad():
        damaged.model.get_input_embeddings().weight[token] = math.nan
    examples = Corpus(example=TextExample(" ".join(["ja"] * 12)))
    # The head is tied to the embeddings, and the softmax of every language uses all rows of this matrix.
    damaged.model.lm_head.decoder.weight = torch.nn.Parameter(torch.nan_to_num(damaged.model.lm_head.decoder.weight))
    result, _, _ = run(BuildSettings(examples, ("sw", "fi", "et"), examples=3, objective=SHORT), damaged, path)
    assert [row.language for row in result.committed] == ["sw", "et"]
    (error,) = result.failed.values()
    assert "language 'fi'" in error.message
    assert "parameter 'roberta.embeddings.word_embeddings.weight'" in error.message


def test_a_model_with_zero_gradients_has_no_sub_network(texts: Path, damaged: LoadedModel, path: Path) -> None:
    with torch.no_grad():
        for parameter in damaged.model.lm_head.parameters():
            parameter.zero_()
    result, _, _ = run(settings(texts, "sw"), damaged, path)
    (error,) = result.failed.values()
    assert error.message == "every Fisher value of language 'sw' is zero: the language has no sub-network."


# ------------------------------------------------------------------------------------------ the disk


def test_a_full_disk_ends_the_run_and_a_later_run_continues(
    texts: Path, loaded: LoadedModel, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full at the second row: the run ends, the first row stays, and a later run continues."""
    objects: list[Path] = []
    atomic_file = local.atomic_file

    def fills_up(target: Path) -> Any:
        if target.name == "0":
            objects.append(target)
        if len(objects) > 1:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        return atomic_file(target)

    monkeypatch.setattr(local, "atomic_file", fills_up)
    with pytest.raises(StoreError) as caught:
        run(settings(texts), loaded, path)
    assert caught.value.message == f"cannot write to '{path}': the disk or the quota is full."
    assert "committed rows stay" in caught.value.hint
    assert caught.value.exit_code == ExitCode.FAILURE
    store = open_store(path)
    assert (store.languages, store.verify()) == (("sw",), [])
    monkeypatch.setattr(local, "atomic_file", atomic_file)
    result, _, store = run(settings(texts), loaded, path)
    assert result.skipped == (Row("sw", 42),)
    assert (len(store.keys()), store.verify(), store.unfinished()) == (3, [], ())


# ---------------------------------------------------------------------------------------------- notes


def test_few_examples_are_all_used(texts: Path, loaded: LoadedModel, path: Path) -> None:
    _, events, store = run(settings(texts, "sw", examples=500), loaded, path)
    assert notes(events) == ["has only 20 of the 500 examples requested."]
    assert (store["sw"].provenance.examples, store["sw"].provenance.examples_asked) == (20, 500)


def test_skipped_lines_are_counted(loaded: LoadedModel, path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    lines = [b"habari ya asubuhi", b"", b"habari ya asubuhi", b"\xff\xfe", b"watoto wanasoma", b"   "]
    (folder / "sw.txt").write_bytes(b"\n".join(lines) + b"\n")
    _, events, _ = run(settings(folder, "sw", examples=2), loaded, path)
    assert notes(events) == ["2 empty, 1 duplicate, 1 undecodable of 6 lines are skipped."]


def test_unknown_tokens_are_noted(loaded: LoadedModel, path: Path) -> None:
    build_settings = BuildSettings(Corpus(example=TextExample("𐍈𐌰 𐌹𐌽 𐍅")), ("fi",), examples=1, objective=SHORT)
    _, events, _ = run(build_settings, loaded, path)
    expected = "of the tokens are unknown to the tokenizer; the result is not reliable."
    assert any(expected in text for text in notes(events))


def test_a_note_says_that_fewer_values_than_requested_are_above_zero(
    texts: Path, loaded: LoadedModel, path: Path
) -> None:
    _, events, store = run(settings(texts, "sw", densities=(1.0,)), loaded, path)
    realised = store["sw"].density_realised
    if realised < 0.99:
        assert notes(events) == [
            f"only {realised:.2%} of the parameters have a Fisher value above zero, fewer than the 100.00% requested."
        ]
    else:
        assert notes(events) == []


def test_the_slow_path_is_announced_and_recorded(texts: Path, damaged: LoadedModel, path: Path) -> None:
    first, second = damaged.model.roberta.encoder.layer
    second.output.dense.weight = first.output.dense.weight
    _, events, store = run(settings(texts, "sw"), damaged, path)
    *_, note = notes(events)
    assert note.startswith(
        "3 of 31 parameters (such as 'roberta.encoder.layer.0.output.dense.weight') are measured one"
    )
    assert len(store["sw"].provenance.fallback) == 3


# ------------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize("density", [0, -0.1, 1.01, math.nan])
def test_invalid_densities_are_refused(density: float, texts: Path) -> None:
    with pytest.raises(UsageError, match=r"the density must be in \(0, 1\]"):
        settings(texts, densities=(0.15, density))


@pytest.mark.parametrize(("name", "option"), [("examples", "number of examples"), ("batch_size", "batch size")])
def test_counts_of_zero_are_refused(name: str, option: str, texts: Path) -> None:
    with pytest.raises(UsageError, match=f"the {option} must be at least 1, not 0"):
        settings(texts, **{name: 0})


def test_no_language_is_refused(texts: Path) -> None:
    with pytest.raises(UsageError, match="no language was given"):
        settings(texts, "")


def test_a_negative_seed_is_refused_before_anything_is_measured(texts: Path, loaded: LoadedModel, path: Path) -> None:
    with pytest.raises(UsageError, match="seed"):
        run(settings(texts, "sw", seeds=(-1,)), loaded, path)
    assert not path.exists()
