"""Fixtures of builds within this process: a tiny model, a tiny corpus, settings, and a run with its events."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xsns_stream.corpora import open_corpus
from xsns_stream.models import LoadedModel, load_model
from xsns_stream.objectives import MaskedLanguageModelling
from xsns_stream.pipeline.build import build
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
    """Settings of a small build; whatever is given replaces what is usual."""

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
    """Build into a store; return what was done, every event, and the store."""

    def one(
        settings: BuildSettings, model: LoadedModel | None = None, at: Path | None = None
    ) -> tuple[BuildResult, list[Event], SubNetworkStore]:
        events: list[Event] = []
        store = open_store(at or path, "a")
        return build(settings, model or loaded, store, events.append), events, store

    return one
