"""Claims: locks by which processes that build one store divide its rows between them.

A process claims a row before it reads the row's text, and holds the claim until the row is committed. The operating
system releases the claim when its holder dies. A claim covers a language and a seed: all densities, the parts and the
kept Fisher values come from one measurement. Writing does not depend on claims: every row that is written has a lock of
its own, and the first commit counts.

A claim is a lock file within the store. While the store does not exist yet, it is a lock file beside the store; a
process that finds such a file beside an existing store takes both locks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from xsns_stream.store.format import ARRAY, METADATA, RowKey
from xsns_stream.store.storage.local import check_unlinked, os_errors
from xsns_stream.store.storage.open import Place

_WITHIN: Final = ".lock-claim-"
_BESIDE: Final = ".claim-"


@contextmanager
def claimed(place: Place, language: str, seed: int) -> Iterator[bool]:
    """Claim a row while the block runs, without waiting; give False where another process holds it.

    An object store has no locks: there every claim is granted, and the first commit counts.

    Raises:
        LanguageError, UsageError: A label that no row can have.
        StoreError: A lock file cannot be made.
    """
    key = RowKey.checked(language, seed, 1.0)
    name = f"{key.seed}-{key.language}"
    root = place.local
    if root is None:
        yield True
        return
    with ExitStack() as held:
        with os_errors("lock a row of", place):
            mine = _take(root, name, held)
        yield mine


def _take(root: Path, name: str, held: ExitStack) -> bool:
    """Take the locks of a row; return whether all of them are held."""
    beside = _beside(root, name)
    created = _is_created(root)
    if not created:
        beside.parent.mkdir(parents=True, exist_ok=True)
    if (not created or beside.exists()) and not _lock(beside, held):
        return False
    check_unlinked(root, root / ARRAY / _WITHIN)
    # Looked at again: another process may have created the store before the lock beside it was taken.
    return not (created or _is_created(root)) or _lock(root / ARRAY / f"{_WITHIN}{name}", held)


def remove_left_claims(place: Place) -> None:
    """Remove lock files of claims that killed processes left."""
    root = place.local
    if root is None:
        return
    target = root.resolve()
    # What cannot be listed, locked or removed is somebody else's, and in nobody's way.
    with suppress(OSError):
        left = [path for path in target.parent.iterdir() if path.name.startswith(f".{target.name}{_BESIDE}")]
        array = target / ARRAY
        left += array.glob(f"{_WITHIN}*") if _is_created(root) and not array.is_symlink() else ()
        for path in left:
            with suppress(OSError), ExitStack() as held:
                _lock(path, held)


def _lock(path: Path, held: ExitStack) -> bool:
    """Take a lock that is not held; it is removed before it is released."""
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    held.callback(lock.release)
    # Whoever opened the file before it is removed finds out that it has no name any more, and tries again.
    held.callback(_remove, path)
    return True


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _beside(root: Path, name: str) -> Path:
    target = root.resolve()
    return target.with_name(f".{target.name}{_BESIDE}{name}")


def _is_created(root: Path) -> bool:
    return (root / METADATA).is_file() and (root / ARRAY).is_dir()
