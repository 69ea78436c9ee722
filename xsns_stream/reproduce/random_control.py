"""The control model: the same architecture with weights drawn at random.

Also a program: `python -m xsns_stream.reproduce.random_control MODEL FOLDER`.
"""

from __future__ import annotations

import shutil
import sys
import uuid
from pathlib import Path

from xsns_stream.errors import UsageError, XsnsError


def redraw(model: str, folder: Path, seed: int = 0) -> None:
    """Write a model's architecture with random weights, and its tokenizer, into a new folder, whole or not at all.

    The weights are drawn as transformers draws those of a new model of this configuration.

    Args:
        model: `mini`, a local folder, or a Hub id.
        folder: Where to; an existing one is replaced.
        seed: Of the weights.

    Raises:
        ModelError: The model cannot be loaded.
        XsnsError: The folder cannot be written.
    """
    import torch

    from xsns_stream.models import load_model

    loaded = load_model(model)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        drawn = type(loaded.model)(loaded.model.config)
    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.partial")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        drawn.float().save_pretrained(aside)
        loaded.tokenizer.save_pretrained(aside)
        if folder.exists():
            shutil.rmtree(folder)
        aside.rename(folder)
    except OSError as error:
        raise XsnsError(
            f"cannot write '{folder}': {error.strerror or error}.", "check the space and the rights."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def main(words: list[str]) -> None:
    """Run it as a program.

    Raises:
        UsageError: There are not two words.
    """
    if len(words) != 2:
        raise UsageError(
            "a model and a folder are needed.", "python -m xsns_stream.reproduce.random_control MODEL FOLDER"
        )
    redraw(words[0], Path(words[1]))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except XsnsError as error:
        sys.exit(f"error: {error.message}\nhint: {error.hint}")
