"""Checks of the files of a tokenizer before a library reads them.

The files of a tokenizer determine how much memory and time the tokenizer needs, and the libraries tokenizers and
transformers set no limit: two million added tokens need 5 GB. A normaliser that replaces one character by many may need
so much memory for a text that the process is killed. This module limits the sizes in the files. A normaliser that may
multiply the length of a text is tested in a separate process with a memory limit.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from xsns_stream.io.json import MIB, UnusableError, check_levels, check_regular, opened, read_object

TOKENIZER: Final = "tokenizer.json"
#: Largest size of `tokenizer.json` (262,144 tokens of Gemma need 33 MB, 901,629 of XLM-V about 65 MB) and of a
#: vocabulary.
MOST_BYTES: Final = 128 * MIB
MOST_TOKENS: Final = 2**21
#: Largest number of added tokens; Gemma 3 has 6,415.
MOST_ADDED: Final = 100_000
#: Largest number of characters of a token, and of a text that a normaliser inserts.
LONGEST: Final = 4_096
LONGEST_REPLACEMENT: Final = 256
#: Largest number of steps of a normaliser, a pre-tokenizer or a post-processor; known tokenizers have up to 30.
MOST_STEPS: Final = 512
#: Largest factor by which a normaliser may lengthen a text: U+FDFA becomes 18 characters.
MOST_GROWTH: Final = 64
#: A normaliser that may lengthen a text by at least this factor is tried in a separate process.
TRIED_GROWTH: Final = 4.0
#: Prefixes and suffixes of the names of files that transformers may open for a tokenizer.
_BEGINNINGS: Final = (
    "tokenizer", "vocab", "merges", "special_tokens", "added_tokens", "config", "generation_config", "chat_template",
    "processor_config", "preprocessor_config", "spiece", "sentencepiece", "spm", "bpe", "tekken",
)  # fmt: skip
_ENDS: Final = (".model", ".tiktoken")
_SECONDS: Final = 60
_NAMES_OF_LISTS: Final = ("extra_special_tokens", "additional_special_tokens")

Fields = Mapping[str, Any]


def check_tokenizer_files(folder: Path) -> None:
    """Check all files of a folder from which transformers may build the tokenizer.

    Raises:
        UnusableError: A file is not a regular file, is not JSON or has values of a wrong type; there are too many
            tokens, or tokens that are too long; the tokenizer splits words at random (BPE dropout); or its normaliser
            multiplies the length of a text.
    """
    for path in sorted(folder.iterdir()):
        if path.name.startswith(_BEGINNINGS) or path.name.endswith(_ENDS):
            _check_size(path)
    settings = _settings(folder)
    if (count := _added(settings)) > MOST_ADDED:
        raise UnusableError(f"tokenizer_config.json adds {count:,} tokens, more than {MOST_ADDED:,}")
    for path in (folder / TOKENIZER, *sorted(folder.glob("tokenizer.*.json"))):
        if path.exists():
            check_tokenizer(path)
    if not (folder / TOKENIZER).exists():
        _check_vocabulary(folder)


def own_code(folder: Path) -> bool:
    """Return whether `tokenizer_config.json` names a tokenizer class whose code is in the folder (auto_map)."""
    return bool(_settings(folder).get("auto_map"))


def check_tokenizer(path: Path) -> None:
    """Check one `tokenizer.json`.

    Raises:
        UnusableError: See :func:`check_tokenizer_files`.
    """
    document = read_object(path, most_bytes=MOST_BYTES, levels=None)
    check_levels({name: value for name, value in document.items() if name != "model"}, path.name, 20)
    _check_added(document.get("added_tokens"), path.name)
    _check_model(document.get("model"), path.name)
    for name in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        part = document.get(name)
        if part is not None and not isinstance(part, dict):
            raise UnusableError(f"{path.name}: {name} is not an object")
    _check_post_processor(document.get("post_processor"), path.name)
    for name in ("padding", "truncation"):
        if document.get(name) is not None and not isinstance(document[name], dict):
            raise UnusableError(f"{path.name}: {name} is not an object")
    if _possible_growth(document.get("normalizer"), path.name) >= TRIED_GROWTH:
        _try_out(document["normalizer"], path.name)


# ---------------------------------------------------------------------------------------- settings


def _check_size(path: Path) -> None:
    if path.name == "chat_templates" and path.is_dir():
        for template in path.glob("*.jinja"):
            check_regular(template)
        return
    check_regular(path)
    if path.stat().st_size > MOST_BYTES:
        raise UnusableError(f"{path.name} is larger than {MOST_BYTES // MIB} MiB")


def _settings(folder: Path) -> dict[str, Any]:
    """Check the settings of a tokenizer, and return the content of `tokenizer_config.json` ({} if it is missing)."""
    documents: dict[str, dict[str, Any]] = {}
    for name in ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "generation_config.json"):
        if (folder / name).exists():
            documents[name] = read_object(folder / name)
    settings = documents.get("tokenizer_config.json", {})
    _check_settings(settings)
    for name, tokens in documents.get("special_tokens_map.json", {}).items():
        if tokens is not None and not isinstance(tokens, str | dict | list):
            raise UnusableError(f"special_tokens_map.json: {name} is not a token")
        if isinstance(tokens, dict) and not isinstance(tokens.get("content", ""), str):
            raise UnusableError(f"special_tokens_map.json: {name} is not a token")
    added = documents.get("added_tokens.json", {})
    if not all(_is_id(number) for number in added.values()):
        raise UnusableError("added_tokens.json does not have an id for each token")
    if len(added) > MOST_ADDED:
        raise UnusableError(f"added_tokens.json adds {len(added):,} tokens, more than {MOST_ADDED:,}")
    return settings


def _check_settings(settings: Fields) -> None:
    name = "tokenizer_config.json"
    for field in ("tokenizer_class", "padding_side", "truncation_side", "clean_up_tokenization_spaces"):
        value = settings.get(field)
        wanted: type = bool if field.startswith("clean") else str
        if value is not None and not isinstance(value, wanted):
            raise UnusableError(f"{name}: {field} is not {'true or false' if wanted is bool else 'text'}")
    longest = settings.get("model_max_length")
    # The number is 10^30 if there is no limit.
    if longest is not None and (type(longest) not in (int, float) or not 1 <= longest < math.inf):
        raise UnusableError(f"{name}: model_max_length is not a number above 0")
    for field, value in settings.items():
        if field.endswith("_token") and not field.startswith(("add_", "use_", "split_")):
            text = value.get("content") if isinstance(value, dict) else value
            if value is not None and not isinstance(value, bool) and (not isinstance(text, str) or len(text) > LONGEST):
                raise UnusableError(f"{name}: {field} is not a token")
    if not isinstance(settings.get("added_tokens_decoder") or {}, dict):
        raise UnusableError(f"{name}: added_tokens_decoder is not an object")
    for number, token in (settings.get("added_tokens_decoder") or {}).items():
        if not number.isdecimal() or not isinstance(token, dict) or not isinstance(token.get("content"), str):
            raise UnusableError(f"{name}: added_tokens_decoder does not have a token for each id")
    if not isinstance(settings.get("auto_map") or {}, dict | list):
        raise UnusableError(f"{name}: auto_map is not an object")
    for field in _NAMES_OF_LISTS:
        if not isinstance(settings.get(field) or [], dict | list):
            raise UnusableError(f"{name}: {field} is not a list of tokens")


def _added(settings: Fields) -> int:
    return sum(len(settings.get(field) or ()) for field in ("added_tokens_decoder", *_NAMES_OF_LISTS))


def _check_vocabulary(folder: Path) -> None:
    """Check the vocabulary files from which transformers builds a tokenizer if there is no `tokenizer.json`."""
    for name in ("vocab.txt", "merges.txt"):
        if (folder / name).exists():
            with opened(folder / name) as file:
                lines = sum(block.count(b"\n") for block in iter(lambda: file.read(MIB), b""))
            if lines > MOST_TOKENS:
                raise UnusableError(f"{name} has {lines:,} lines, more than {MOST_TOKENS:,}")
    if (folder / "vocab.json").exists():
        vocabulary = read_object(folder / "vocab.json", most_bytes=MOST_BYTES, levels=2)
        if len(vocabulary) > MOST_TOKENS:
            raise UnusableError(f"vocab.json has {len(vocabulary):,} tokens, more than {MOST_TOKENS:,}")
        if not all(map(_is_id, vocabulary.values())):
            raise UnusableError("vocab.json does not have an id for each token")


# -------------------------------------------------------------------------------- parts of tokenizer.json


def _check_added(added: Any, name: str) -> None:
    if added is None:
        return
    if not isinstance(added, list) or not all(isinstance(token, dict) for token in added):
        raise UnusableError(f"{name}: added_tokens is not a list of tokens")
    if len(added) > MOST_ADDED:
        raise UnusableError(f"{name} adds {len(added):,} tokens, more than {MOST_ADDED:,}")
    for token in added:
        if not isinstance(token.get("content"), str) or not _is_id(token.get("id")):
            raise UnusableError(f"{name}: an added token has no text or no id")
        if len(token["content"]) > LONGEST:
            raise UnusableError(f"{name}: an added token has more than {LONGEST:,} characters")


def _check_model(model: Any, name: str) -> None:
    if not isinstance(model, dict):
        raise UnusableError(f"{name} has no 'model' entry")
    vocabulary = model.get("vocab")
    if not isinstance(vocabulary, dict | list):
        raise UnusableError(f"{name} has no vocabulary")
    if len(vocabulary) > MOST_TOKENS:
        raise UnusableError(f"{name} has {len(vocabulary):,} tokens, more than {MOST_TOKENS:,}")
    if isinstance(vocabulary, dict) and not all(map(_is_id, vocabulary.values())):
        raise UnusableError(f"{name}: the vocabulary does not have an id for each token")
    if not isinstance(model.get("merges") or [], list):
        raise UnusableError(f"{name}: merges is not a list")
    for field in ("continuing_subword_prefix", "end_of_word_suffix", "unk_token"):
        value = model.get(field)
        if value is not None and (not isinstance(value, str) or len(value) > LONGEST_REPLACEMENT):
            raise UnusableError(f"{name}: {field} is not a string of at most {LONGEST_REPLACEMENT} characters")
    if model.get("dropout"):
        raise UnusableError(f"{name} splits words at random (dropout of {model['dropout']!r}): remove the dropout")


def _check_post_processor(part: Any, name: str) -> None:
    """Raise an error if a post-processor (a `part` of the file) is invalid or adds too many tokens to each text.

    `name` is the name of the file, for messages.
    """
    for step in _steps(part, "processors", name):
        for side in ("single", "pair"):
            if len(_list(step.get(side), f"{name}: the post-processor's {side}")) > MOST_STEPS:
                raise UnusableError(f"{name}: the post-processor adds more than {MOST_STEPS} tokens to a text")
        special = step.get("special_tokens") or {}
        if not isinstance(special, dict) or not all(isinstance(token, dict) for token in special.values()):
            raise UnusableError(f"{name}: the post-processor's special_tokens are not an object of tokens")
        if any(len(_list(token.get("ids"), f"{name}: ids of a special token")) > 16 for token in special.values()):
            raise UnusableError(f"{name}: the post-processor adds a special token with more than 16 ids")


def _list(value: Any, what: str) -> list[Any]:
    if value is None:
        return []
    # A template may also be written as text: "$A [SEP]".
    if isinstance(value, str):
        return value.split()
    if not isinstance(value, list):
        raise UnusableError(f"{what} is not a list")
    return value


def _steps(part: Any, field: str, name: str) -> Iterator[dict[str, Any]]:
    """Yield the steps of a component of a tokenizer, including the steps of nested sequences.

    Args:
        part: The component in `tokenizer.json`, such as its normaliser; None if there is none.
        field: Name of the field that contains the steps of a sequence, such as `normalizers`.
        name: Name of the file, for messages.
    """
    count, waiting = 0, [part]
    while waiting:
        step = waiting.pop()
        if step is None:
            continue
        count += 1
        if not isinstance(step, dict) or not isinstance(step.get("type"), str):
            raise UnusableError(f"{name}: a step of the {field} has no type")
        if count > MOST_STEPS:
            raise UnusableError(f"{name} has more than {MOST_STEPS} {field}")
        if step["type"] == "Sequence":
            inner = step.get(field, step.get("pretokenizers", []))
            if not isinstance(inner, list):
                raise UnusableError(f"{name}: a sequence of {field} is not a list")
            waiting.extend(reversed(inner))
        else:
            yield step


# ------------------------------------------------------------------------------------------- normaliser


def _possible_growth(normaliser: Any, name: str) -> float:
    """Return an upper bound of the factor by which the steps of a normaliser may lengthen a text.

    `name` is the name of the file, for messages.
    """
    growth = 1.0
    for step in _steps(normaliser, "normalizers", name):
        kind = step["type"]
        text = step.get("content") if kind == "Replace" else step.get("prepend") if kind == "Prepend" else ""
        if not isinstance(text, str) or len(text) > LONGEST_REPLACEMENT:
            raise UnusableError(
                f"{name}: the normaliser inserts something other than a text of up to {LONGEST_REPLACEMENT} characters"
            )
        if kind == "Replace":
            pattern = step.get("pattern")
            plain = pattern.get("String") if isinstance(pattern, dict) else None
            growth *= max(1.0, len(text) / max(1, len(plain))) if isinstance(plain, str) else 1.0 + len(text)
        elif kind == "Precompiled":
            growth *= max(1.0, _longest_mapped(step.get("precompiled_charsmap"), name) / 32)
        elif kind not in _HARMLESS:
            growth *= TRIED_GROWTH
    return growth


#: Normalisers that lengthen a text only slightly, with any settings.
_HARMLESS: Final = frozenset(
    (
        "Prepend",
        "NFC",
        "NFD",
        "NFKC",
        "NFKD",
        "Lowercase",
        "Strip",
        "StripAccents",
        "Nmt",
        "BertNormalizer",
        "ByteLevel",
    )
)


def _longest_mapped(charsmap: Any, name: str) -> int:
    """Return the length in bytes of the longest replacement text in a character map of SentencePiece.

    `charsmap` is the map in base64, and `name` the name of the file, for messages.

    The character map consists of the size of a trie, the trie, and replacement texts that end in NUL. The longest
    replacement text of NFKC has 33 bytes.
    """
    try:
        table = base64.b64decode(charsmap or "", validate=True)
    except (binascii.Error, ValueError, TypeError) as error:
        raise UnusableError(f"{name}: the table of the normaliser is not base64") from error
    trie = int.from_bytes(table[:4], "little")
    if len(table) > 16 * MIB or trie > len(table):
        raise UnusableError(f"{name}: the table of the normaliser is not a SentencePiece table")
    longest = max(map(len, table[4 + trie :].split(b"\0")), default=0)
    if longest > LONGEST:
        raise UnusableError(f"{name}: the table of the normaliser replaces a character by {longest:,} bytes")
    return longest


def _try_out(normaliser: Fields, name: str) -> None:
    """Normalise short texts in a separate process with limited memory and time.

    `name` is the name of the file, for messages.

    Raises:
        UnusableError: The process failed, or the normaliser made a text far longer.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "normalizer.json"
        path.write_text(json.dumps(normaliser), encoding="utf-8")
        program = Path(__file__).with_name("normaliser_trial.py")
        try:
            # In isolated mode, Python imports nothing from the current folder or through the environment.
            done = subprocess.run(
                [sys.executable, "-I", str(program), str(path)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise UnusableError(f"{name}: the normaliser takes more than {_SECONDS} s for a short text") from error
    ready, *growth = done.stdout.decode().split() or [""]
    if ready != "ready":
        raise UnusableError(f"{name}: the normaliser could not be tried in a separate process")
    if done.returncode == 0 and growth and float(growth[0]) <= MOST_GROWTH:
        return
    raise UnusableError(f"{name}: the normaliser makes a short text more than {MOST_GROWTH} times as long")


def _is_id(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**31
