"""Loading of tokenizers, checks that a tokenizer fits its model, and tokenization of text.

A text may contain the string of a special token: a page about BERT contains `[MASK]`, and the source of a web page
contains `</s>` or `<s>`. By default, tokenizers read this string as the special token. The input of the model would
then contain a mask or a second end token. :func:`tokenise` reads the string as ordinary characters.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import RLock
from typing import Any, Final
from weakref import WeakKeyDictionary

from xsns_stream.errors import ModelError
from xsns_stream.io.json import UnusableError
from xsns_stream.models.auto_classes import reads_both_ways
from xsns_stream.models.huggingface import broken_installation, needs_own_code, quiet_transformers, reason
from xsns_stream.models.tokenizer_files import check_tokenizer_files, own_code

#: Tokenizers without a vocabulary, and kinds of models without a table of token embeddings.
_BYTE_TOKENIZERS: Final = (
    "ByT5Tokenizer",
    "MyT5Tokenizer",
    "CanineTokenizer",
    "PerceiverTokenizer",
    "canine",
    "perceiver",
)
_HINT: Final = "put the model's own tokenizer files into the folder."


def load_tokenizer(folder: Path, name: str, config: Any = None) -> Any:
    """Load the fast tokenizer of a folder.

    Args:
        folder: The folder.
        name: Name of the model, for messages.
        config: The configuration of the model; None if it is in the folder.

    Raises:
        ModelError: Files are missing or damaged, or there is no fast tokenizer.
    """
    from transformers import AutoTokenizer

    try:
        check_tokenizer_files(folder)
        coded = own_code(folder)
    except UnusableError as error:
        raise ModelError(
            f"the tokenizer of model '{name}' cannot be read: {error}.",
            error.hint or "export the tokenizer again, or use another model.",
        ) from error
    try:
        with quiet_transformers():
            tokenizer = AutoTokenizer.from_pretrained(
                folder, config=config, local_files_only=True, trust_remote_code=False
            )
    except ImportError as error:
        raise broken_installation(name, error) from error
    except Exception as error:
        if coded:
            raise needs_own_code(name, "tokenizer") from error
        _refuse_missing_reader(folder, name, error)
        raise ModelError(
            f"the tokenizer of model '{name}' cannot be read: {reason(error)}.",
            "the folder needs tokenizer.json (or the model's own vocabulary files).",
        ) from error
    refuse_bytes(name, type(tokenizer).__name__)
    # Without any of its files, transformers silently creates a tokenizer with an empty vocabulary.
    if not any((folder / file).is_file() for file in {"tokenizer.json", *tokenizer.vocab_files_names.values()}):
        raise ModelError(
            f"the tokenizer of model '{name}' is missing: there is no tokenizer.json in its folder.", _HINT
        )
    if not tokenizer.is_fast:
        raise ModelError(
            f"the tokenizer of model '{name}' ({type(tokenizer).__name__}) has no fast form.",
            "convert it to tokenizer.json with `convert_slow_tokenizer` of transformers if there is a converter, or "
            "use another model.",
        )
    return tokenizer


#: Texts in several scripts, with digits and capitals, which a wrong tokenizer splits differently.
_PROBES: Final = (
    "hello world",
    "The year 2023, and 650841823.",
    "Größe naïve",
    "Привет мир",
    "मेरा नाम",
    "你好 世界",
    "مرحبا بالعالم",
)


def differing_text(folder: Path, tokenizer: Any) -> str | None:
    """Return a text that a tokenizer splits differently from the `tokenizer.json` of its folder; None if none is found.

    Some tokenizer classes of transformers 5 replace components of `tokenizer.json` by their own, which do not always
    fit the vocabulary in the file.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file() or type(tokenizer).__name__ in ("PreTrainedTokenizerFast", "TokenizersBackend"):
        return None
    written = Tokenizer.from_file(str(path))
    for text in _PROBES:
        tokens = written.encode(text, add_special_tokens=False).tokens
        if tokens != tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).tokens:
            return text
    return None


def refuse_bytes(name: str, kind: object) -> None:
    """Raise an error for a tokenizer whose tokens are single bytes or characters, without a vocabulary of subwords.

    Args:
        name: Name of the model, for the message.
        kind: Name of the tokenizer's class, or the `model_type` of the model.

    Raises:
        ModelError: The tokens of the tokenizer are single bytes or characters.
    """
    if kind in _BYTE_TOKENIZERS:
        raise ModelError(
            f"the model '{name}' reads bytes or characters ({kind}), and models without a vocabulary of tokens cannot "
            "be measured.",
            "masks, labels and words are placed by the tokens of a fast tokenizer, which this model does not have. Use "
            "a model with subwords, such as google/mt5-small instead of google/byt5-small, or "
            "FacebookAI/xlm-roberta-base instead of google/canine-s.",
        )


