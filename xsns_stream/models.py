"""Load a model with its tokenizer, and choose the parameters θ that are measured.

θ are the transformer blocks: found by structure (the repeated block lists of the text stack), with the input
embeddings left out by identity and everything outside the blocks left out with the head. Names are never matched:
the substring `layer` takes 0.03 % of BLOOM's blocks and none of GPT-2's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.errors import ModelError
from xsns_stream.types import LayerSpan, ParameterLayout

if TYPE_CHECKING:
    import torch
    from torch import nn

EMBEDDED: Final = "mini"
EMBEDDED_FOLDER: Final = Path(__file__).parent / "assets" / "mini"
#: What is fetched from the Hub: safetensors and the tokenizer; never a pickle, never code.
HUB_FILES: Final = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.model", "*.txt"]


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode with its tokenizer, and what identifies them.

    Attributes:
        model: The transformers model with its language-modelling head.
        tokenizer: Its tokenizer.
        name: `mini`, the folder's name, or the Hub id.
        revision: Hub commit; empty for local folders.
        weights_digest: SHA-256 over the safetensors files and the configuration, which also decides what they compute.
        tokenizer_digest: SHA-256 over the tokenizer's serialisation.
    """

    model: Any
    tokenizer: Any
    name: str
    revision: str
    weights_digest: str
    tokenizer_digest: str


def load_model(name: str, *, revision: str | None = None, device: str = "cpu") -> LoadedModel:
    """Load a masked language model in float32, with its tokenizer.

    Args:
        name: `mini` (shipped with the package), a local folder, or a Hub id `owner/name`.
        revision: Commit, branch or tag on the Hub.
        device: As torch names it.

    Raises:
        ModelError: No such model, damaged or incomplete weights, or a tokenizer of another model.
    """
    folder, commit = _locate(name, revision)
    model = _load_weights(folder, name)
    tokenizer = _load_tokenizer(folder, name)
    _check_match(model, tokenizer, name)
    return LoadedModel(
        model=_to_device(model.eval(), device),
        tokenizer=tokenizer,
        name=name if name == EMBEDDED or commit else folder.resolve().name,
        revision=commit,
        weights_digest=_digest_files([*folder.glob("*.safetensors"), folder / "config.json"]),
        tokenizer_digest=_tokenizer_digest(tokenizer),
    )


def _locate(name: str, revision: str | None) -> tuple[Path, str]:
    """Return (folder, Hub commit); the commit is empty for local folders."""
    if name == EMBEDDED:
        return EMBEDDED_FOLDER, ""
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return folder, ""
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        raise ModelError(
            f"no model folder '{name}'.",
            "give `mini`, a local folder, or a Hub id such as FacebookAI/xlm-roberta-base.",
        )
    from huggingface_hub import snapshot_download

    try:
        path = snapshot_download(name, revision=revision, allow_patterns=HUB_FILES)
    except Exception as error:
        # Every failure here (offline, gated, no such id) is the Hub's; the cause's first line tells which.
        raise ModelError(
            f"the model '{name}' could not be fetched from the Hub: {_first_line(error)}",
            "check the id and the network, or give the path of a local folder.",
        ) from error
    return Path(path), Path(path).name


def _load_weights(folder: Path, name: str) -> Any:
    import torch
    from transformers import AutoConfig, AutoModelForMaskedLM

    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"the model '{name}' has no .safetensors weights.",
            "convert it with `save_pretrained`; pickled weights are not read, because reading them runs code.",
        )
    try:
        with _quiet_transformers():
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            model, info = AutoModelForMaskedLM.from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except Exception as error:
        # transformers and safetensors raise many types for files that are cut short or of another kind.
        raise ModelError(
            f"the weights of model '{name}' cannot be read: {_first_line(error)}",
            "the files may be incomplete; fetch or export them again.",
        ) from error
    wrong = sorted({str(m[0] if isinstance(m, tuple) else m) for m in info["mismatched_keys"]})
    missing = sorted(info["missing_keys"]) + wrong
    if missing:
        raise ModelError(
            f"the weights of model '{name}' lack {len(missing)} tensors that its configuration needs, "
            f"such as '{missing[0]}'.",
            "random values would be measured in their place; use a checkpoint with its language-modelling head.",
        )
    return model


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep transformers' progress bars and load reports off stderr: what matters of them becomes an error here."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _load_tokenizer(folder: Path, name: str) -> Any:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise ModelError(
            f"the tokenizer of model '{name}' cannot be read: {_first_line(error)}",
            "the folder needs tokenizer.json (or the model's own vocabulary files).",
        ) from error
    # Without any of its files transformers makes up a tokenizer that knows no piece, and says nothing.
    if not any((folder / file).is_file() for file in {"tokenizer.json", *tokenizer.vocab_files_names.values()}):
        raise ModelError(
            f"the tokenizer of model '{name}' is missing: there is no tokenizer.json in its folder.",
            "put the model's own tokenizer files into the folder.",
        )
    if not tokenizer.is_fast:
        raise ModelError(f"the tokenizer of model '{name}' has no fast form.", "convert it to tokenizer.json.")
    return tokenizer


