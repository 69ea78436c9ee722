"""Opening of the files of a model in any supported format, after checks that need neither torch nor transformers.

A model is a folder with safetensors, a GGUF file, or an adapter (LoRA) with the model that it changes. transformers
loads plain safetensors itself. For the other formats, a :class:`Checkpoint` has a function that returns the weights as
ordinary tensors, from which transformers makes the model that the objective needs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from xsns_stream.errors import ModelError
from xsns_stream.io.json import UnusableError
from xsns_stream.io.tables import listed
from xsns_stream.models.gguf_config import ARCHITECTURES
from xsns_stream.models.gguf_files import SPLIT, SUFFIX, GgufHeader, read_gguf_header
from xsns_stream.models.gguf_loading import check_architecture, read_fields, read_state, read_tokenizer, tokens_of
from xsns_stream.models.huggingface import EMBEDDED, digest_files, file_digest
from xsns_stream.models.misplaced import model_folders
from xsns_stream.models.model_files import (
    Tensors,
    check_fields,
    check_layers,
    config_of_fields,
    has_safetensors,
    make_config,
    read_configuration,
    read_tensors,
)
from xsns_stream.models.quantised import MOST_PACKED, check_method, is_plain, method_of, read_quantised
from xsns_stream.models.tokenizers import load_tokenizer

#: Suffixes of weights in formats that are not read.
OTHER_WEIGHTS: Final = (".bin", ".pt", ".pth", ".h5", ".msgpack", ".onnx")
#: Share of the tokens of a tokenizer beside a GGUF file that must have the same ids in the file. It is below 1 because
#: llama.cpp renames unused tokens.
_SAME_TOKENS: Final = 0.95


@dataclass(frozen=True)
class Checkpoint:
    """A model on disk.

    Attributes:
        name: `mini`, the name of the folder or file, or the Hub id.
        folder: The folder that contains the files.
        commit: Hub commit; empty for local files.
        fields: The configuration as it was written.
        config: The configuration of transformers.
        tensors: Names and shapes of the tensors in the files.
        digest: SHA-256 that identifies the weights and the configuration.
        tokenizer: Function that loads the tokenizer.
        state: Function from a data type of torch to {name: tensor}, the weights of the model with the head of its
            pre-training; None if transformers reads the weights from the folder.
        origin: Format of the weights for the provenance; empty for plain safetensors.
        notes: Sentences that inform the user about the files.
    """

    name: str
    folder: Path
    commit: str
    fields: Mapping[str, Any]
    config: Any
    tensors: Tensors
    digest: str
    tokenizer: Callable[[], Any]
    state: Callable[[Any], dict[str, Any]] | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def open_folder_or_file(path: Path, name: str, commit: str) -> Checkpoint:
    """Check the files of a model that is not an adapter.

    Args:
        path: The folder of the model, or a GGUF file.
        name: Name of the model, for messages.
        commit: Hub commit; empty for local files.

    Raises:
        ModelError: The files are damaged, incomplete or of a format that is not read.
    """
    file = _gguf_file(path, name)
    return _folder(path, name, commit) if file is None else _gguf(file, name, commit)


def tokenizer_of_folder(path: Path, name: str, commit: str) -> tuple[Any, Any]:
    """Return the configuration and the tokenizer of a model that is not an adapter, without checking its weights.

    `path` is the folder or a GGUF file, `name` the name of the model for messages, and `commit` its Hub commit.

    Raises:
        ModelError: The configuration or the tokenizer cannot be read.
    """
    file = _gguf_file(path, name)
    if file is None:
        return config_alone(path, name), load_tokenizer(path, name)
    checkpoint = _gguf(file, name, commit)
    return checkpoint.config, checkpoint.tokenizer()


# -------------------------------------------------------------------------------------------- safetensors


def _folder(folder: Path, name: str, commit: str) -> Checkpoint:
    if not has_safetensors(folder):
        raise _no_safetensors(folder, name)
    fields = configuration_of(folder, name)
    try:
        tensors = read_tensors(folder, fields.get("transformers_weights"))
    except UnusableError as error:
        raise unreadable("weights", name, error) from error
    try:
        check_layers(fields, tensors)
    except UnusableError as error:
        raise unreadable("configuration", name, error) from error
    checkpoint = Checkpoint(
        name=name if name == EMBEDDED or commit else folder.resolve().name,
        folder=folder,
        commit=commit,
        fields=fields,
        config=make_config(folder, name, fields),
        tensors=tensors,
        digest=digest_files([*folder.glob("*.safetensors"), folder / "config.json"]),
        tokenizer=lambda: load_tokenizer(folder, name),
    )
    method = method_of(fields)
    return _de_quantised(checkpoint, name, method) if method else checkpoint


def _de_quantised(checkpoint: Checkpoint, name: str, method: str) -> Checkpoint:
    """Return the checkpoint of a model with quantised weights after adding the function that de-quantises them.

    If the tensors are not quantised although the configuration names a method, only a note is added.
    """
    config = checkpoint.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    if is_plain(checkpoint.tensors):
        note = (
            f"the configuration of model '{name}' says that its weights are quantised ({method}), but they are not; "
            "they are read unchanged."
        )
        return replace(checkpoint, notes=(note,))
    check_method(name, method)
    settings = checkpoint.fields["quantization_config"]
    return replace(
        checkpoint,
        tensors=replace(checkpoint.tensors, packed=MOST_PACKED),
        state=lambda dtype: read_quantised(checkpoint.folder, name, config, settings, dtype),
        origin={"format": "safetensors", "quantisation": method},
        notes=(f"the quantised weights of model '{name}' ({method}) were de-quantised.",),
    )


def _no_safetensors(folder: Path, name: str) -> ModelError:
    """Return the error for a folder without weights that are read; it shows a command to convert other weights.

    `name` is the name of the model, for messages.
    """
    if inner := model_folders(folder):
        return ModelError(
            f"the folder '{name}' is not the folder of a model; it contains such a folder: {listed(inner)}.",
            f"give the folder of the model: --model '{Path(name) / inner[-1]}'.",
        )
    found = sorted(path.name for path in folder.iterdir() if path.suffix in OTHER_WEIGHTS)
    are = ", which is" if len(found) == 1 else " and others, which are"
    only = f" It has {found[0]}{are} not read." if found else ""
    from_hub = folder.parent.name == "snapshots"
    gguf = "; from a repository with GGUF files, download one file with `hf download` and give its path"
    revision = "also try `--revision refs/pr/N` if the page of the model on the Hub has a pull request that adds them"
    if not (from_hub or any(file.endswith((".bin", ".pt", ".pth")) for file in found)):
        return ModelError(
            f"the model '{name}' has no .safetensors weights.{only}",
            f"convert it with `save_pretrained`; for a model of the Hub {revision}{gguf if from_hub else ''}.",
        )
    command = (
        f'python -c "from transformers import AutoTokenizer as T, {_class_for(folder)} as M; '
        f"[C.from_pretrained('{name}').save_pretrained('converted') for C in (T, M)]\""
    )
    return ModelError(
        f"the model '{name}' has no .safetensors weights.{only}",
        "pickled weights are not read, because reading them may run code. If you trust the source, convert them with "
        f"`{command}`, and give the folder `converted`; {revision}.",
    )


def _class_for(folder: Path) -> str:
    """Return the name of the transformers class in a folder's `config.json`; if none is named, a general class."""
    try:
        named = read_configuration(folder).get("architectures")
    except UnusableError:
        named = None
    name = named[0] if isinstance(named, list) and named else ""
    return name if isinstance(name, str) and name.isidentifier() else "AutoModelForMaskedLM"