def _refuse_missing_reader(folder: Path, name: str, error: Exception) -> None:
    """Raise an error if a package that is needed to read the vocabulary of a tokenizer is not installed.

    `name` is the name of the model, for messages, and `error` the error that the tokenizer caused.
    """
    if (folder / "tokenizer.json").is_file():
        return
    files = sorted(path for path in folder.iterdir() if path.name.endswith((".model", ".tiktoken")))
    if not files:
        return
    with files[0].open("rb") as file:
        # A model of sentencepiece is a protobuf message that begins with its first token; tiktoken writes base64.
        wanted = ("sentencepiece", "protobuf") if file.read(1) == b"\n" else ("tiktoken",)
    missing = [package for package in wanted if not _is_installed(package)]
    if missing:
        raise ModelError(
            f"the tokenizer of model '{name}' is in {files[0].name}, and the package that reads it is not installed: "
            f"{', '.join(missing)}.",
            f"`pip install {' '.join(missing)}`, or add the tokenizer.json of the model to the folder.",
        ) from error


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def check_match(model: Any, tokenizer: Any, objective: str, name: str) -> None:
    """Raise an error if the tokenizer belongs to another model: its token ids would silently select wrong embeddings.

    Args:
        model: The loaded model.
        tokenizer: The tokenizer, from :func:`load_tokenizer`.
        objective: The resolved objective. Only masked language modelling needs a mask token and a padding token.
        name: Name of the model, for messages.

    Raises:
        ModelError: There are more tokens than embeddings; a needed mask token or padding token is missing; or the
            padding ids of model and tokenizer differ.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows and (objective == "masked-lm" or _has_tokens_beyond(tokenizer, rows)):
        raise ModelError(
            f"the tokenizer of model '{name}' has {len(tokenizer)} tokens, but the model has {rows} embeddings.", _HINT
        )
    if objective == "masked-lm" and (tokenizer.mask_token_id is None or tokenizer.pad_token_id is None):
        raise ModelError(f"the tokenizer of model '{name}' has no mask token or no padding token.", _HINT)
    if objective == "masked-lm" and tokenizer.mask_token_id == tokenizer.unk_token_id:
        raise ModelError(
            f"the tokenizer of model '{name}' uses its unknown token as its mask token "
            f"({str(tokenizer.mask_token)!a}).",
            f"the model was trained with another mask token; {_HINT}",
        )
    padding = getattr(model.config.get_text_config(), "pad_token_id", None)
    if padding is None or tokenizer.pad_token_id is None or not knows_its_padding(model.config):
        return
    if padding != tokenizer.pad_token_id:
        raise ModelError(
            f"the tokenizer of model '{name}' has the padding id {tokenizer.pad_token_id}, but the model has "
            f"{padding}.",
            _HINT,
        )


def padding_id(model: Any, tokenizer: Any) -> int:
    """Return the token id for padding: that of the padding token; if there is none, of the end token; otherwise 0.

    A model without a padding token accepts any id at padded positions, because the attention mask excludes them. A
    padding token or end token without an embedding is not used.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    candidates = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((int(at) for at in candidates if at is not None and at < rows), 0)


