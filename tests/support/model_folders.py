"""Changes to files of a model folder, and the errors with which models are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from xsns_stream.errors import ExitCode, ModelError
from xsns_stream.models import load_model


def configure(folder: Path, name: str, **values: Any) -> None:
    """Change fields of a JSON file of a model folder."""
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def refused(name: object, **options: Any) -> ModelError:
    """Return the error with which `load_model` refuses a model. It must be a sentence in one line, with a hint."""
    with pytest.raises(ModelError) as caught:
        load_model(str(name), **options)
    error = caught.value
    assert error.exit_code == ExitCode.FAILURE
    assert error.message.endswith(".")
    assert "\n" not in error.message
    assert error.hint
    return error
