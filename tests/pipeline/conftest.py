"""Fixtures of builds within this process (model, corpus, settings, a run with its events), and of clusters."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from xsns_stream.corpora import open_corpus
from xsns_stream.models import LoadedModel, load_model
from xsns_stream.objectives import MaskedLanguageModelling
from xsns_stream.pipeline import cluster
from xsns_stream.pipeline.build import build
from xsns_stream.pipeline.cluster_clients import local_cluster
from xsns_stream.pipeline.events import BuildResult, Event
from xsns_stream.pipeline.settings import BuildSettings
from xsns_stream.store import SubNetworkStore, open_store


@pytest.fixture(scope="session")
def loaded(tiny_folder: Path) -> LoadedModel:
    return load_model(str(tiny_folder))


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory, write_texts: Callable[..., Path]) -> Path:
    return write_texts(tmp_path_factory.mktemp("pipeline") / "texts", "sw fi et", 20)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "xsns.zarr"


@pytest.fixture
def make(texts: Path) -> Callable[..., BuildSettings]:
    """A function that returns the settings of a small build; keyword arguments replace the defaults."""

    def settings(languages: str = "sw fi et", **changed: Any) -> BuildSettings:
        fields: dict[str, Any] = {
            "corpus": open_corpus(str(texts)),
            "examples": 6,
            "batch_size": 4,
            "objective": MaskedLanguageModelling(max_length=24),
        }
        return BuildSettings(languages=tuple(languages.split()), **(fields | changed))

    return settings


@pytest.fixture
def run(loaded: LoadedModel, path: Path) -> Callable[..., tuple[BuildResult, list[Event], SubNetworkStore]]:
    """A function that builds into a store, and returns the result, the events and the store."""

    def one(
        settings: BuildSettings, model: LoadedModel | None = None, at: Path | None = None
    ) -> tuple[BuildResult, list[Event], SubNetworkStore]:
        events: list[Event] = []
        store = open_store(at or path, "a")
        return build(settings, model or loaded, store, events.append), events, store

    return one


@pytest.fixture(scope="session")
def client() -> Iterator[Any]:
    """A client of a cluster with two workers, which all modules share. Its workers must be left undamaged."""
    with warnings.catch_warnings():
        with local_cluster(2, lambda note: None) as client:
            yield client
        # The last test of the session may treat warnings as errors.
        warnings.simplefilter("ignore")
        gc.collect()


@pytest.fixture
def own_client() -> Iterator[Any]:
    """A client of a cluster for one test, which may damage its workers."""
    with local_cluster(2, lambda note: None) as client:
        yield client


@pytest.fixture
def damage(own_client: Any, tmp_path: Path) -> Callable[..., Path]:
    """Give every worker of `own_client` a fault; return the folder that counts how often the fault happened."""

    def install(fault: type[Any], *arguments: Any, **options: Any) -> Path:
        folder = tmp_path / "faults"
        folder.mkdir()
        own_client.register_plugin(fault(folder, *arguments, **options))
        return folder

    return install


@pytest.fixture
def short_limit(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], None]:
    """A function that sets a time limit of two seconds for the first attempt of one language, after it has hung.

    The other items have no limit, so that a busy machine cannot exceed it. Its arguments are the folder that counts how
    often the fault happened, and the language.
    """

    def install(faults: Path, language: str) -> None:
        def limit(run: Any, key: str) -> float | None:
            item = run.items[key]
            hung = language in {getattr(item, "language", None), getattr(item, "source", None)}
            return 2.0 if hung and len(run.begun[key]) == 1 and any(faults.iterdir()) else None

        monkeypatch.setattr(cluster._ClientRun, "_limit", limit)

    return install
