"""Where a model's files are: beside the package, in a folder, or on the Hub; and what identifies them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from xsns_stream.errors import ModelError
from xsns_stream.io.atomic import at_home
from xsns_stream.io.json import shown

EMBEDDED: Final = "mini"
EMBEDDED_FOLDER: Final = Path(__file__).parents[1] / "assets" / "mini"
#: What is fetched from the Hub: safetensors and the tokenizer; never a pickle, never code.
HUB_FILES: Final = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.model", "*.txt"]
#: {digest of a file: digest of the file that it took the place of}. What is computed from the two is the same: `mini`'s
#: configuration named float16 as the precision to load in, which transformers heeds and this package never did. Stores
#: that were built before record the earlier digest, and can be extended.
SAME_MODEL: Final = {
    "beca3bd8fb3400b0f3c149db1e6ed15cc7ed1b3f52a74f294a1d249845db8b18": (
        "d80c9f2c0d4e0775628c4ec115277b21b49b0400d8bf575a91e4046fab81cbcb"
    ),
}


def locate(name: str, revision: str | None) -> tuple[Path, str]:
    """Return (folder, Hub commit); the commit is empty for local folders.

    Raises:
        ModelError: No such folder, or the Hub does not give it.
    """
    if name == EMBEDDED:
        return EMBEDDED_FOLDER, ""
    folder = at_home(name)
    if name and folder.is_dir():
        return folder, ""
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelError(
            f"no model folder '{name}'.",
            "give `mini`, a local folder, or a Hub id such as FacebookAI/xlm-roberta-base.",
        )
    from huggingface_hub import snapshot_download

    try:
        path = snapshot_download(name, revision=revision, allow_patterns=HUB_FILES)
    except Exception as error:
        # Every failure here (offline, gated, no such id) is the Hub's; the cause's first line tells which.
        raise ModelError(
            f"the model '{name}' could not be fetched from the Hub: {first_line(error)}",
            "check the id and the network, or give the path of a local folder.",
        ) from error
    return Path(path), Path(path).name


def digest_files(paths: Iterable[Path]) -> str:
    """Return the SHA-256 over the digests of files, in the order of their paths (hexadecimal).

    A file of :data:`SAME_MODEL` counts as what it was before.
    """
    digest = hashlib.sha256()
    for path in sorted(paths):
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256")
        digest.update(bytes.fromhex(SAME_MODEL.get(found.hexdigest(), found.hexdigest())))
    return digest.hexdigest()


def innermost(error: BaseException) -> BaseException:
    """Return the error that all others of a chain come from."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def first_line(error: BaseException) -> str:
    """Return what an error of another library says in its first line, as a sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".") + "."


def reason(error: BaseException) -> str:
    """Return why another library could not use the files of a model, as the end of a sentence.

    Errors of Python itself (a list where a number was expected) say nothing to somebody who did not write the library.
    """
    if isinstance(error, TypeError | AttributeError | LookupError | AssertionError | NotImplementedError):
        return "a value is of another type, or stands in another place, than transformers expects"
    return shown(first_line(error)[:-1])


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence transformers while the block runs, and leave it as it was."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def needs_own_code(name: str, what: str) -> ModelError:
    """Return the error for a model that cannot be loaded without code that comes with it."""
    return ModelError(
        f"the {what} of model '{name}' cannot be read: it needs code that comes with the model, which is never run.",
        "use a model of a family that transformers knows.",
    )


def broken_installation(name: str, error: BaseException) -> ModelError:
    """Return the error for a class that transformers has but cannot import: nothing is wrong with the model."""
    return ModelError(
        f"transformers cannot import what the model '{name}' needs: {reason(innermost(error))}.",
        "the model's files are not the cause: installed libraries do not fit together (torchvision must match torch). "
        "Reinstall or remove the one that is named.",
    )