def prepare_classifier(model: Any, tokenizer: Any, name: str) -> int:
    """Set the padding id by which a classifier of texts finds the end of a text, and return the id for padding.

    Decoders classify a text at its last token, which is the last token whose id is not `pad_token_id` of the
    configuration. This id must not be the id of a token that occurs in texts, such as `!` with the id 0, or that the
    tokenizer adds to each text; such a token would be treated as padding.

    Args:
        model: A model for sequence classification.
        tokenizer: Its tokenizer.
        name: Name of the model, for messages.

    Raises:
        ModelError: Every embedding of the decoder belongs to a token of text; or the model classifies texts at their
            end token, which the tokenizer does not add.
    """
    config = model.config.get_text_config()
    frame = tokenizer("a")["input_ids"]
    if model.config.is_encoder_decoder and config.eos_token_id not in frame:
        raise ModelError(
            f"the model '{name}' classifies a text at its end token (id {config.eos_token_id}), and the tokenizer does "
            "not add this token.",
            "use the tokenizer that was saved with the model.",
        )
    if knows_its_padding(model.config):
        return padding_id(model, tokenizer)
    rows, framing = model.get_input_embeddings().weight.shape[0], (tokenizer.bos_token_id, tokenizer.eos_token_id)
    unknown = None if tokenizer.unk_token_id in framing else tokenizer.unk_token_id
    special = sorted(set(tokenizer.all_special_ids))
    candidates = (tokenizer.pad_token_id, tokenizer.eos_token_id, *special, *range(len(tokenizer), rows))
    usable = (int(at) for at in candidates if at is not None and at < rows and at != unknown and at not in frame)
    pad_id = next(usable, None)
    if pad_id is None:
        raise ModelError(
            f"the model '{name}' finds the end of a text by a padding token, and its tokenizer has no token that is "
            "not part of texts.",
            "add a padding token: tokenizer.add_special_tokens({'pad_token': '<pad>'}) and "
            "model.resize_token_embeddings(len(tokenizer)).",
        )
    config.pad_token_id = pad_id
    return pad_id


def notes_on_frame(name: str, tokenizer: Any) -> Iterator[str]:
    """Yield a note if a tokenizer does not add its token for the beginning of a text.

    `name` is the name of the model, for messages.

    If the tokens for beginning and end are the same, as in GPT-2, the token separates documents and is not part of a
    text; there is then no note.
    """
    first = tokenizer.cls_token if tokenizer.cls_token_id is not None else tokenizer.bos_token
    at = None if first is None else tokenizer.convert_tokens_to_ids(first)
    if at is None or at in (tokenizer.eos_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id):
        return
    if at in tokenizer("a")["input_ids"]:
        return
    yield (
        f"the tokenizer of model '{name}' has a token for the beginning of a text ({str(first)!a}) but does not put "
        "it there; a model that was trained with this token gives other results without it."
    )


def tokenizer_digest(tokenizer: Any) -> str:
    """Return the hexadecimal SHA-256 over the serialised tokenizer: its vocabulary, token ids and splitting rules.

    The settings of padding and truncation are left out, because each call of the tokenizer may change them.
    """
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state.pop("padding", None)
    state.pop("truncation", None)
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def knows_its_padding(config: Any) -> bool:
    """Return whether the padding id affects the values that the model computes.

    For example, RoBERTa computes positions from the padding id, and the decoder of T5 starts with it.

    Decoder-only models accept any padding id. Their configurations often contain another padding id than the tokenizer,
    or one that is not used.
    """
    return bool(config.is_encoder_decoder) or reads_both_ways(config)


def _has_tokens_beyond(tokenizer: Any, rows: int) -> bool:
    """Return whether a token that is not special has no embedding (special tokens may have none, as in Gemma 3)."""
    special = {at for at, token in tokenizer.added_tokens_decoder.items() if token.special}
    return any(at >= rows and at not in special for at in tokenizer.get_vocab().values())


#: Tokens with a special meaning that no tokenizer declares as special: the sentinels of mT5, and single bytes.
_STAND_INS: Final = re.compile(r"▁?<(extra_id_\d+|0x[0-9A-F]{2})>")
#: Characters that may replace a space before text is split into tokens.
_SPACE: Final = "[ ▁Ġ]"
#: Contexts of a string: alone, after a space, within a word.
_CONTEXTS: Final = ("{}", "a {} a", "a{}a")

#: Tokenizer → (size of its vocabulary, pre-tokenizer that must run after its own; None if none is needed).
_KNOWN: WeakKeyDictionary[Any, tuple[int, Any]] = WeakKeyDictionary()
#: A tokenizer is changed during a call and restored afterwards.
_LOCK: Final = RLock()


def tokenise(tokenizer: Any, *texts: Any, **settings: Any) -> Any:
    """Call a transformers tokenizer; strings of special tokens within the text are read as ordinary characters.

    Text without such a string gives the same tokens as a plain call. The tokenizer is the same after the call.

    Args:
        tokenizer: The tokenizer.
        *texts: Texts as the tokenizer takes them: a text, or a text and its pair, or lists of texts.
        **settings: Further keyword arguments for the call of the tokenizer.

    Returns:
        The return value of the tokenizer.
    """
    with _reading_characters(tokenizer):
        return tokenizer(*texts, split_special_tokens=True, **settings)


def tokenizer_limit(tokenizer: Any) -> int:
    """Return the largest input length that a tokenizer declares, in tokens; `sys.maxsize` if it declares no limit."""
    limit = int(tokenizer.model_max_length)
    return limit if limit >= 1 else sys.maxsize


