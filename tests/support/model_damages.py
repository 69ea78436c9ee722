"""Damages to a model folder: {description: (function that damages a folder, part of the expected message)}."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

Damage = Callable[[Path], None]


def edit(name: str, **values: Any) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return damage


def write(name: str, text: str | bytes) -> Damage:
    return lambda folder: (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode()) and None


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def instead(name: str, make: Callable[[Path], Any]) -> Damage:
    """Replace a file by something else."""

    def damage(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        make(folder / name)

    return damage


# ----------------------------------------------------------------------------------- safetensors


def header_of(folder: Path) -> tuple[dict[str, Any], bytes]:
    data = (folder / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def with_header(folder: Path, header: dict[str, Any] | bytes, values: bytes) -> None:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + values)


def tensor(**changes: Any) -> Damage:
    """Change the header entry of one tensor."""

    def damage(folder: Path) -> None:
        header, values = header_of(folder)
        name = next(name for name in header if name.endswith("dense.weight"))
        header[name] |= changes
        with_header(folder, header, values)

    return damage


def one_more(entry: dict[str, Any]) -> Damage:
    def damage(folder: Path) -> None:
        header, values = header_of(folder)
        with_header(folder, header | {"more": entry}, values)

    return damage


def twice(folder: Path) -> None:
    header, values = header_of(folder)
    name = next(name for name in header if name.endswith("dense.weight"))
    text = json.dumps(header)
    with_header(folder, f'{text[:-1]}, "{name}": {json.dumps(header[name])}}}'.encode(), values)


def overlapping(folder: Path) -> None:
    header, values = header_of(folder)
    first, second = [name for name in header if name.endswith("attention.self.query.weight")][:2]
    header[second]["data_offsets"] = header[first]["data_offsets"]
    with_header(folder, header, values)


def header_length(length: int) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "model.safetensors"
        path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])

    return damage


def index(changed_files: dict[str, Any] | None = None, **more: Any) -> Damage:
    """Put the weights' names into an index; by default all in `model-1.safetensors`, where they are."""

    def damage(folder: Path) -> None:
        header, _ = header_of(folder)
        names = [name for name in header if name != "__metadata__"]
        (folder / "model.safetensors").rename(folder / "model-1.safetensors")
        weight_map = dict.fromkeys(names, "model-1.safetensors") | (changed_files or {})
        document = {"metadata": {"total_size": 1}, "weight_map": weight_map} | more
        (folder / "model.safetensors.index.json").write_text(json.dumps(document))

    return damage


def index_outside(folder: Path) -> None:
    other = folder.parent / "other"
    other.mkdir()
    index({"lm_head.bias": "../other/w.safetensors"})(folder)
    (other / "w.safetensors").write_bytes((folder / "model-1.safetensors").read_bytes())


def two_shards_with_one_tensor(folder: Path) -> None:
    index({"lm_head.bias": "model-2.safetensors"})(folder)
    (folder / "model-2.safetensors").write_bytes((folder / "model-1.safetensors").read_bytes())


