"""Configuration, weights and tokenizer of a GGUF file, read through transformers.

Quantised weights are de-quantised to ordinary tensors. transformers marks a model that it loads from a GGUF file as
quantised. Such a model cannot be saved or converted. This module therefore returns tensors, from which a new model is
made.

The reader of the package gguf creates several Python objects for each token of the vocabulary, and transformers creates
such a reader for the configuration, for the tokenizer and for the weights: 12 seconds each for the 262,144 tokens of
Gemma 3. None of the three needs the vocabulary from this reader, because transformers reads the vocabulary of the
tokenizer in another way. While transformers reads a file, the reader is therefore replaced by one that skips long
arrays.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import RLock
from typing import Any, Final

from xsns_stream.errors import ModelError
from xsns_stream.io.json import UnusableError, shown
from xsns_stream.models.gguf_config import ARCHITECTURES, ROPE_FREQUENCIES, fields_of
from xsns_stream.models.gguf_files import GgufHeader
from xsns_stream.models.huggingface import quiet_transformers, reason

#: Arrays with more values are skipped.
_LONG: Final = 4_096
_LOCK: Final = RLock()
_STRING: Final = 8
_LINK: Final = "model.gguf"
_TOKENS: Final = "tokenizer.ggml.tokens"


def check_architecture(header: GgufHeader, name: str) -> None:
    """Raise an error if the architecture of a GGUF file is not read.

    `name` is the name of the model, for messages.

    Raises:
        ModelError: The architecture is not in :data:`~xsns_stream.models.gguf_config.ARCHITECTURES`.
    """
    if header.architecture not in ARCHITECTURES:
        raise ModelError(
            f"the model '{name}' is a GGUF file of the architecture '{shown(header.architecture)}', which is not read.",
            f"use the folder of the model with safetensors. GGUF files of {', '.join(sorted(ARCHITECTURES))} are read.",
        )


def read_fields(path: Path, header: GgufHeader, name: str) -> tuple[dict[str, Any], list[str]]:
    """Return the fields of the configuration of a GGUF file, and notes on metadata that is not used.

    `name` is the name of the model, for messages.

    Raises:
        ModelError: The metadata is incomplete, or describes a computation that transformers does not have.
    """
    try:
        with quiet_transformers(), _without_vocabulary():
            read = _library().load_gguf_checkpoint(str(path), return_tensors=False)["config"]
        return fields_of(header, read, path)
    except UnusableError as error:
        raise _unreadable(name, str(error), error.hint) from error
    except Exception as error:
        # The library raises many types of errors for metadata that is missing or has another type.
        raise _unreadable(name, reason(error)) from error


def read_state(path: Path, header: GgufHeader, config: Any, kind: Any, name: str, dtype: Any) -> dict[str, Any]:
    """Return the de-quantised weights of a GGUF file.

    The weights and twice the largest tensor are in memory at the same time.

    Args:
        path: The file.
        header: Its header.
        config: The configuration of the model.
        kind: Class of the model of the pre-training, whose state dict has the names of the result.
        name: Name of the model, for messages.
        dtype: Data type of the result.

    Returns:
        {name in the state dict: tensor}.

    Raises:
        ModelError: A tensor has a type that the package gguf cannot de-quantise, or is not part of the model.
    """
    import torch

    library = _library()
    try:
        with quiet_transformers(), torch.random.fork_rng(devices=[]), torch.device("meta"):
            model = kind._from_config(config)
        with _quiet_bar(library), quiet_transformers(), _without_vocabulary():
            _check_used(library, model, header, config, path)
            state: dict[str, Any] = library.load_gguf_checkpoint(
                str(path), return_tensors=True, model_to_load=model, torch_dtype=dtype
            )["tensors"]
    except UnusableError as error:
        raise _unreadable(name, str(error), error.hint) from error
    except NotImplementedError as error:
        types = ", ".join(sorted(set(header.types.values())))
        raise _unreadable(
            name, f"the package gguf cannot de-quantise one of its types ({types})", "use a file of another type."
        ) from error
    except Exception as error:
        raise _unreadable(name, reason(error)) from error
    return state


def read_tokenizer(path: Path, header: GgufHeader, name: str) -> Any:
    """Return the tokenizer that a GGUF file contains.

    `name` is the name of the model, for messages.

    Raises:
        ModelError: The file contains no tokenizer, or one of a kind that transformers does not read.
    """
    from transformers import AutoTokenizer

    if not header.has_tokenizer:
        raise ModelError(
            f"the GGUF file of model '{name}' contains no tokenizer.",
            "put the tokenizer.json of the model into the folder of the file.",
        )
    try:
        # The file is linked into a separate folder, because transformers would also read tokenizer files beside it.
        with TemporaryDirectory() as folder, quiet_transformers(), _without_vocabulary():
            (Path(folder) / _LINK).symlink_to(path.resolve())
            return AutoTokenizer.from_pretrained(
                folder, gguf_file=_LINK, local_files_only=True, trust_remote_code=False
            )
    except Exception as error:
        kind = header.metadata.get("tokenizer.ggml.model", "without a name")
        raise ModelError(
            f"the tokenizer in the GGUF file of model '{name}' cannot be read (kind {shown(str(kind))}): "
            f"{reason(error)}.",
            "put the tokenizer.json of the model into the folder of the file.",
        ) from error


def tokens_of(path: Path) -> list[str]:
    """Return the tokens of a GGUF file whose header was checked."""
    from transformers.integrations.gguf.reader import read_gguf_metadata

    metadata, _ = read_gguf_metadata(str(path), (_TOKENS,))
    return list(metadata[_TOKENS])


def _unreadable(name: str, what: str, hint: str = "") -> ModelError:
    return ModelError(
        f"the GGUF file of model '{name}' cannot be read: {what}.",
        hint or "the file may be damaged, or of a newer format than the installed packages gguf and transformers.",
    )


def _library() -> Any:
    """Return the module of transformers that reads GGUF files; its functions have no types."""
    from transformers import modeling_gguf_pytorch_utils

    return modeling_gguf_pytorch_utils


def _check_used(library: Any, model: Any, header: GgufHeader, config: Any, path: Path) -> None:
    """Raise an error if the file has tensors that transformers would leave out silently."""
    kind = library.TENSOR_PROCESSORS.get(header.architecture, library.TensorProcessor)
    mapped = library.get_gguf_hf_weights_map(model, kind(config=config.to_dict()))
    unused = sorted(set(header.tensors.shapes) - set(mapped) - {ROPE_FREQUENCIES})
    if unused:
        raise UnusableError(
            f"transformers does not load {len(unused):,} of the tensors in {path.name}, such as '{shown(unused[0])}'",
            "use the folder of the model with safetensors instead of the GGUF file.",
        )


@contextmanager
def _quiet_bar(library: Any) -> Iterator[None]:
    """Switch off the progress bar of the de-quantisation while the block runs."""
    bar = library.tqdm
    library.tqdm = lambda items, **_: items
    try:
        yield
    finally:
        library.tqdm = bar


@contextmanager
def _without_vocabulary() -> Iterator[None]:
    """Let transformers skip the vocabulary of GGUF files, and create each table of names once, while the block runs."""
    import gguf

    package: Any = gguf
    with _LOCK:
        reader, names = package.GGUFReader, package.get_tensor_name_map
        package.GGUFReader = _reader()
        # transformers makes this table again for each module of a model.
        package.get_tensor_name_map = cache(names)
        try:
            yield
        finally:
            package.GGUFReader, package.get_tensor_name_map = reader, names


@cache
def _reader() -> Any:
    """Return a subclass of the reader of the package gguf that skips the values of long arrays.

    The length of a skipped array, from which transformers takes the number of tokens, is kept.
    """
    import gguf
    import numpy as np

    class ShortReader(gguf.GGUFReader):
        def _get_field_parts(self, orig_offs: int, raw_type: int) -> tuple[int, list[Any], list[int], list[Any]]:
            start = orig_offs
            if raw_type == gguf.GGUFValueType.ARRAY:
                data: Any = self.data
                kind, count = struct.unpack_from("<IQ", data, start)
                if count > _LONG:
                    end = _after_array(data, start + 12, kind, count)
                    zero = np.zeros(1, np.uint8)
                    return end - start, [zero], [0] * count, [gguf.GGUFValueType.UINT8]
            parts: tuple[int, list[Any], list[int], list[Any]] = super()._get_field_parts(orig_offs, raw_type)
            return parts

    return ShortReader


def _after_array(data: Any, at: int, kind: int, count: int) -> int:
    """Return the position of the first byte after the values of an array in a GGUF file.

    Args:
        data: The bytes of the file.
        at: Position of the first value.
        kind: Type of the values, a number of the format.
        count: Number of values.
    """
    from gguf import GGUFReader, GGUFValueType

    if kind != _STRING:
        size: int = GGUFReader.gguf_scalar_to_np[GGUFValueType(kind)]().itemsize
        return at + count * size
    length = struct.Struct("<Q").unpack_from
    for _ in range(count):
        at += 8 + length(data, at)[0]
    return at
