"""Keep a fine-tuned model in a folder that transformers loads."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xsns_stream.errors import XsnsError
from xsns_stream.quiet import quiet_transformers


def keep(model: Any, tokenizer: Any, folder: Path, labels: Sequence[str]) -> None:
    """Write weights (safetensors), configuration with the names of the classes, and tokenizer: a whole folder or none.

    Args:
        model: The fine-tuned model.
        tokenizer: Its own.
        folder: Where to; an existing one is replaced.
        labels: Names of the classes, in the order of the head's outputs; empty where labels are answers.

    Raises:
        XsnsError: It cannot be written.
    """
    if labels:
        model.config.id2label = dict(enumerate(labels))
        model.config.label2id = {name: number for number, name in enumerate(labels)}
    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with quiet_transformers():
            model.save_pretrained(aside)
            tokenizer.save_pretrained(aside)
        if folder.exists():
            shutil.rmtree(folder)
        aside.rename(folder)
    except OSError as error:
        raise XsnsError(
            f"the fine-tuned model cannot be kept in '{folder}': {error.strerror or error}.",
            "check the space and the rights; its scores are there.",
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