def config_alone(folder: Path, name: str) -> Any:
    """Return the configuration of a folder without checking its weights.

    `name` is the name of the model, for messages.

    Raises:
        ModelError: The configuration cannot be read.
    """
    fields = configuration_of(folder, name)
    try:
        check_layers(fields, None)
    except UnusableError as error:
        raise unreadable("configuration", name, error) from error
    return make_config(folder, name, fields)


def configuration_of(folder: Path, name: str) -> dict[str, Any]:
    """Return the content of `config.json` of a folder, after checking its types.

    `name` is the name of the model, for messages.

    Raises:
        ModelError: The file is missing or invalid.
    """
    try:
        return read_configuration(folder)
    except UnusableError as error:
        raise unreadable("configuration", name, error) from error


def unreadable(what: str, name: str, error: UnusableError) -> ModelError:
    """Return the error for a part of a model (`what`, such as `configuration`) that cannot be read.

    `name` is the name of the model, for messages.
    """
    return ModelError(
        f"the {what} of model '{name}' cannot be read: {error}.",
        error.hint or "the files may be incomplete; download or export them again.",
    )


# --------------------------------------------------------------------------------------------------- GGUF


def _gguf_file(folder: Path, name: str) -> Path | None:
    """Return the GGUF file of a folder; None if the folder has safetensors or no GGUF file.

    `name` is the name of the model, for messages.

    If `folder` is a file, it is returned.

    Raises:
        ModelError: The folder has several GGUF files that are not the parts of one model.
    """
    if folder.is_file():
        return folder
    if has_safetensors(folder):
        return None
    found = sorted(path for path in folder.glob(f"*{SUFFIX}") if not path.name.startswith("mmproj"))
    if len(found) > 1 and not all(SPLIT.search(path.name) for path in found):
        names = [path.name for path in found]
        raise ModelError(
            f"the folder '{name}' has {len(found)} GGUF files: {listed(names)}.",
            f"give one of them: --model '{Path(name) / names[0]}'.",
        )
    return found[0] if found else None


