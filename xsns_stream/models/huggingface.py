"""Helpers for the Hugging Face libraries: digests of model files, suppressed logging, plain error messages."""

from __future__ import annotations

import hashlib
import importlib.util
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from xsns_stream.errors import ModelError
from xsns_stream.io.json import shown

EMBEDDED: Final = "mini"
EMBEDDED_FOLDER: Final = Path(__file__).parents[1] / "assets" / "mini"
#: File that peft writes beside the weights of an adapter.
ADAPTER: Final = "adapter_config.json"
#: {digest of a file: digest of the file that it replaced}, for files that give the same results. The earlier
#: configuration of `mini` named float16 as the precision for loading, which transformers uses but this package does
#: not. Older stores contain the earlier digest and can still be extended.
SAME_MODEL: Final = {
    "beca3bd8fb3400b0f3c149db1e6ed15cc7ed1b3f52a74f294a1d249845db8b18": (
        "d80c9f2c0d4e0775628c4ec115277b21b49b0400d8bf575a91e4046fab81cbcb"
    ),
}
#: Examples of families that are built into transformers, for messages.
FAMILIES: Final = (
    "xlm-roberta",
    "bert",
    "deberta-v2",
    "modernbert",
    "gpt2",
    "llama",
    "qwen3",
    "gemma2",
    "mt5",
    "mbart",
)
#: Packages that transformers imports if they are installed, but that text models do not need.
_NOT_NEEDED: Final = (
    "torchvision",
    "torchaudio",
    "flash-attn",
    "xformers",
    "apex",
    "tensorflow",
    "jax",
    "bitsandbytes",
)
#: Packages that some tokenizers need.
_OPTIONAL: Final = ("sentencepiece", "protobuf", "tiktoken", "mistral-common", "blobfile")
#: {module: package that installs it}, for modules with another name than their package.
_DISTRIBUTIONS: Final = {
    "google": "protobuf",
    "flash_attn": "flash-attn",
    "mistral_common": "mistral-common",
    "sklearn": "scikit-learn",
    "PIL": "pillow",
}


def file_digest(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_files(paths: Iterable[Path]) -> str:
    """Return the hexadecimal SHA-256 over the digests of files, in the order of the paths of the files.

    If the digest of a file is in :data:`SAME_MODEL`, the digest of the file that it replaced is used instead.
    """
    digest = hashlib.sha256()
    for path in sorted(paths):
        one = file_digest(path)
        digest.update(bytes.fromhex(SAME_MODEL.get(one, one)))
    return digest.hexdigest()


def innermost(error: BaseException) -> BaseException:
    """Return the first error of a chain of errors, which caused all later errors of the chain."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error


def first_line(error: BaseException) -> str:
    """Return the first line of the message of another library's error, as a sentence."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".") + "."


def reason(error: BaseException) -> str:
    """Return the reason why another library could not use the files of a model, for the end of a sentence.

    The message of a built-in Python error, such as a TypeError for a list instead of a number, does not help a user and
    is replaced.
    """
    if isinstance(error, TypeError | AttributeError | LookupError | AssertionError | NotImplementedError):
        return "a value has a type or a place that transformers does not expect"
    return shown(first_line(error)[:-1])


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Silence the progress bars and reports of transformers while the block runs, and restore its settings."""
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
    """Return the error for a model whose configuration or tokenizer (`what`) needs code that comes with the model.

    `name` is the name of the model, for messages.
    """
    return ModelError(
        f"the {what} of model '{name}' cannot be read: it needs code that comes with the model (auto_map), and "
        "such code is never run.",
        f"use a model of a family that transformers has built in, such as {', '.join(FAMILIES)}. A later "
        "version of transformers may have this one: `pip install -U transformers`.",
    )


def broken_installation(name: str, error: BaseException) -> ModelError:
    """Return the error for a transformers class that cannot be imported; it shows a command to repair this.

    `name` is the name of the model, for messages.

    The cause is the installation and not the files of the model.
    """
    cause = innermost(error)
    package = _package_missing(cause)
    if package:
        return ModelError(
            f"the model '{name}' needs the package {package}, which is not installed.",
            f"install it with `pip install {package}`; the model's files are not the cause.",
        )
    message = f"transformers cannot import what the model '{name}' needs: {reason(cause)}."
    package = _package_failing(cause)
    if not package:
        return ModelError(
            message,
            "the model's files are not the cause: installed libraries are not compatible (torchvision must match "
            "torch). Reinstall or remove the library that is named; `pip check` lists versions that do not match.",
        )
    if package in _NOT_NEEDED:
        remedy = f"Remove it, it is not needed for text: `pip uninstall {package}`."
    else:
        remedy = f"Install it again: `pip install --force-reinstall {package}`."
    return ModelError(
        message,
        f"the model's files are not the cause: the package {package} does not match the other packages. {remedy}",
    )


def _package_missing(cause: BaseException) -> str:
    """Return the name of the package that an error reports as not installed; empty for any other error."""
    if isinstance(cause, ModuleNotFoundError) and cause.name:
        module = cause.name.partition(".")[0]
        # If a module is missing within an installed package, the package has a different version.
        if importlib.util.find_spec(module) is None:
            return _DISTRIBUTIONS.get(module, module)
    text = str(cause).lower()
    if "pip install" in text or "not found in your environment" in text or "is required" in text:
        return next((name for name in _OPTIONAL if name in text), "")
    return ""


def _package_failing(cause: BaseException) -> str:
    """Return the name of the installed package that raised an error or is named in its message; empty if unknown."""
    message = str(cause)
    if named := next((name for name in _NOT_NEEDED if name.replace("-", "_") in message or name in message), ""):
        return named
    modules = [frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(cause.__traceback__)]
    package = next((name.partition(".")[0] for name in reversed(modules) if not name.startswith("importlib")), "")
    ours = ("transformers", "xsns_stream", "__main__", "tests", "_pytest", "")
    return "" if package in ours else _DISTRIBUTIONS.get(package, package)
