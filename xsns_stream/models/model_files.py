"""Checks of the configuration and the weights of a model before torch or transformers open the files.

transformers does not check most fields of a configuration: a list instead of a name causes a Python error without
explanation, and if the number of layers is a million, a million layers are built before the first weight is read.
Therefore this module checks the types of the configuration fields that determine the size of the model, and compares
the described model with the tensors in the files.

A safetensors file begins with eight bytes that contain the length of its header. The header is JSON with the dtype,
shape and byte range of each tensor; the values of the tensors follow. The whole header is checked here, because a
library that trusts a wrong header may allocate too much memory.
"""

from __future__ import annotations

import copy
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from math import prod
from pathlib import Path
from typing import Any, Final

from xsns_stream.errors import ModelError
from xsns_stream.io.json import MIB, UnusableError, check_regular, opened, parse_object, read_object, refuse_placeholder
from xsns_stream.io.placeholders import PLACEHOLDER_BYTES
from xsns_stream.models.huggingface import FAMILIES, broken_installation, needs_own_code, quiet_transformers, reason

#: Largest number of blocks of a configuration; and a number of blocks that is allowed even if the weights have fewer
#: tensors, because blocks may share weights.
MOST_LAYERS: Final = 2_048
FEW_LAYERS: Final = 256
#: Largest value of all other sizes, such as those of a vocabulary, a layer or a list of experts.
MOST_SIZE: Final = 2**26
MOST_LABELS: Final = 100_000
#: Number of values that a model may have beyond those in its weights, for a new head and for computed tables.
SPARE_VALUES: Final = 2**27
MOST_COMPUTED: Final = 2**30

_TEXT: Final = (
    "model_type", "hidden_act", "hidden_activation", "activation_function", "feed_forward_proj",
    "position_embedding_type", "tokenizer_class", "dtype", "torch_dtype", "transformers_weights",
)  # fmt: skip
_LAYERS: Final = re.compile(r"(^|_)layers?$")
_SIZES: Final = (
    "num_hidden_layers", "num_layers", "n_layer", "n_layers", "num_decoder_layers", "encoder_layers", "decoder_layers",
    "hidden_size", "n_embd", "d_model", "dim", "hidden_dim", "embedding_size", "intermediate_size", "n_inner", "d_ff",
    "d_kv", "head_dim", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim", "vocab_size", "type_vocab_size",
    "num_attention_heads", "n_head", "n_heads", "num_heads", "num_key_value_heads", "encoder_attention_heads",
    "decoder_attention_heads", "max_position_embeddings", "n_positions", "n_ctx", "seq_length", "num_hidden_groups",
    "inner_group_num", "num_experts", "num_local_experts", "n_routed_experts", "n_shared_experts",
    "num_experts_per_tok", "moe_intermediate_size", "relative_attention_num_buckets",
)  # fmt: skip
#: Sizes that must not be zero.
_NEEDED: Final = ("num_hidden_layers", "n_layer", "hidden_size", "n_embd", "d_model", "vocab_size")
_NUMBERS: Final = (
    "layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps", "initializer_range", "rope_theta", "attention_dropout",
    "hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "dropout_rate", "classifier_dropout",
)  # fmt: skip
#: If one of these fields contains the name of a repository, transformers downloads code from the Hub.
_IMPLEMENTATIONS: Final = (
    "attn_implementation", "_attn_implementation", "_attn_implementation_internal", "experts_implementation",
    "_experts_implementation",
)  # fmt: skip
_FLAGS: Final = ("is_decoder", "is_encoder_decoder", "tie_word_embeddings", "add_cross_attention", "use_cache")
_MODELS: Final = ("text_config", "vision_config", "audio_config", "quantization_config")
_OBJECTS: Final = ("rope_scaling", "rope_parameters", "id2label", "label2id", "auto_map", "task_specific_params")

Fields = Mapping[str, Any]