def _gguf(path: Path, name: str, commit: str) -> Checkpoint:
    header = read_gguf_header(path, name)
    check_architecture(header, name)
    fields, notes = read_fields(path, header, name)
    try:
        check_fields(fields)
        check_layers(fields, header.tensors)
    except UnusableError as error:
        raise unreadable("configuration", name, error) from error
    digest = file_digest(path)
    types = header.type_counts()
    kinds = ", ".join(f"{kind}: {count}" for kind, count in types.items())
    used = f" '{path.name}'" if Path(name).name != path.name else ""
    config = config_of_fields(fields, name)

    def state(dtype: Any) -> dict[str, Any]:
        return read_state(path, header, config, _pretrained_class(config, name), name, dtype)

    tokenizer, beside = _tokenizer_of_gguf(path, header, config, name)
    return Checkpoint(
        name=path.name,
        folder=path.parent,
        commit=commit,
        fields=fields,
        config=config,
        tensors=header.tensors,
        digest=hashlib.sha256(bytes.fromhex(digest)).hexdigest(),
        tokenizer=tokenizer,
        state=state,
        origin={
            "format": "gguf",
            "architecture": header.architecture,
            "quantisation": types,
            "file_digest": digest,
        },
        notes=(
            f"the GGUF file{used} ({ARCHITECTURES[header.architecture]}; tensors by type: {kinds}) was de-quantised.",
            *beside,
            *notes,
        ),
    )


def _pretrained_class(config: Any, name: str) -> Any:
    """Return the transformers class of a model with the head of its pre-training.

    `name` is the name of the model, for messages.
    """
    from xsns_stream.models.auto_classes import model_class, resolve

    return model_class(config, resolve(config, "auto", name))


def _tokenizer_of_gguf(
    path: Path, header: GgufHeader, config: Any, name: str
) -> tuple[Callable[[], Any], Iterable[str]]:
    """Return a function that loads the tokenizer of a GGUF file, and notes on a tokenizer.json beside the file.

    `name` is the name of the model, for messages.
    """
    beside = path.parent / "tokenizer.json"
    if not beside.is_file():
        return lambda: read_tokenizer(path, header, name), ()
    given = load_tokenizer(path.parent, name, config)
    if not header.has_tokenizer or _same_tokens(given, tokens_of(path)):
        return lambda: given, (f"the tokenizer.json beside the GGUF file '{path.name}' is used.",)
    return (
        lambda: read_tokenizer(path, header, name),
        (f"the tokenizer.json beside the GGUF file '{path.name}' has other tokens than the file, and is not used.",),
    )


def _same_tokens(tokenizer: Any, tokens: list[str]) -> bool:
    """Return whether a tokenizer fits a GGUF file.

    It fits if it has no more tokens than the file, and at least 95 % of its tokens have the same ids in the file.
    """
    own = tokenizer.get_vocab()
    same = sum(own.get(token) == number for number, token in enumerate(tokens))
    return len(own) <= len(tokens) and same >= _SAME_TOKENS * len(own)