def reserved_strings(tokenizer: Any) -> dict[str, int]:
    """Return {string: id} of all tokens whose string in a text must not be read as the token.

    These are the special tokens, and tokens with a special meaning that no tokenizer declares as special, such as
    `<extra_id_0>`.
    """
    reserved = {str(token): int(at) for at, token in tokenizer.added_tokens_decoder.items() if token.special}
    reserved |= {str(token): int(tokenizer.convert_tokens_to_ids(token)) for token in tokenizer.all_special_tokens}
    reserved |= {token.removeprefix("▁"): int(at) for token, at in tokenizer.get_vocab().items() if _is_stand_in(token)}
    return {string: at for string, at in reserved.items() if string}


def tokens_left_special(tokenizer: Any, encoding: Any, special: set[int], frame: int) -> int:
    """Return the number of special tokens within a text, without those that the tokenizer adds around the text.

    A special token whose string occurs in the text is split into ordinary tokens. The string of a special token of one
    character cannot be split; only such tokens are left.

    Args:
        tokenizer: The tokenizer.
        encoding: The encoding of one text or pair, from :func:`tokenise`.
        special: The ids to count, without the id of the unknown token, which ordinary text gives as well.
        frame: Number of special tokens that the tokenizer adds around the text.
    """
    ids = encoding["input_ids"]
    if getattr(encoding, "encodings", None):
        framing = encoding.encodings[0].special_tokens_mask
        return sum(at in special and not frames for at, frames in zip(ids, framing, strict=True))
    return max(0, sum(at in special for at in ids) - frame)


@contextmanager
def _reading_characters(tokenizer: Any) -> Iterator[None]:
    """Let a tokenizer read the strings of special tokens as characters while the block runs."""
    if not getattr(tokenizer, "is_fast", False):
        yield
        return
    with _LOCK:
        splitter = _splitter(tokenizer)
        if splitter is None:
            yield
            return
        from tokenizers.pre_tokenizers import Sequence

        backend = tokenizer.backend_tokenizer
        own = backend.pre_tokenizer
        backend.pre_tokenizer = splitter if own is None else Sequence([own, splitter])
        try:
            yield
        finally:
            backend.pre_tokenizer = own


def _splitter(tokenizer: Any) -> Any:
    """Return a pre-tokenizer that splits reserved strings after their first character; None if none is needed."""
    size = len(tokenizer)
    known = _KNOWN.get(tokenizer)
    if known is None or known[0] != size:
        known = _KNOWN[tokenizer] = size, _make_splitter(tokenizer)
    return known[1]


def _make_splitter(tokenizer: Any) -> Any:
    """Build the pre-tokenizer that :func:`_splitter` returns; return None if none is needed.

    The argument `split_special_tokens` is sufficient for tokenizers that cannot produce the special tokens from text,
    because these are not in the vocabulary of the subword model or do not result from its merges (byte-level BPE,
    WordPiece). It is not sufficient for Unigram, which finds every token of its vocabulary within a text.
    """
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    reserved = {string: at for string, at in reserved_strings(tokenizer).items() if len(string) > 1}
    read_as_special = [string for string, at in reserved.items() if _is_read_as(tokenizer, string, at)]
    if not read_as_special:
        return None
    beginnings = sorted({string[0] for string in read_as_special})
    cuts = (f"{_pattern(first)}(?=(?:{_any_of(first, read_as_special)}))" for first in beginnings)
    return Split(Regex("|".join(cuts)), behavior="isolated")


def _any_of(first: str, strings: Iterable[str]) -> str:
    return "|".join(_pattern(string[1:]) for string in sorted(strings) if string.startswith(first))


def _is_read_as(tokenizer: Any, string: str, at: int) -> bool:
    """Return whether a tokenizer reads a string as the token with the id `at`, in at least one of `_CONTEXTS`."""
    texts = [context.format(string) for context in _CONTEXTS]
    encoding = tokenizer(texts, add_special_tokens=False, split_special_tokens=True, truncation=False, verbose=False)
    return any(at in ids for ids in encoding["input_ids"])


def _pattern(string: str) -> str:
    """Return a regular expression that matches a string in which a normaliser may have replaced the spaces."""
    return "".join(_SPACE if character == " " else re.escape(character) for character in string)


def _is_stand_in(token: str) -> bool:
    return _STAND_INS.fullmatch(token) is not None
