"""Baselines on workers equal those of one process, although workers are killed or hang."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xsns_stream as xs
from tests.conftest import START
from tests.support.cluster_faults import BaselineFault
from tests.support.clusters import ON_CLUSTER, kill_workers
from tests.support.processes import wait_for
from xsns_stream.errors import IncompatibleError, PartialError, UsageError, XsnsError
from xsns_stream.pipeline.cluster import ClusterOptions
from xsns_stream.pipeline.cluster_clients import Workers
from xsns_stream.pipeline.events import NeighboursFound, Noted, RowMeasured
from xsns_stream.pipeline.model_baselines import TEXT_BASELINES
from xsns_stream.pipeline.requested_languages import RequestedLanguages
from xsns_stream.pipeline.text_baselines import TextBaselines, text_baselines

pytestmark = ON_CLUSTER

LANGUAGES = ("en", "fi", "sw", "zu")
LIMIT = 300
SIZES: dict[str, Any] = {"examples": 8, "max_length": 24, "seeds": (1, 2), "merges": 20}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory, write_texts: Callable[..., Path]) -> Path:
    return write_texts(tmp_path_factory.mktemp("cluster") / "texts", " ".join(LANGUAGES), 20)


@pytest.fixture(scope="module")
def compute(texts: Path, tiny_folder: Path) -> Callable[..., TextBaselines]:
    """Compute every baseline from text, in this process or on a cluster."""

    def call(client: Any = None, names: Any = tuple(TEXT_BASELINES), **options: Any) -> TextBaselines:
        workers = options.pop("workers", None if client is None else Workers(client=client))
        requested = RequestedLanguages(LANGUAGES, LANGUAGES)
        return text_baselines(names, requested, str(texts), model=str(tiny_folder), workers=workers, **SIZES, **options)

    return call


@pytest.fixture(scope="module")
def alone(compute: Callable[..., TextBaselines]) -> TextBaselines:
    return compute()


def assert_same(ours: TextBaselines, alone: TextBaselines) -> None:
    """Check that values, values of each seed, and records equal those of one process."""
    for name, matrix in ours.matrices.items():
        other = alone.matrices[name]
        assert (matrix.sources, matrix.targets, matrix.record) == (other.sources, other.targets, other.record)
        assert np.array_equal(matrix.values, other.values, equal_nan=True), name
        assert matrix.per_seed is not None
        assert other.per_seed is not None
        assert np.array_equal(matrix.per_seed, other.per_seed, equal_nan=True), name


def test_workers_give_the_values_of_one_process(
    client: Any, compute: Any, alone: TextBaselines, tmp_path: Path
) -> None:
    events: list[Any] = []
    assert_same(compute(client, display=lambda rows: _Collect(events), scratch=tmp_path), alone)
    measured = [event.row for event in events if isinstance(event, RowMeasured)]
    assert len(measured) == len(set(measured)) == 8
    searches = [event for event in events if isinstance(event, NeighboursFound)]
    assert {event.seed for event in searches} == {1, 2}
    assert searches[-1].count == searches[-1].total > 0
    assert list(tmp_path.iterdir()) == []


class _Collect:
    """A display that collects events."""

    def __init__(self, events: list[Any]) -> None:
        self.events = events

    def __enter__(self) -> Callable[[Any], None]:
        return self.events.append

    def __exit__(self, *error: object) -> None:
        pass


def test_a_language_that_fails_is_named_and_its_log_is_kept(
    client: Any, write_texts: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_texts(tmp_path / "texts", "sw fi zu")
    (folder / "et.txt").write_text("")
    monkeypatch.chdir(tmp_path)
    events: list[Any] = []
    options = {"examples": 4, "languages": "sw,fi,zu,et", "progress": False, "on_event": events.append}
    with pytest.raises(PartialError, match="1 of 4 rows failed: et") as caught:
        xs.baseline("sue", str(folder), client=client, merges=5, **options)
    assert caught.value.exit_code == 3
    assert any(isinstance(event, Noted) and "baselines.logs/et-seed42.log" in event.text for event in events)
    text = (tmp_path / "baselines.logs" / "et-seed42.log").read_text(encoding="utf-8")
    assert text.startswith("et-seed42: ")
    assert "Traceback" in text


def test_a_worker_with_another_tokenizer_is_refused_by_name(client: Any, compute: Any) -> None:
    client.run(_use_digest, "0" * 64)
    try:
        with pytest.raises(
            IncompatibleError, match=r"other settings than the client: tokenizer_digest \(tokenizer_digest is"
        ):
            compute(client, names=("lex",))
    finally:
        client.run(_use_digest, None)


def _use_digest(digest: str | None) -> None:
    from xsns_stream.models import tokenizers

    original = getattr(tokenizers, "original_digest", tokenizers.tokenizer_digest)
    tokenizers.original_digest = original  # type: ignore[attr-defined]
    tokenizers.tokenizer_digest = original if digest is None else lambda tokenizer: digest


def test_a_worker_with_other_text_is_refused_by_name(client: Any, compute: Any) -> None:
    client.run(_read_less, True)
    try:
        with pytest.raises(IncompatibleError, match=r"a worker reads different text of '..' than the client does"):
            compute(client, names=("sue",))
    finally:
        client.run(_read_less, False)


def _read_less(changed: bool) -> None:
    from dataclasses import replace

    from xsns_stream.corpora import draw_sample
    from xsns_stream.pipeline import baseline_run

    def less(*arguments: Any) -> Any:
        sample = draw_sample(*arguments)
        return replace(sample, examples=sample.examples[1:])

    baseline_run.draw_sample = less if changed else draw_sample


def test_a_worker_without_the_folder_of_temporary_files_is_refused(client: Any, compute: Any) -> None:
    client.run(_lose_folder, True)
    try:
        with pytest.raises(XsnsError, match="a worker cannot write to the folder") as caught:
            compute(client, names=("grad-cosine",))
    finally:
        client.run(_lose_folder, False)
    assert "--scratch" in caught.value.hint


def _lose_folder(lost: bool) -> None:
    import tempfile

    from xsns_stream.pipeline import cluster_baselines

    class Lost:
        @staticmethod
        def mkdtemp(**_: Any) -> str:
            raise FileNotFoundError(2, "No such file or directory")

    cluster_baselines.tempfile = Lost if lost else tempfile  # type: ignore[assignment]


def test_what_workers_cannot_do_is_refused(client: Any, texts: Path, tiny_folder: Path) -> None:
    with pytest.raises(UsageError, match=r"a model in memory .* is not sent to workers"):
        xs.baseline("emb", str(texts), model=xs.load_model(str(tiny_folder)), client=client, progress=False)
    with pytest.raises(UsageError, match="the baseline script reads no text"):
        xs.baseline("script", languages="sw,ru", client=client)


# --------------------------------------------------------------------------------------------- with faults


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "times"), [("kill while measuring", 2), ("kill while searching", 1)])
def test_baselines_are_complete_after_a_worker_was_killed(
    kind: str, times: int, own_client: Any, damage: Callable[..., Path], compute: Any, alone: TextBaselines
) -> None:
    deaths = damage(BaselineFault, kind, "fi", times)
    assert_same(compute(own_client), alone)
    assert len(list(deaths.iterdir())) == times


@pytest.mark.slow
def test_baselines_are_complete_after_a_worker_hung(
    own_client: Any, damage: Callable[..., Path], compute: Any, alone: TextBaselines
) -> None:
    damage(BaselineFault, "hang", "fi")
    events: list[Any] = []
    workers = Workers(client=own_client, options=ClusterOptions(limit=60))
    assert_same(compute(workers=workers, display=lambda rows: _Collect(events)), alone)
    assert any(isinstance(each, Noted) and "has not finished its work in 60 s" in each.text for each in events)


@pytest.mark.slow
def test_baselines_are_complete_after_all_workers_were_killed(
    own_client: Any, compute: Any, alone: TextBaselines
) -> None:
    killed: list[int] = []

    class Kill(_Collect):
        def __enter__(self) -> Callable[[Any], None]:
            return self.kill

        def kill(self, event: Any) -> None:
            if isinstance(event, RowMeasured) and not killed:
                killed.extend(kill_workers(own_client))

    assert_same(compute(own_client, display=lambda rows: Kill([])), alone)
    assert len(killed) == 2


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_client_that_is_interrupted_or_killed_leaves_no_incomplete_baseline(
    how: signal.Signals, texts: Path, tiny_folder: Path, tmp_path: Path, in_process: Callable[..., Any]
) -> None:
    """Incomplete baselines are not saved, and the same command then gives the files of an undisturbed run."""
    (tmp_path / "scratch").mkdir()
    shared = ("baseline", "all", "--corpus", texts, "--model", tiny_folder, "--examples", 8, "--max-length", 24)
    arguments = tuple(map(str, (*shared, "--lang", "en,fi,sw,zu", "--seeds", "1,2", "--scratch", tmp_path / "scratch")))
    process = subprocess.Popen(
        [*START, *arguments, "--workers", "2", "-o", "two"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    # A worker has begun to write.
    wait_for(lambda: len(list((tmp_path / "scratch").glob("*/*-*-*"))) > 0, process)
    if how == signal.SIGTERM:
        os.killpg(process.pid, how)
    else:
        process.send_signal(how)
    err = process.communicate(timeout=LIMIT)[1]
    assert process.returncode == (143 if how == signal.SIGTERM else -how), err
    assert "Traceback" not in err
    if how == signal.SIGTERM:
        assert "error: terminated by SIGTERM.\nhint: unfinished baselines are not kept" in err
        assert list((tmp_path / "scratch").iterdir()) == []
    assert [path.name for path in (tmp_path / "two").iterdir()] == ["script.parquet"], (
        "the baseline script needs no text"
    )
    for folder, more in (("one", ()), ("two", ("--workers", "2"))):
        completed = in_process(tmp_path, *arguments, "-o", folder, *more)
        assert completed.code == 0, completed.err
    assert_same_files(tmp_path / "two", tmp_path / "one")
    assert list((tmp_path / "scratch").iterdir()) == [], "the next run removes what a killed client has left"


def assert_same_files(ours: Path, theirs: Path) -> None:
    assert {path.name for path in ours.iterdir()} == {path.name for path in theirs.iterdir()} != set()
    for file in ours.iterdir():
        assert file.read_bytes() == (theirs / file.name).read_bytes(), file.name


@pytest.mark.slow
def test_a_language_that_kills_every_worker_fails_alone(
    own_client: Any, damage: Callable[..., Path], compute: Any, tmp_path: Path
) -> None:
    damage(BaselineFault, "kill while measuring", "fi", 99)
    baselines = compute(own_client, names=("emb",), logs=tmp_path / "logs")
    assert {row.language for row in baselines.failed} == {"fi"}
    assert baselines.matrices["emb"].sources == ("en", "sw", "zu")
    assert "attempt 4: begun" in (tmp_path / "logs" / "fi-seed1.log").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_verb_with_workers_writes_the_files_of_one_process(
    texts: Path, tiny_folder: Path, tmp_path: Path, in_process: Callable[..., Any]
) -> None:
    options = ("--corpus", texts, "--model", tiny_folder, "--examples", 4, "--max-length", 24, "--lang", "en,fi,sw")
    for folder, more in (("one", ()), ("two", ("--workers", 2))):
        completed = in_process(tmp_path, "baseline", "all", *map(str, options), "-o", folder, *map(str, more))
        assert completed.code == 0, completed.err
    assert_same_files(tmp_path / "two", tmp_path / "one")