LARGE = {"dtype": "F32", "shape": [10**9], "data_offsets": [0, 4 * 10**9]}
WEIGHTS: dict[str, tuple[Damage, str]] = {
    "a tensor of 10^9 values": (one_more(LARGE), "bytes"),
    "a shape of 10^9": (tensor(shape=[10**9]), "does not fit its"),
    "a shape beyond 64 bits": (tensor(shape=[10**30]), "has an invalid shape"),
    "a negative shape": (tensor(shape=[-1, 4]), "has an invalid shape"),
    "a shape of text": (tensor(shape="32"), "has an invalid shape"),
    "offsets beyond the file": (tensor(data_offsets=[10**9, 10**9 + 4096]), "bytes"),
    "offsets in reverse": (tensor(data_offsets=[8, 4]), "has invalid data_offsets"),
    "one offset": (tensor(data_offsets=[0]), "has invalid data_offsets"),
    "a type that is not known": (tensor(dtype="F99"), "has an unknown type: 'F99'"),
    "a type that is a list": (tensor(dtype=["F32"]), "has an unknown type"),
    "another type": (tensor(dtype="F64"), "does not fit its"),
    "a tensor that is a number": (one_more(5), "lacks dtype, shape or data_offsets"),  # type: ignore[arg-type]
    "a name that turns the line around": (
        lambda folder: with_header(folder, {"a\x1b[31m\u202eb": 5}, b""), "'a\\x1b[31m\\u202eb'"
    ),
    "a tensor that is named twice": (twice, "twice"),
    "two tensors in one place": (overlapping, "shares bytes with another tensor"),
    "metadata that are a list": (lambda folder: with_header(folder, header_of(folder)[0] | {"__metadata__": [1]}, b""),
                                 "metadata that is not text"),
    "a header that is a list": (lambda folder: with_header(folder, b"[]", b""), "does not contain a JSON object"),
    "a header that is deep": (lambda folder: with_header(folder, nested(100_000).encode(), b""), "nested too deeply"),
    "a header that is no JSON": (lambda folder: with_header(folder, b"{{{", b""), "not valid JSON"),
    "a header without end": (header_length(2**63), "is truncated, or is not a safetensors file"),
    "a header that is shorter": (header_length(100), "not valid JSON"),
    "a pickle by another name": (write("model.safetensors", b"\x80\x02}q\x00."), "is truncated, or is not"),
    "a named pipe": (instead("model.safetensors", os.mkfifo), "model.safetensors is not a regular file"),
    "a device": (instead("model.safetensors", lambda path: path.symlink_to("/dev/zero")), "is not a regular file"),
    "a folder": (instead("model.safetensors", Path.mkdir), "is not a regular file"),
    "a broken link": (instead("model.safetensors", lambda path: path.symlink_to("gone")), "is a broken link"),
    "a named pipe beside the weights": (lambda folder: os.mkfifo(folder / "x.safetensors"), "is not a regular file"),
    "an index to another folder": (index_outside, "outside of the model's folder: '../other/w.safetensors'"),
    "an index to a pickle": (index({"lm_head.bias": "a.bin"}), "a file that is not safetensors: 'a.bin'"),
    "an index to the root": (index({"lm_head.bias": "/w.safetensors"}), "outside of the model's folder"),
    "an index to what is missing": (index({"lm_head.bias": "gone.safetensors"}), "gone.safetensors is missing"),
    "an index to a number": (index({"lm_head.bias": 5}), "has no weight_map"),
    "an index to nothing": (index(weight_map={}), "has no weight_map"),
    "an index of a list": (index(weight_map=[]), "has no weight_map"),
    "an index without metadata": (index(metadata=None), "has no metadata"),
    "a tensor in two shards": (two_shards_with_one_tensor, "is in two files"),
    "weights named elsewhere": (edit("config.json", transformers_weights="../w.safetensors"), "outside of the model's"),
    "weights named as a pickle": (edit("config.json", transformers_weights="w.bin"), "that are not safetensors"),
}  # fmt: skip

# ------------------------------------------------------------------------------- configuration