def read_configuration(folder: Path) -> dict[str, Any]:
    """Read `config.json`, and check the types of the fields from which transformers builds a model.

    Raises:
        UnusableError: The file is missing or is not a JSON object, or a field has an invalid value.
    """
    fields = read_object(folder / "config.json")
    if not isinstance(fields.get("model_type"), str):
        raise UnusableError("config.json has no model_type, or it is not text")
    if "configuration_files" in fields:
        raise UnusableError("config.json names other configurations to be read instead (configuration_files)")
    check_fields(fields)
    return fields


def check_fields(fields: Fields) -> None:
    """Check the types of the fields of a configuration from which transformers builds a model.

    Raises:
        UnusableError: A field has an invalid value.
    """
    for part in _parts(fields):
        _check_types(part)


def check_layers(fields: Fields, tensors: Tensors | None) -> None:
    """Raise an error if the number of blocks is too large for the weights; building the blocks would take minutes.

    Args:
        fields: The configuration, from :func:`read_configuration`.
        tensors: The tensors of the weights; None if no weights are loaded.

    Raises:
        UnusableError: The configuration has too many blocks.
    """
    most = MOST_LAYERS if tensors is None else min(MOST_LAYERS, max(FEW_LAYERS, len(tensors)))
    for part in _parts(fields):
        for name, value in part.items():
            if _LAYERS.search(name) and type(value) is int and value > most:
                weights = "" if tensors is None else f", and the weights have {len(tensors):,} tensors"
                raise UnusableError(f"config.json has {value:,} layers ({name}){weights}")


def make_config(folder: Path, name: str, fields: Fields) -> Any:
    """Return the transformers configuration of a folder. Its `config.json` must have been checked before.

    `name` is the name of the model, for messages, and `fields` is the content of `config.json`.

    Raises:
        ModelError: transformers does not support this kind of model, or refuses the values.
    """
    from transformers import CONFIG_MAPPING, AutoConfig, __version__

    kind = str(fields["model_type"])
    if kind not in CONFIG_MAPPING:
        if fields.get("auto_map"):
            raise needs_own_code(name, "configuration")
        raise ModelError(
            f"the configuration of model '{name}' cannot be read: transformers {__version__} "
            f"does not support models of the kind {_shown(kind)}.",
            _hint_on_kind(kind, fields, __version__, list(CONFIG_MAPPING)),
        )
    return _made(name, lambda: AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False))


def config_of_fields(fields: Fields, name: str) -> Any:
    """Return the transformers configuration of fields that were checked.

    `name` is the name of the model, for messages.

    Raises:
        ModelError: transformers refuses the values.
    """
    from transformers import AutoConfig

    return _made(name, lambda: AutoConfig.for_model(**fields))


def _made(name: str, make: Callable[[], Any]) -> Any:
    """Return the configuration that the function `make` of transformers creates for the model `name`.

    Raises:
        ModelError: transformers raised an error.
    """
    try:
        with quiet_transformers():
            config = make()
    except ImportError as error:
        raise broken_installation(name, error) from error
    except Exception as error:
        # transformers raises many types of errors for inconsistent values.
        raise ModelError(
            f"the configuration of model '{name}' cannot be read: transformers refuses it ({reason(error)}).",
            "the files may be incomplete; download or export them again.",
        ) from error
    # Configurations of old versions and of exports let a model return a tuple, whose parts have no names.
    config.return_dict = True
    return config


