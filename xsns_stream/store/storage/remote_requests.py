"""Requests to an object store: retries of failed requests, and translation of errors into messages.

A request may fail because the server restarts, is overloaded, or asks its clients to slow down (S3 answers
`503 SlowDown`). It is then sent again, after waits that become longer, until a time limit is reached.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, TypeVar

from xsns_stream.errors import StoreError

#: Seconds for which a request is repeated if the server has answered this process before.
PATIENCE_S = 120.0
#: Seconds for which the first request is repeated; this is shorter, because the address may be wrong.
FIRST_S = 10.0
#: The first wait in seconds; each wait is twice the one before, up to the longest. Half of a wait is random, so that
#: many clients do not come back at the same time.
_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 15.0
#: Retries of obstore for requests that :class:`PatientRequests` sends.
NO_RETRIES: Final = {"max_retries": 0}

_Result = TypeVar("_Result")


class PatientRequests:
    """A sender of requests to one object store, which sends a request again while the server fails."""

    def __init__(self) -> None:
        self.answered = False

    def send(self, request: Callable[[int], _Result]) -> _Result:
        """Send a request, and send it again after temporary errors.

        Args:
            request: The function that sends the request. It is called with the number of times that the request was
                sent before. The server may have carried out an earlier request although its answer was lost; the
                function must allow for this.

        Raises:
            BaseError: The error of obstore, if it is not temporary, or if the server has failed for too long.
        """
        from obstore.exceptions import BaseError

        started, repeated, wait = time.monotonic(), 0, _FIRST_WAIT_S
        while True:
            try:
                result = request(repeated)
            except BaseError as error:
                waited = time.monotonic() - started + wait
                if not is_temporary(error) or waited > (PATIENCE_S if self.answered else FIRST_S):
                    raise
            else:
                self.answered = True
                return result
            time.sleep(wait * random.uniform(0.5, 1.0))
            repeated, wait = repeated + 1, min(2 * wait, _LONGEST_WAIT_S)


def patient_retries() -> dict[str, Any]:
    """Return settings of obstore with which requests from Zarr are repeated like those of :class:`PatientRequests`."""
    backoff = {
        "init_backoff": timedelta(seconds=_FIRST_WAIT_S),
        "max_backoff": timedelta(seconds=_LONGEST_WAIT_S),
        "base": 2,
    }
    return {"max_retries": 1000, "retry_timeout": timedelta(seconds=PATIENCE_S), "backoff": backoff}


# ------------------------------------------------------------------------------------------------------- errors


@contextmanager
def remote_errors(action: str, url: str) -> Iterator[None]:
    """Turn the errors of obstore into a :class:`StoreError` whose message contains `action`."""
    from obstore.exceptions import BaseError

    try:
        yield
    except (BaseError, FileNotFoundError, PermissionError, NotImplementedError) as error:
        reason, hint = explain(error)
        # The message omits the cause, because its text may contain a signed URL.
        raise StoreError(f"cannot {action} '{url}': {reason}.", hint) from None


_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"non-2xx status code: (\d{3})([A-Za-z ]*)")
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|specified bucket does not exist")
_SILENT = re.compile(r"error sending request|connect|timed out|timeout|dns|response body", re.IGNORECASE)
_DENIED = ("PermissionDeniedError", "UnauthenticatedError", "PermissionError")
#: Answers of a server that may serve the same request a little later.
_TEMPORARY = ("408", "429", "500", "502", "503", "504")

_CREDENTIALS = "check the credentials and their rights; they are taken from the environment, such as AWS_ACCESS_KEY_ID."


def no_bucket(error: BaseException) -> bool:
    """Return whether an error means that the bucket does not exist, and not only that an object is missing."""
    return _NO_BUCKET.search(str(error)) is not None


def is_temporary(error: BaseException) -> bool:
    """Return whether an error is temporary: the server fails, is overloaded, or does not answer."""
    text, status = str(error), _STATUS.search(str(error))
    if type(error).__name__ != "GenericError" or no_bucket(error) or _asks_for_credentials(text):
        return False
    return status.group(1) in _TEMPORARY if status is not None else _SILENT.search(text) is not None


def _asks_for_credentials(text: str) -> bool:
    # These addresses provide the credentials of a machine in the cloud.
    return "//169.254." in text or "//metadata.google" in text


def explain(error: BaseException) -> tuple[str, str]:
    """Return (reason, hint) for an error of obstore, as phrases for an error message."""
    text, kind = str(error), type(error).__name__
    status, code = _STATUS.search(text), _CODE.search(text)
    if no_bucket(error):
        meaning = "there is no such bucket", "create it, or check the URL and the endpoint (AWS_ENDPOINT_URL)."
    elif kind in _DENIED or (status is not None and status.group(1) in ("401", "403")):
        meaning = "access was denied", _CREDENTIALS
    elif _asks_for_credentials(text):
        meaning = "there are no credentials", _CREDENTIALS
    elif isinstance(error, FileNotFoundError):
        meaning = "an object is missing", "run `xsns-stream verify`."
    elif kind in ("NotSupportedError", "NotImplementedError"):
        meaning = "the server lacks a feature", "use a server with conditional writes (If-Match, If-None-Match)."
    elif status is not None:
        answer = f"{status.group(1)}{status.group(2).rstrip()}" + (f", {code.group(1)}" if code else "")
        hint = "check the URL, the endpoint and the credentials, or try again later."
        meaning = f"the server answered {answer}", hint
    elif _SILENT.search(text):
        hint = "check the network and the endpoint (AWS_ENDPOINT_URL); plain http needs AWS_ALLOW_HTTP=true."
        meaning = "the server does not answer", hint
    else:
        hint = "check the URL and the settings in the environment; plain http needs AWS_ALLOW_HTTP=true."
        meaning = f"the object store's client failed ({kind})", hint
    return meaning
