"""The tokenizer that comes with a checkpoint, and whether it is the model's own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from xsns_stream.errors import ModelError
from xsns_stream.io.json import UnusableError
from xsns_stream.models.configuration import broken_installation, needs_own_code
from xsns_stream.models.files import reason
from xsns_stream.models.objectives import reads_both_ways
from xsns_stream.models.tokenizer_files import check_tokenizer_files, own_code

_HINT: Final = "put the model's own tokenizer files into the folder."


def load_tokenizer(folder: Path, name: str) -> Any:
    """Load the tokenizer of a folder in its fast form.

    Raises:
        ModelError: Files that are missing or damaged, or no fast form.
    """
    from transformers import AutoTokenizer

    try:
        check_tokenizer_files(folder)
        coded = own_code(folder)
    except UnusableError as error:
        raise ModelError(
            f"the tokenizer of model '{name}' cannot be read: {error}.", "export it again, or use another model's."
        ) from error
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except ImportError as error:
        raise broken_installation(name, error) from error
    except Exception as error:
        if coded:
            raise needs_own_code(name, "tokenizer") from error
        raise ModelError(
            f"the tokenizer of model '{name}' cannot be read: {reason(error)}.",
            "the folder needs tokenizer.json (or the model's own vocabulary files).",
        ) from error
    # Without any of its files transformers makes up a tokenizer that knows no piece, and says nothing.
    if not any((folder / file).is_file() for file in {"tokenizer.json", *tokenizer.vocab_files_names.values()}):
        raise ModelError(
            f"the tokenizer of model '{name}' is missing: there is no tokenizer.json in its folder.", _HINT
        )
    if not tokenizer.is_fast:
        raise ModelError(f"the tokenizer of model '{name}' has no fast form.", "convert it to tokenizer.json.")
    return tokenizer


def check_match(model: Any, tokenizer: Any, objective: str, name: str) -> None:
    """Refuse a tokenizer that was not made for the model: its ids would mean other words, silently.

    Args:
        model: The loaded model.
        tokenizer: From :func:`load_tokenizer`.
        objective: The resolved one: masked language modelling needs a mask and padding, the others do not.
        name: The model's, for messages.

    Raises:
        ModelError: More pieces than embeddings, no piece to hide with, or another padding.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows and (objective == "masked-lm" or _pieces_beyond(tokenizer, rows)):
        raise ModelError(
            f"the tokenizer of model '{name}' has {len(tokenizer)} pieces, its embeddings have {rows} rows.", _HINT
        )
    if objective == "masked-lm" and (tokenizer.mask_token_id is None or tokenizer.pad_token_id is None):
        raise ModelError(f"the tokenizer of model '{name}' has no mask or no padding token.", _HINT)
    if objective == "masked-lm" and tokenizer.mask_token_id == tokenizer.unk_token_id:
        raise ModelError(
            f"the tokenizer of model '{name}' masks with the token that stands for unknown text "
            f"({str(tokenizer.mask_token)!a}).",
            f"the model was trained with a mask of its own; {_HINT}",
        )
    padding = getattr(model.config.get_text_config(), "pad_token_id", None)
    if padding is None or tokenizer.pad_token_id is None or not knows_its_padding(model.config):
        return
    if padding != tokenizer.pad_token_id:
        raise ModelError(
            f"the tokenizer of model '{name}' pads with id {tokenizer.pad_token_id}, its model with {padding}.", _HINT
        )


def padding_id(model: Any, tokenizer: Any) -> int:
    """Return the id that batches are padded with: the padding's, else the end's, else 0.

    Models without a padding token see any id there: the attention mask hides it. An id without an embedding is
    passed over.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    candidates = (tokenizer.pad_token_id, tokenizer.eos_token_id)
    return next((int(at) for at in candidates if at is not None and at < rows), 0)


def notes_on_frame(name: str, tokenizer: Any) -> Iterator[str]:
    """Yield what is to be said of a tokenizer that puts nothing around a text, though it has a token for it.

    A first token that is also the last one, as GPT-2's, parts documents and frames no text; nothing is said of it.
    """
    first = tokenizer.cls_token if tokenizer.cls_token_id is not None else tokenizer.bos_token
    at = None if first is None else tokenizer.convert_tokens_to_ids(first)
    if at is None or at in (tokenizer.eos_token_id, tokenizer.unk_token_id, tokenizer.pad_token_id):
        return
    if at in tokenizer("a")["input_ids"]:
        return
    yield (
        f"the tokenizer of model '{name}' has a token for the beginning of a text ({str(first)!a}) and does not "
        "put it there; a model that was trained with it computes something else without it."
    )


def tokenizer_digest(tokenizer: Any) -> str:
    """Digest the pieces with their ids and how text is cut; not padding and truncation, which calls change."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state.pop("padding", None)
    state.pop("truncation", None)
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def knows_its_padding(config: Any) -> bool:
    """Tell whether the padding's id does more than fill: RoBERTa counts positions by it, T5 starts its decoder with it.

    Decoders take any id, and their configurations often name another than the tokenizer, or one that is not used.
    """
    return bool(config.is_encoder_decoder) or reads_both_ways(config)


def _pieces_beyond(tokenizer: Any, rows: int) -> bool:
    """Tell whether a piece of ordinary text has no embedding; special ones may (Gemma 3's place for an image)."""
    special = {at for at, token in tokenizer.added_tokens_decoder.items() if token.special}
    return any(at >= rows and at not in special for at in tokenizer.get_vocab().values())