CONFIGURATIONS: dict[str, tuple[Damage, str]] = {
    "10^6 layers": (edit("config.json", num_hidden_layers=10**6), "has 1,000,000 layers (num_hidden_layers)"),
    "10^12 layers": (edit("config.json", num_hidden_layers=10**12), "not a whole number"),
    "layers of text": (edit("config.json", num_hidden_layers="2"), "num_hidden_layers is '2', not a whole number"),
    "no layers": (edit("config.json", num_hidden_layers=0), "not a whole number above 0"),
    "half a layer": (edit("config.json", num_hidden_layers=2.5), "not a whole number"),
    "true layers": (edit("config.json", num_hidden_layers=True), "not a whole number"),
    "a negative width": (edit("config.json", hidden_size=-32), "hidden_size is -32"),
    "a width of 10^6": (edit("config.json", hidden_size=10**6), "describes a model of"),
    "a width of NaN": (edit("config.json", hidden_size=float("nan")), "hidden_size is nan"),
    "a vocabulary of 5 × 10^7": (edit("config.json", vocab_size=5 * 10**7), "describes a model of"),
    "positions of 6 × 10^7": (edit("config.json", max_position_embeddings=6 * 10**7), "describes a model of"),
    "architectures of a number": (edit("config.json", architectures=5), "architectures is 5, not a list of names"),
    "architectures of text": (edit("config.json", architectures="X"), "architectures is 'X', not a list of names"),
    "a kind that is a list": (edit("config.json", model_type=[]), "has no model_type, or it is not text"),
    "a kind that is an object": (edit("config.json", model_type={}), "has no model_type, or it is not text"),
    "a kind that is not known": (edit("config.json", model_type="no-such"), "does not support models of the kind"),
    "an activation that is a list": (edit("config.json", hidden_act=["gelu"]), "hidden_act is a list, not text"),
    "an epsilon of text": (edit("config.json", layer_norm_eps="x"), "layer_norm_eps is 'x'"),
    "an epsilon of infinity": (edit("config.json", layer_norm_eps=float("inf")), "layer_norm_eps is inf"),
    "padding that is text": (edit("config.json", pad_token_id="x"), "pad_token_id is 'x'"),
    "10^9 labels": (edit("config.json", num_labels=10**9), "num_labels is 1000000000"),
    "labels that are a list": (edit("config.json", id2label=["a"]), "id2label is a list, not an object"),
    "a flag of text": (edit("config.json", is_decoder="no"), "is_decoder is 'no', not true or false"),
    "code that is a list": (edit("config.json", auto_map=["own.Own"]), "auto_map is a list"),
    "a precision that is a number": (edit("config.json", dtype=16), "dtype is 16, not text"),
    "attention from the Hub": (edit("config.json", _attn_implementation="own/kernel"), "is 'own/kernel', not the name"),
    "quantised by a number": (edit("config.json", quantization_config=4), "quantization_config is 4"),
    "other configurations": (edit("config.json", configuration_files=["config.4.0.0.json"]), "configuration_files"),
    "deep JSON": (write("config.json", '{"model_type": ' + nested(100_000) + "}"), "nested too deeply"),
    "JSON a hundred deep": (edit("config.json", more=json.loads(nested(100))), "nested more than 40 levels deep"),
    "a number of 5,000 digits": (write("config.json", '{"a": ' + "9" * 5000 + "}"), "a number that is too long"),
    "UTF-16": (write("config.json", "{}".encode("utf-16")), "is not UTF-8 text"),
    "20 MB": (edit("config.json", more="x" * 20_000_000), "is larger than 16 MiB"),
    "a named pipe as configuration": (instead("config.json", os.mkfifo), "config.json is not a regular file"),
    "a device as configuration": (instead("config.json", lambda path: path.symlink_to("/dev/zero")), "regular file"),
    "a folder as configuration": (instead("config.json", Path.mkdir), "config.json is not a regular file"),
    "no configuration": (lambda folder: (folder / "config.json").unlink(), "config.json is missing"),
}

# --------------------------------------------------------------------------------------- tokenizer

TOKEN = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": False}


def added(count: int) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "tokenizer.json"
        document = json.loads(path.read_text())
        document["added_tokens"] += [{"id": 20_000 + n, "content": f"<{n}>"} | TOKEN for n in range(count)]
        path.write_text(json.dumps(document))

    return damage


def replacing(*pairs: tuple[str, str]) -> Damage:
    steps = [{"type": "Replace", "pattern": {"String": old}, "content": new} for old, new in pairs]
    return edit("tokenizer.json", normalizer={"type": "Sequence", "normalizers": steps})


def model_of_tokenizer(**values: Any) -> Damage:
    def damage(folder: Path) -> None:
        path = folder / "tokenizer.json"
        document = json.loads(path.read_text())
        document["model"] |= values
        path.write_text(json.dumps(document))

    return damage


def sequence_in_sequence(depth: int) -> dict[str, Any]:
    step: dict[str, Any] = {"type": "NFC"}
    for _ in range(depth):
        step = {"type": "Sequence", "normalizers": [step]}
    return step