def _hint_on_kind(kind: str, fields: Fields, installed: str, known: list[str]) -> str:
    """Return a hint for a kind of model that the installed transformers does not support.

    Args:
        kind: The `model_type` in the configuration.
        fields: The configuration.
        installed: The version of transformers.
        known: All kinds of models that this version supports.
    """
    if near := get_close_matches(kind, known, n=1, cutoff=0.8):
        meant = f" If model_type in config.json is misspelt: did you mean '{near[0]}'?"
    else:
        meant = ""
    written = fields.get("transformers_version")
    if isinstance(written, str) and (newer := _numbers(written)) > _numbers(installed):
        version = ".".join(map(str, newer))
        return f"it was written by transformers {version}: `pip install 'transformers>={version}'`.{meant}"
    return (
        f"a newer version of transformers may support it: `pip install -U transformers`; or use a model of a family "
        f"that is built in, such as {', '.join(FAMILIES)}.{meant}"
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def check_described(model_class: Any, config: Any, tensors: Tensors, dtype: Any) -> None:
    """Raise an error if the configuration describes a model that is far larger than its weights.

    For this check, the model is built without values, on the `meta` device of torch. The check must come before the
    model is loaded, because transformers allocates tensors that are not in the files and fills them with random values.

    Raises:
        UnusableError: The described model is far larger than the weights.
    """
    import torch

    try:
        with quiet_transformers(), torch.random.fork_rng(devices=[]), torch.device("meta"):
            model = model_class._from_config(copy.deepcopy(_of_class(model_class, config)), dtype=dtype)
    except Exception:
        # Loading the model will report errors of the configuration.
        return
    described = sum(p.numel() for p in model.parameters())
    if described > 2 * tensors.values + SPARE_VALUES:
        raise UnusableError(
            f"config.json describes a model of {described:,} parameters, and its weights have {tensors.values:,} values"
        )
    computed = sum(buffer.numel() for buffer in model.buffers())
    if computed > tensors.values + MOST_COMPUTED:
        raise UnusableError(f"config.json describes tables of {computed:,} computed values, such as those of positions")


def _of_class(model_class: Any, config: Any) -> Any:
    """Return the part of a multimodal configuration that describes the text model, if `model_class` is a text model.

    Otherwise, `config` is returned.
    """
    text = getattr(config, "sub_configs", {}).get("text_config")
    alone = text is not None and getattr(model_class, "config_class", None) is text
    return config.get_text_config() if alone else config


# ----------------------------------------------------------------------------------------- the fields


def _parts(fields: Fields) -> Iterator[Fields]:
    """Yield the configuration and the configurations nested in it (text, vision, encoder, decoder)."""
    yield fields
    for name, value in fields.items():
        if name.endswith("_config") or name in ("encoder", "decoder"):
            if isinstance(value, dict):
                yield from _parts(value)
            elif value is not None and name in _MODELS:
                raise UnusableError(f"config.json: {name} is {_shown(value)}, not an object")


def _check_types(part: Fields) -> None:
    kinds: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
        (_TEXT, lambda value: isinstance(value, str), "text"),
        (_SIZES, _is_size, f"a whole number from 0 to {MOST_SIZE:,}"),
        (_NEEDED, lambda value: value != 0, "a whole number above 0"),
        (_NUMBERS, _is_finite, "a number that is not negative"),
        (_FLAGS, lambda value: isinstance(value, bool) or value in (0, 1), "true or false"),
        (_OBJECTS, lambda value: isinstance(value, dict), "an object"),
        (_IMPLEMENTATIONS, _names_no_repository, "the name of an implementation in transformers"),
        (("architectures",), _is_list_of_text, "a list of names"),
        (("layer_types",), _is_list_of_text, "a list of names"),
        (("num_labels", "_num_labels"), lambda value: _is_size(value) and value <= MOST_LABELS, "a number of labels"),
    )
    for names, fits, what in kinds:
        for name in names:
            value = part.get(name)
            if value is not None and not fits(value):
                raise UnusableError(f"config.json: {name} is {_shown(value)}, not {what}")
    for name, value in part.items():
        if name.endswith("_token_id") and value is not None and not _is_id(value):
            raise UnusableError(f"config.json: {name} is {_shown(value)}, not a token id")
    for name in ("id2label", "label2id"):
        if len(part.get(name) or ()) > MOST_LABELS:
            raise UnusableError(f"config.json: {name} has more than {MOST_LABELS:,} labels")


def _is_size(value: Any) -> bool:
    # A list has one number for each layer (Gemma 3n).
    if isinstance(value, list):
        return len(value) <= MOST_LAYERS and all(type(item) is int and 0 <= item <= MOST_SIZE for item in value)
    return type(value) is int and 0 <= value <= MOST_SIZE


