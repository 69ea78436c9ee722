"""Search for the folder of a model: the model in the package, a local folder, or a download from the Hub."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from xsns_stream.errors import ModelError
from xsns_stream.io.atomic import at_home
from xsns_stream.models.gguf_files import MAGIC, SUFFIX
from xsns_stream.models.huggingface import EMBEDDED, EMBEDDED_FOLDER, first_line, innermost

#: Patterns of downloaded files of the Hub: safetensors and tokenizer files, but no pickles and no code.
HUB_FILES: Final = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.model", "*.txt"]
#: Owners of models that had names without an owner in the first years of the Hub.
_OWNERS: Final = {
    "bert": "google-bert",
    "xlm-roberta": "FacebookAI",
    "roberta": "FacebookAI",
    "xlm": "FacebookAI",
    "distilbert": "distilbert",
    "distilroberta": "distilbert",
    "albert": "albert",
    "gpt2": "openai-community",
    "t5": "google-t5",
}
_PAGE: Final = "huggingface.co/"
_LOCAL: Final = "or give the path of a local folder."
#: Values of an environment variable that switch it on.
_SET: Final = ("1", "ON", "YES", "TRUE", "on", "yes", "true")
_DISK_ERRORS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)


def locate(name: str, revision: str | None) -> tuple[Path, str]:
    """Return the folder or the GGUF file of a model, and its Hub commit, which is empty for local files.

    `name` is `mini`, the path of a folder or of a GGUF file, or a Hub id. `revision` is a commit, branch or tag on the
    Hub.

    Raises:
        ModelError: There is no such folder or file, or the Hub does not provide the model.
    """
    if name == EMBEDDED:
        return EMBEDDED_FOLDER, ""
    folder = at_home(name)
    if name and folder.is_dir():
        return folder, ""
    if name and folder.is_file():
        return _model_file(folder, name), ""
    if _PAGE in name or name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelError(f"there is no model folder '{name}'.", _hint_on_name(name))
    from huggingface_hub import snapshot_download

    try:
        path = snapshot_download(name, revision=revision, allow_patterns=HUB_FILES)
    except Exception as error:
        raise _failed_download(name, revision, error) from error
    return Path(path), Path(path).name


def _model_file(path: Path, name: str) -> Path:
    """Return the path of a GGUF file.

    Raises:
        ModelError: The file has another format.
    """
    with path.open("rb") as file:
        # Some programs store GGUF files under names without a suffix.
        if path.suffix != SUFFIX and file.read(len(MAGIC)) != MAGIC:
            raise ModelError(
                f"the model '{name}' is a file, and not a GGUF file.",
                f"give the folder of the model: --model '{path.parent}'.",
            )
    return path


def _hint_on_name(name: str) -> str:
    """Return a hint for a name that is neither a folder nor a Hub id."""
    if _PAGE in name:
        parts = name.partition(_PAGE)[2].split("/")
        if len(parts) > 1 and parts[0] and parts[1]:
            return f"give the Hub id instead of the address: {parts[0]}/{parts[1]}."
    owner = next((owner for start, owner in _OWNERS.items() if name == start or name.startswith(f"{start}-")), None)
    if owner:
        return f"a Hub id has the form owner/name; did you mean {owner}/{name}?"
    return "give `mini`, a local folder, a GGUF file, or a Hub id such as FacebookAI/xlm-roberta-base."


def _failed_download(name: str, revision: str | None, error: Exception) -> ModelError:
    """Return the error for a failed download of a model; its message contains the cause, and its hint a remedy.

    `name` is the Hub id, and `error` the error of the download.
    """
    from huggingface_hub.errors import HFValidationError

    if isinstance(error, HFValidationError):
        return ModelError(
            f"there is no model folder '{name}', and the name is not a valid Hub id.",
            f"a Hub id has the form owner/name, with letters, digits, '-', '_' and '.'; {_LOCAL}",
        )
    cause, hint = _answer_of_hub(name, revision, error) or _failed_connection(error)
    return ModelError(f"the model '{name}' could not be downloaded from the Hub: {cause}.", hint)


def _answer_of_hub(name: str, revision: str | None, error: Exception) -> tuple[str, str] | None:
    """Return (cause, hint) for an error response of the Hub; None if the Hub did not respond.

    `name` is the Hub id, and `error` the error of the download.
    """
    from huggingface_hub import errors

    match error:
        case errors.GatedRepoError():
            answer = (
                "its owner gives access on request only, and this account has none",
                f"accept the conditions on https://{_PAGE}{name}, then log in with `hf auth login`.",
            )
        case errors.RepositoryNotFoundError():
            answer = (
                "the Hub has no model of this name, or it is private",
                "check the spelling of owner and name; for a private model, log in with `hf auth login`.",
            )
        case errors.RevisionNotFoundError():
            answer = (
                f"it has no revision '{revision or 'main'}'",
                "`--revision` takes a branch, a tag, a commit, or refs/pr/N for pull request N.",
            )
        case errors.DisabledRepoError():
            answer = ("the Hub has disabled it", "use another model.")
        case _ if (status := _http_status(error)) == 429:
            answer = (
                "the Hub reports too many requests (HTTP 429)",
                "wait some minutes, or log in with `hf auth login`, which raises the limit.",
            )
        case _ if status is not None and status >= 500:
            answer = (f"the Hub has a problem (HTTP {status})", f"try again later, {_LOCAL}")
        case _ if status is not None:
            answer = (f"the Hub refuses access (HTTP {status})", f"log in with `hf auth login`, {_LOCAL}")
        case _:
            return None
    return answer


def _failed_connection(error: Exception) -> tuple[str, str]:
    """Return (cause, hint) for a download that failed on this machine or because of the network."""
    from huggingface_hub.errors import LocalEntryNotFoundError, OfflineModeIsEnabled

    chain = [error, *_causes(error)]
    if any(isinstance(one, OfflineModeIsEnabled) for one in chain) or os.environ.get("HF_HUB_OFFLINE") in _SET:
        return (
            "HF_HUB_OFFLINE is set, and the model is not in the cache of the Hub",
            f"unset HF_HUB_OFFLINE, {_LOCAL}",
        )
    cause = innermost(error) if isinstance(error, LocalEntryNotFoundError) else error
    if isinstance(cause, OSError) and cause.errno in _DISK_ERRORS:
        return (
            os.strerror(cause.errno or 0),
            "free space, or check the permissions of the cache, or set HF_HOME to another folder.",
        )
    return first_line(error)[:-1].removeprefix("Got: "), f"check the id and the network connection, {_LOCAL}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__ or error.__context__
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _http_status(error: BaseException) -> int | None:
    """Return the HTTP status code of the first HTTP error in a chain of errors; None if there is no HTTP error."""
    for one in (error, *_causes(error)):
        status = getattr(getattr(one, "response", None), "status_code", None)
        if isinstance(status, int):
            return status
    return None
