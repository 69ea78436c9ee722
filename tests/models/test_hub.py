"""Errors for names of models and answers of the Hub: each has a sentence and a hint."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub import errors

from tests.support.errors import error_of
from xsns_stream.errors import ModelError
from xsns_stream.models.hub import locate

START = "the model 'owner/name' could not be downloaded from the Hub: "


def http(kind: type[errors.HfHubHTTPError], status: int) -> errors.HfHubHTTPError:
    response: Any = SimpleNamespace(headers={}, status_code=status, request=None)
    return kind(f"{status} Client Error", response=response)


def missing(cause: Exception) -> Exception:
    """Return the error for a model that is not in the cache and cannot be downloaded."""
    error = errors.LocalEntryNotFoundError("Cannot find an appropriate cached snapshot folder.")
    error.__cause__ = cause
    return error


def refused(name: str, revision: str | None = None) -> ModelError:
    return error_of(ModelError, locate, name, revision)


@pytest.mark.parametrize(
    ("exception", "message", "hint"),
    [
        (
            http(errors.GatedRepoError, 403),
            "its owner gives access on request only, and this account has none.",
            "accept the conditions on https://huggingface.co/owner/name, then log in with `hf auth login`.",
        ),
        (
            http(errors.RepositoryNotFoundError, 401),
            "the Hub has no model of this name, or it is private.",
            "check the spelling of owner and name; for a private model, log in with `hf auth login`.",
        ),
        (
            http(errors.RevisionNotFoundError, 404),
            "it has no revision 'v9'.",
            "`--revision` takes a branch, a tag, a commit, or refs/pr/N for pull request N.",
        ),
        (http(errors.DisabledRepoError, 403), "the Hub has disabled it.", "use another model."),
        (
            http(errors.HfHubHTTPError, 429),
            "the Hub reports too many requests (HTTP 429).",
            "wait some minutes, or log in with `hf auth login`, which raises the limit.",
        ),
        (
            missing(http(errors.HfHubHTTPError, 503)),
            "the Hub has a problem (HTTP 503).",
            "try again later, or give the path of a local folder.",
        ),
        (
            http(errors.HfHubHTTPError, 401),
            "the Hub refuses access (HTTP 401).",
            "log in with `hf auth login`, or give the path of a local folder.",
        ),
        (
            missing(ConnectionError("[Errno -2] Name or service not known")),
            "Cannot find an appropriate cached snapshot folder.",
            "check the id and the network connection, or give the path of a local folder.",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            f"{os.strerror(errno.ENOSPC)}.",
            "free space, or check the permissions of the cache, or set HF_HOME to another folder.",
        ),
    ],
)
def test_errors_of_the_hub_have_a_message_and_a_hint(
    exception: Exception, message: str, hint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(*args: Any, **options: Any) -> str:
        raise exception

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    error = refused("owner/name", "v9")
    assert (error.message, error.hint) == (START + message, hint)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("xlm-roberta-base", "a Hub id has the form owner/name; did you mean FacebookAI/xlm-roberta-base?"),
        (
            "bert-base-multilingual-cased",
            "a Hub id has the form owner/name; did you mean google-bert/bert-base-multilingual-cased?",
        ),
        ("gpt2", "a Hub id has the form owner/name; did you mean openai-community/gpt2?"),
        (
            "https://huggingface.co/google/mt5-small/tree/main",
            "give the Hub id instead of the address: google/mt5-small.",
        ),
        ("my-model", "give `mini`, a local folder, a GGUF file, or a Hub id such as FacebookAI/xlm-roberta-base."),
        ("./my-model", "give `mini`, a local folder, a GGUF file, or a Hub id such as FacebookAI/xlm-roberta-base."),
    ],
)
def test_a_name_that_is_no_folder_has_a_hint(name: str, hint: str) -> None:
    error = refused(name)
    assert (error.message, error.hint) == (f"there is no model folder '{name}'.", hint)


@pytest.mark.parametrize("name", ["FacebookAI/xlm roberta-base", "owner/", "a/b?c"])
def test_names_that_are_no_hub_id_are_refused(name: str) -> None:
    error = refused(name)
    assert error.message == f"there is no model folder '{name}', and the name is not a valid Hub id."
    assert error.hint.startswith("a Hub id has the form owner/name, with letters, digits, ")
