"""What an object store's errors mean, in words. Their own text is never shown whole: it may hold a signed URL."""

from __future__ import annotations

import re

_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"non-2xx status code: (\d{3})([A-Za-z ]*)")
_NO_BUCKET = re.compile(r"NoSuchBucket|ContainerNotFound|specified bucket does not exist")
_SILENT = re.compile(r"error sending request|connect|timed out|timeout|dns", re.IGNORECASE)

_CREDENTIALS = "check the credentials and their rights; they are taken from the environment, as AWS_ACCESS_KEY_ID."


def no_bucket(error: BaseException) -> bool:
    """Return whether the bucket itself is missing, and not an object in it."""
    return _NO_BUCKET.search(str(error)) is not None


def explain(error: BaseException) -> tuple[str, str]:
    """Return what an error of obstore means, and what to do about it."""
    text = str(error)
    status = _STATUS.search(text)
    code = _CODE.search(text)
    found = ("", "")
    if no_bucket(error):
        found = "there is no such bucket", "make it, or check the URL and the endpoint (AWS_ENDPOINT_URL)."
    elif type(error).__name__ in ("PermissionDeniedError", "UnauthenticatedError", "PermissionError"):
        found = "access was denied", _CREDENTIALS
    elif "//169.254." in text or "//metadata.google" in text:
        # Where a machine in the cloud would ask for those of its own.
        found = "there are no credentials", _CREDENTIALS
    elif isinstance(error, FileNotFoundError):
        found = "an object is missing", "run verify."
    elif type(error).__name__ in ("NotSupportedError", "NotImplementedError"):
        found = "the server cannot do what this needs", "use one with conditional writes (If-Match, If-None-Match)."
    elif status is not None:
        said = f"{status.group(1)}{status.group(2).rstrip()}" + (f", {code.group(1)}" if code else "")
        found = f"the server answered {said}", "check the URL, the endpoint and the credentials; or try again later."
    elif _SILENT.search(text):
        found = (
            "the server does not answer",
            "check the network and the endpoint (AWS_ENDPOINT_URL); plain http needs AWS_ALLOW_HTTP=true.",
        )
    else:
        reason = f"the object store's client failed ({type(error).__name__})"
        found = reason, "check the URL and the settings in the environment; plain http needs AWS_ALLOW_HTTP=true."
    return found
