"""The boundary to the Hugging Face libraries: model folders from the Hub, quiet logging, errors as sentences."""

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
#: Files that are downloaded from the Hub: safetensors and the tokenizer; never a pickle, never code.
HUB_FILES: Final = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.model", "*.txt"]
#: {digest of a file: digest of the file that it replaced}. Both files give the same results: the configuration of
#: `mini` named float16 as the precision to load in, which transformers uses and this package never did. Stores that
#: were built before record the earlier digest, and can be extended.
SAME_MODEL: Final = {
    "beca3bd8fb3400b0f3c149db1e6ed15cc7ed1b3f52a74f294a1d249845db8b18": (
        "d80c9f2c0d4e0775628c4ec115277b21b49b0400d8bf575a91e4046fab81cbcb"
    ),
}


def locate(name: str, revision: str | None) -> tuple[Path, str]:
    """Return (folder, Hub commit); the commit is empty for local folders.

    Raises:
        ModelError: There is no such folder, or the Hub does not provide the model.
    """
    if name == EMBEDDED:
        return EMBEDDED_FOLDER, ""
    folder = at_home(name)
    if name and folder.is_dir():
        return folder, ""
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelError(
            f"there is no model folder '{name}'.",
            "give `mini`, a local folder, or a Hub id such as FacebookAI/xlm-roberta-base.",
        )
    from huggingface_hub import snapshot_download

    try:
        path = snapshot_download(name, revision=revision, allow_patterns=HUB_FILES)
    except Exception as error:
        # Every failure here comes from the Hub (offline, gated, no such id); the first line of the cause names it.
        raise ModelError(
            f"the model '{name}' could not be downloaded from the Hub: {first_line(error)}",
            "check the id and the network connection, or give the path of a local folder.",
        ) from error
    return Path(path), Path(path).name


def digest_files(paths: Iterable[Path]) -> str:
    """Return the SHA-256 over the digests of files, in the order of their paths (hexadecimal).

    A file of :data:`SAME_MODEL` counts as the file that it replaced.
    """
    digest = hashlib.sha256()
    for path in sorted(paths):
        with path.open("rb") as file:
            file_digest = hashlib.file_digest(file, "sha256")
        digest.update(bytes.fromhex(SAME_MODEL.get(file_digest.hexdigest(), file_digest.hexdigest())))
    return digest.hexdigest()


def innermost(error: BaseException) -> BaseException:
    """Return the first error of a chain of errors."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def first_line(error: BaseException) -> str:
    """Return the first line of the message of another library's error, as a sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".") + "."


def reason(error: BaseException) -> str:
    """Return why another library could not use the files of a model, as the end of a sentence.

    Errors of Python itself (a list where a number was expected) mean nothing to a user who did not write the library.
    """
    if isinstance(error, TypeError | AttributeError | LookupError | AssertionError | NotImplementedError):
        return "a value has another type or another place than transformers expects"
    return shown(first_line(error)[:-1])


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence the progress bars and reports of transformers inside the block, and restore its settings afterwards."""
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
    """Return the error for a model that cannot be loaded without the code that comes with it."""
    return ModelError(
        f"the {what} of model '{name}' cannot be read: it needs code that comes with the model, and "
        "such code is never run.",
        "use a model of a family that transformers supports.",
    )


def broken_installation(name: str, error: BaseException) -> ModelError:
    """Return the error for a transformers class that cannot be imported. The model is not the cause."""
    return ModelError(
        f"transformers cannot import what the model '{name}' needs: {reason(innermost(error))}.",
        "the model's files are not the cause: installed libraries are not compatible (torchvision must match torch). "
        "Reinstall or remove the library that is named.",
    )