def _is_id(value: Any) -> bool:
    # Some configurations name several end tokens; some use -1 for none.
    items = value if isinstance(value, list) else [value]
    return len(items) <= MOST_LABELS and all(type(item) is int and -(2**31) <= item < 2**31 for item in items)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and math.isfinite(value)


def _names_no_repository(value: Any) -> bool:
    names = value.values() if isinstance(value, dict) else (value,)
    return all(name is None or (isinstance(name, str) and not set(name) & set("/:@")) for name in names)


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MOST_LAYERS and all(isinstance(item, str) for item in value)


def _shown(value: Any) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
#: Largest size of a header, in bytes; a header of 100,000 tensors has about 12 MB.
MOST_HEADER: Final = 64 * MIB
#: {type of a tensor: number of bits of a value}.
BITS: Final = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
#: Largest number of axes of a tensor.
MOST_AXES: Final = 16
_SHARD: Final = re.compile(r"-\d{5}-of-\d{5}\.safetensors$")
_PLAIN_NAME: Final = re.compile(r"[^/\\\x00]+")


@dataclass(frozen=True)
class Tensors:
    """The tensors of a model, as the headers of all its weight files describe them.

    Attributes:
        shapes: {tensor name: shape}.
        types: The types of the tensors in safetensors files, such as `F16`.
        packed: Largest number of weights in one stored value, for quantised weights.
    """

    shapes: Mapping[str, tuple[int, ...]]
    types: frozenset[str] = frozenset()
    packed: int = 1

    def __len__(self) -> int:
        return len(self.shapes)

    @property
    def values(self) -> int:
        """Total number of values of all tensors; an upper bound for quantised weights."""
        return self.packed * sum(map(prod, self.shapes.values()))


def has_safetensors(folder: Path) -> bool:
    """Return whether the folder has a file whose name ends in `.safetensors`."""
    return any(folder.glob("*.safetensors"))


def read_tensors(folder: Path, chosen: object = None) -> Tensors:
    """Read and check the headers of all weight files of a model.

    Args:
        folder: The folder of the model.
        chosen: Name of the weights file or index file that the configuration contains; None if it contains none.

    Raises:
        UnusableError: A file is missing, is not a regular file, or is outside of the folder; a header is wrong.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    types: set[str] = set()
    for path in _files(folder, chosen):
        for name, entry in _checked_header(path).items():
            if name in shapes:
                raise UnusableError(f"the tensor '{name}' is in two files")
            shapes[name] = tuple(entry["shape"])
            types.add(entry["dtype"])
    for path in folder.glob("*.safetensors"):
        check_regular(path)  # the digest reads all of these files
    return Tensors(shapes, frozenset(types))


def read_header(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the header of a safetensors file; return {tensor name: shape}.

    Raises:
        UnusableError: The file is truncated; or its header has an unknown dtype, a shape that does not fit the number
            of bytes, a byte range outside of the file, overlapping byte ranges, or bytes that belong to no tensor.
    """
    return {name: tuple(entry["shape"]) for name, entry in _checked_header(path).items()}


def _checked_header(path: Path) -> dict[str, dict[str, Any]]:
    """Return {tensor name: its entry in the header} after the checks of :func:`read_header`."""
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        beginning = file.read(PLACEHOLDER_BYTES)
        refuse_placeholder(beginning, path.name)
        file.seek(8)
        length = int.from_bytes(beginning[:8], "little")
        if size < 8 or length > size - 8:
            raise UnusableError(f"{path.name} is truncated, or is not a safetensors file")
        if length > MOST_HEADER:
            raise UnusableError(f"the header of {path.name} is larger than {MOST_HEADER // MIB} MiB")
        data = file.read(length)
    header = parse_object(data, f"the header of {path.name}", pairs=_all_different)
    metadata = header.pop("__metadata__", None)
    if metadata is not None and not _is_text_by_text(metadata):
        raise UnusableError(f"the header of {path.name} has metadata that is not text")
    ranges = [(*_byte_range(name, entry, path.name), name) for name, entry in header.items()]
    end = 0
    for start, stop, name in sorted(ranges):
        if start != end:
            problem = "shares bytes with another tensor" if start < end else "leaves bytes before it unused"
            raise UnusableError(f"the tensor '{name}' of {path.name} {problem}")
        end = stop
    if end != size - 8 - length:
        raise UnusableError(f"{path.name} has {size - 8 - length:,} bytes of values, but its header describes {end:,}")
    return header