LETTERS = "abcdefghij"
MULTIPLIED = [(LETTERS[n], LETTERS[n + 1] * 200) for n in range(9)]
TOKENIZERS: dict[str, tuple[Damage, str]] = {
    "a length of text": (edit("tokenizer_config.json", model_max_length="x"), "model_max_length is not a number"),
    "a length of NaN": (edit("tokenizer_config.json", model_max_length=float("nan")), "model_max_length is not"),
    "a length below 0": (edit("tokenizer_config.json", model_max_length=-1), "model_max_length is not a number"),
    "a class that is a list": (edit("tokenizer_config.json", tokenizer_class=[]), "tokenizer_class is not text"),
    "a token that is a number": (edit("tokenizer_config.json", mask_token=5), "mask_token is not a token"),
    "a token that is a list": (edit("tokenizer_config.json", pad_token=["<pad>"]), "pad_token is not a token"),
    "added tokens that are a list": (edit("tokenizer_config.json", added_tokens_decoder=[1]), "is not an object"),
    "added tokens of numbers": (edit("tokenizer_config.json", added_tokens_decoder={"1": 5}), "does not have a token"),
    "special tokens that are a number": (edit("tokenizer_config.json", extra_special_tokens=5), "not a list of tokens"),
    "settings that are a list": (write("tokenizer_config.json", "[]"), "does not contain a JSON object"),
    "deep settings": (write("tokenizer_config.json", '{"a": ' + nested(100_000) + "}"), "nested too deeply"),
    "a map of numbers": (write("special_tokens_map.json", '{"pad_token": 5}'), "pad_token is not a token"),
    "added tokens without numbers": (write("added_tokens.json", '{"x": "y"}'), "does not have an id"),
    "generation that is a list": (write("generation_config.json", "[]"), "does not contain a JSON object"),
    "200,000 added tokens": (added(200_000), "adds 200,0"),
    "a tokenizer that is a list": (write("tokenizer.json", "[]"), "does not contain a JSON object"),
    "a tokenizer of nothing": (write("tokenizer.json", "{}"), "tokenizer.json has no 'model' entry"),
    "a deep tokenizer": (write("tokenizer.json", '{"model": ' + nested(100_000) + "}"), "nested too deeply"),
    "a tokenizer that is cut": (write("tokenizer.json", '{"model": {"vocab"'), "not valid JSON"),
    "7 million values": (write("tokenizer.json", '{"a": [' + "0," * 7_000_000 + "0]}"), "contains more than 6,000,000"),
    "a vocabulary that is text": (model_of_tokenizer(vocab="x"), "has no vocabulary"),
    "a vocabulary of text": (model_of_tokenizer(vocab={"a": "b"}), "does not have an id for each token"),
    "merges of text": (model_of_tokenizer(merges="x"), "merges is not a list"),
    "words cut at random": (model_of_tokenizer(dropout=0.5), "splits words at random (dropout of 0.5)"),
    "a normaliser that is text": (edit("tokenizer.json", normalizer="x"), "normalizer is not an object"),
    "a normaliser of numbers": (edit("tokenizer.json", normalizer={"type": "Sequence", "normalizers": [5]}), "no type"),
    "a normaliser within itself": (edit("tokenizer.json", normalizer=sequence_in_sequence(30)), "20 levels deep"),
    "a normaliser of 1,000 steps": (replacing(*[("a", "b")] * 1000), "more than 512 normalizers"),
    "a normaliser that inserts a page": (replacing((" ", "x" * 5_000)), "a text of up to 256 characters"),
    "a normaliser that multiplies": (replacing(*MULTIPLIED), "makes a short text more than 64 times as long"),
    "a normaliser that takes 200 for 1": (replacing(("e", "e" * 200)), "makes a short text more than 64 times"),
    "a post-processor of 10^4 tokens": (
        edit("tokenizer.json", post_processor={"type": "TemplateProcessing", "single": [{}] * 10_000}), "adds more than"
    ),
    "a named pipe as tokenizer": (instead("tokenizer.json", os.mkfifo), "tokenizer.json is not a regular file"),
    "a device as settings": (
        instead("tokenizer_config.json", lambda path: path.symlink_to("/dev/zero")), "is not a regular file"
    ),
    "a named pipe as template": (lambda folder: os.mkfifo(folder / "chat_template.jinja"), "is not a regular file"),
}  # fmt: skip

# -------------------------------------------------------------------------------------- the folder

FOLDERS: dict[str, tuple[Damage, str]] = {
    "an adapter beside weights": (write("adapter_config.json", "{}"), "comes with an adapter (adapter_config.json)"),
    "code of its own": (
        edit("config.json", model_type="own", auto_map={"AutoConfig": "own.Own"}),
        "it needs code that comes with the model (auto_map), and such code is never run",
    ),
}

ALL = WEIGHTS | CONFIGURATIONS | TOKENIZERS | FOLDERS