def _check_match(model: Any, tokenizer: Any, name: str) -> None:
    """Refuse a tokenizer that was not made for the model: its ids would mean other words, silently."""
    rows = model.get_input_embeddings().weight.shape[0]
    hint = "put the model's own tokenizer files into the folder."
    if len(tokenizer) > rows:
        raise ModelError(
            f"the tokenizer of model '{name}' has {len(tokenizer)} pieces, its embeddings have {rows} rows.",
            hint,
        )
    if tokenizer.mask_token_id is None or tokenizer.pad_token_id is None:
        raise ModelError(f"the tokenizer of model '{name}' has no mask or no padding token.", hint)
    padding = getattr(model.config, "pad_token_id", None)
    if padding is not None and padding != tokenizer.pad_token_id:
        raise ModelError(
            f"the tokenizer of model '{name}' pads with id {tokenizer.pad_token_id}, its model with {padding}.",
            hint,
        )


def _to_device(model: Any, device: str) -> Any:
    try:
        if device == "meta":
            raise ValueError("it holds shapes without values")
        return model.to(device)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ModelError(
            f"the device '{device}' cannot be used: {_first_line(error)}",
            "give `--device cpu`, or cuda where there is one.",
        ) from error


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".") + "."


def _digest_files(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _tokenizer_digest(tokenizer: Any) -> str:
    """Digest the pieces with their ids and how text is cut; not padding and truncation, which calls change."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    state.pop("padding", None)
    state.pop("truncation", None)
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


# ------------------------------------------------------------------------------------------------ θ


def block_lists(model: nn.Module) -> list[tuple[str, nn.ModuleList]]:
    """Return the model's outermost lists of repeated blocks, heads left out, as (name, list)."""
    from torch import nn

    body = getattr(model, "base_model", model)
    prefix = next((name for name, module in model.named_modules() if module is body), "")
    found: list[tuple[str, nn.ModuleList]] = []
    for name, module in body.named_modules(prefix=prefix):
        nested = any(name.startswith(f"{outer}.") for outer, _ in found)
        if isinstance(module, nn.ModuleList) and not nested and any(True for _ in module.parameters()):
            found.append((name, module))
    return found


def parameter_layout(model: nn.Module) -> ParameterLayout:
    """Choose θ, the parameters of the transformer blocks, and number their bits.

    Blocks come in the order of the model, tensors in the order of the block; a tensor used in several places
    counts once. XLM-R base and mBERT give P = 85,054,464.

    Raises:
        ModelError: The model has no list of repeated blocks.

    Source: X-SNS, section 3 ("embeddings and head excluded"); by structure instead of by name.
    """
    lists = block_lists(model)
    if not lists:
        raise ModelError(
            f"no list of repeated transformer blocks was found in {type(model).__name__}.",
            "only transformers built from blocks can be measured.",
        )
    get_embeddings = getattr(model, "get_input_embeddings", None)
    embeddings = get_embeddings() if get_embeddings is not None else None
    taken = {id(p) for p in embeddings.parameters()} if embeddings is not None else set()
    names: list[str] = []
    shapes: list[tuple[int, ...]] = []
    layers: list[LayerSpan] = []
    position = 0
    for list_name, blocks in lists:
        for index, block in enumerate(blocks):
            start, prefix = position, f"{list_name}.{index}"
            for name, parameter in block.named_parameters(prefix=prefix):
                if id(parameter) in taken:
                    continue
                taken.add(id(parameter))
                names.append(name)
                shapes.append(tuple(parameter.shape))
                position += parameter.numel()
            if position > start:
                layers.append(LayerSpan(prefix, start, position))
    return ParameterLayout(tuple(names), tuple(shapes), tuple(layers))


def left_out(model: nn.Module, layout: ParameterLayout) -> dict[str, torch.Tensor]:
    """Return {name: parameter} of everything that is not in `layout`."""
    chosen = set(layout.names)
    return {name: p for name, p in model.named_parameters() if name not in chosen}


def longest_input(model: Any, tokenizer: Any) -> int:
    """Return how many pieces, special ones included, the model can take at once."""
    positions = int(getattr(model.config, "max_position_embeddings", 0) or tokenizer.model_max_length)
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    # RoBERTa's kind counts positions from the padding's index on, and so wastes the rows before it.
    padding = getattr(table, "padding_idx", None)
    wasted = 0 if padding is None else padding + 1
    return min(positions - wasted, int(tokenizer.model_max_length))