def _files(folder: Path, chosen: object) -> list[Path]:
    """Return the paths of the weight files that transformers would load from a folder; see :func:`read_tensors`."""
    if chosen is not None:
        if not isinstance(chosen, str) or not _PLAIN_NAME.fullmatch(chosen):
            raise UnusableError("config.json names weights (transformers_weights) outside of the model's folder")
        if not chosen.endswith((".safetensors", ".safetensors.index.json")):
            raise UnusableError(f"config.json names weights that are not safetensors: '{chosen}'")
        path = folder / chosen
        return [path] if chosen.endswith(".safetensors") else _indexed(path)
    # `exists` is not used here, because a broken link must be reported and not skipped.
    if os.path.lexists(folder / WEIGHTS):
        return [folder / WEIGHTS]
    if os.path.lexists(folder / INDEX):
        return _indexed(folder / INDEX)
    found = sorted(path.name for path in folder.glob("*.safetensors"))
    have = f"; the folder has {found[0]}{' and others' if len(found) > 1 else ''}" if found else ""
    hint = f"download {INDEX} too" if any(map(_SHARD.search, found)) else f"rename the file of the weights to {WEIGHTS}"
    raise UnusableError(f"there is neither {WEIGHTS} nor {INDEX}{have}", f"{hint}." if found else "")


def _indexed(index: Path) -> list[Path]:
    document = read_object(index, most_bytes=MOST_HEADER)
    weight_map, metadata = document.get("weight_map"), document.get("metadata")
    if not _is_text_by_text(weight_map) or not weight_map:
        raise UnusableError(f"{index.name} has no weight_map that names a file for each tensor")
    if not isinstance(metadata, dict):
        raise UnusableError(f"{index.name} has no metadata")
    for name in sorted(set(weight_map.values())):
        if not _PLAIN_NAME.fullmatch(name):
            raise UnusableError(f"{index.name} names a file outside of the model's folder: '{name}'")
        if not name.endswith(".safetensors"):
            raise UnusableError(f"{index.name} names a file that is not safetensors: '{name}'")
    return [index.parent / name for name in sorted(set(weight_map.values()))]


def _byte_range(name: str, entry: Any, file: str) -> tuple[int, int]:
    """Check the header's entry of a tensor, and return its byte range (start, end), without the byte at `end`.

    Bytes are counted from the end of the header.
    """
    about = f"the tensor '{name}' in the header of {file}"
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= set(entry):
        raise UnusableError(f"{about} lacks dtype, shape or data_offsets")
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise UnusableError(f"{about} has an unknown type: {_short(dtype)}")
    if not _are_counts(shape):
        raise UnusableError(f"{about} has an invalid shape: {_short(shape)}")
    if not _are_counts(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise UnusableError(f"{about} has invalid data_offsets: {_short(offsets)}")
    if prod(shape) * BITS[dtype] != 8 * (offsets[1] - offsets[0]):
        raise UnusableError(
            f"{about} has the shape {_short(shape)} of {dtype}, which does not fit its {offsets[1] - offsets[0]:,} "
            f"bytes"
        )
    return offsets[0], offsets[1]


def _are_counts(values: object) -> bool:
    if not isinstance(values, list) or len(values) > MOST_AXES:
        return False
    return all(type(value) is int and 0 <= value < 2**48 for value in values)


def _is_text_by_text(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _all_different(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    entries: dict[str, Any] = {}
    for name, value in pairs:
        if name in entries:
            raise UnusableError(f"a header names '{name}' twice")
        entries[name] = value
    return entries
