"""Cache of finished builds. If a command is repeated after its build is finished, it need not load the model again.

The key of an entry is a digest of the settings of the build, and of the sizes and change times of all its files: the
model, the text, and the header of the store. If anything differs, the build checks everything as if it were new.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any, Final

from xsns_stream.errors import XsnsError
from xsns_stream.io.atomic import atomic_file
from xsns_stream.io.cache_folder import cache_folder
from xsns_stream.models.huggingface import ADAPTER, EMBEDDED, EMBEDDED_FOLDER
from xsns_stream.pipeline.events import BuildResult
from xsns_stream.pipeline.settings import BuildSettings
from xsns_stream.pipeline.store_settings import path_in
from xsns_stream.store import SubNetworkStore
from xsns_stream.types.provenance import library_versions

SCHEMA_VERSION: Final = 1
#: Largest number of builds that are remembered for a store.
_MOST: Final = 8
#: Largest number of files of a model or a text; a build of more files is not remembered.
_MOST_FILES: Final = 20_000
#: A build is remembered only if no file was changed in so many seconds: two changes that quickly follow one another may
#: have the same time.
_SETTLED_S: Final = 2.0
#: The texts and the model that come with the package.
_ASSETS: Final = EMBEDDED_FOLDER.parent


def finished_build(
    settings: BuildSettings, model_options: Mapping[str, Any], store: SubNetworkStore
) -> BuildResult | None:
    """Return the result of a build if the cache shows that it is finished; None if the build has to be checked.

    Args:
        settings: The settings of the build.
        model_options: The options with which the model is loaded.
        store: The store.
    """
    if (key := _key(settings, model_options, store)) is None or (notes := _remembered(store).get(key)) is None:
        return None
    return BuildResult((), settings.rows(), {}, notes=tuple(notes))


def remember_finished(
    settings: BuildSettings, model_options: Mapping[str, Any], store: SubNetworkStore, result: BuildResult
) -> None:
    """Add a build to the cache if the store has all its rows, and if all its files are on this machine.

    Args:
        settings: The settings that the same command would have if it were repeated, with options from the store.
        model_options: The options with which the repeated command would load the model.
        store: The store.
        result: The result of the build, in which no row failed.
    """
    from xsns_stream.pipeline.prepare_build import note_on_finished_rows

    if note_on_finished_rows(settings, store, settings.rows()):
        return
    if (key := _key(settings, model_options, store, settled=True)) is None:
        return
    builds = _remembered(store) | {key: list(result.model_notes)}
    document = {"schema_version": SCHEMA_VERSION, "builds": dict(list(builds.items())[-_MOST:])}
    path = _path(store)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            file.write(json.dumps(document).encode())


def _remembered(store: SubNetworkStore) -> dict[str, list[str]]:
    try:
        document = json.loads(_path(store).read_text(encoding="utf-8"))
        builds = document["builds"] if document["schema_version"] == SCHEMA_VERSION else {}
        return {str(key): [str(note) for note in notes] for key, notes in builds.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _path(store: SubNetworkStore) -> Path:
    digest = hashlib.sha256(os.fsencode(os.path.realpath(str(store.path)))).hexdigest()
    return cache_folder() / "finished-builds" / f"{digest}.json"


def _key(
    settings: BuildSettings, model_options: Mapping[str, Any], store: SubNetworkStore, *, settled: bool = False
) -> str | None:
    """Return a digest of everything on which a finished build depends; None if rows are missing, or files are unknown.

    Args:
        settings: The settings of the build.
        model_options: The options with which the model is loaded.
        store: The store.
        settled: Whether to return None if a file was changed in the last two seconds.
    """
    files = _files(settings, store)
    if files is None or any(settings.is_missing(row, store) for row in settings.rows()):
        return None
    try:
        stamps = [(str(path), *_stamp(path)) for path in files]
        rows = [
            (str(record.key), record.sha256, record.provenance.corpus_digest)
            for record in store.records()
            if record.language in settings.languages and record.seed in settings.seeds
        ]
    except (OSError, XsnsError):
        return None
    if settled and any(changed > (time.time() - _SETTLED_S) * 1e9 for _, _, changed, _ in stamps):
        return None
    everything = {
        # Everything but the corpus, whose files and options are in `inputs`.
        "settings": _without_corpus(settings),
        "model_options": repr(sorted(model_options.items())),
        "versions": library_versions(),
        "files": stamps,
        "rows": rows,
    }
    return hashlib.sha256(json.dumps(everything, sort_keys=True).encode()).hexdigest()


def _without_corpus(settings: BuildSettings) -> str:
    values = {each.name: getattr(settings, each.name) for each in fields(settings)}
    return repr(values | {"corpus": settings.corpus.name, "notes": None})


def _files(settings: BuildSettings, store: SubNetworkStore) -> list[Path] | None:
    """Return all files that a build reads, and the header of its store; None if some are not on this machine."""
    inputs: Mapping[str, Any] = settings.inputs
    if not ("texts" in inputs and "model" in inputs and settings.corpus.local and isinstance(store.path, Path)):
        return None
    roots = [_ASSETS, *(Path(path) for part in inputs["texts"] if (path := path_in(part)))]
    if inputs["model"] != EMBEDDED:
        roots.append(Path(inputs["model"]))
    if not all(root.is_absolute() and root.exists() for root in roots):
        return None
    # A model that consists of an adapter is not remembered, because the files of its base model are in another folder.
    if (roots[-1] / ADAPTER).exists():
        return None
    files = [store.path / "zarr.json"]
    for root in roots:
        files += islice(_files_below(root), _MOST_FILES)
        if len(files) > _MOST_FILES:
            return None
    return files


def _files_below(root: Path) -> Iterator[Path]:
    if not root.is_dir():
        yield root
        return
    for folder, folders, names in os.walk(root, followlinks=True):
        folders.sort()
        for name in sorted(names):
            yield Path(folder, name)


def _stamp(path: Path) -> tuple[int, int, int]:
    """Return the size of a file, the time of its last change in nanoseconds, and its inode."""
    status = path.stat()
    return status.st_size, max(status.st_mtime_ns, status.st_ctime_ns), status.st_ino
