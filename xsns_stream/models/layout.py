"""Selection of θ, the parameters to measure, and assignment of bits of a mask to them.

θ are the parameters of the transformer blocks. The blocks are found by structure: they are the repeated block lists of
the text stack. Input embeddings are excluded by identity; all modules outside of the blocks, such as the head, are also
excluded. Parameters are selected by name only if the user gives patterns, because no pattern fits all models: `layer`
selects 0.03 % of the parameters in the blocks of BLOOM, and none of those of GPT-2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.errors import ModelError, UsageError
from xsns_stream.models.tokenizers import tokenizer_limit
from xsns_stream.types import LayerSpan, ParameterLayout

if TYPE_CHECKING:
    import torch
    from torch import nn

STACKS: Final = ("both", "encoder", "decoder")
#: Name of the span of parameters that `include` adds.
OTHER: Final = "other"
#: Value of `blocks` that selects every parameter.
ALL: Final = "all"
#: Maximum number of tokens if neither the model nor the tokenizer has a limit.
UNBOUNDED: Final = 2**31 - 1

#: A part of θ: the name of its span, and {name: parameter}.
_Part = tuple[str, dict[str, "nn.Parameter"]]


def block_lists(model: nn.Module) -> list[tuple[str, nn.ModuleList]]:
    """Return (name, list) of the outermost lists of repeated blocks in the model's text stack, without heads.

    Raises:
        ModelError: The text stack of a multimodal model was not found.
    """
    from torch import nn

    lists: list[tuple[str, nn.ModuleList]] = []
    for name, module in _text_modules(model):
        nested = any(name.startswith(f"{outer}.") for outer, _ in lists)
        if isinstance(module, nn.ModuleList) and not nested and any(True for _ in module.parameters()):
            lists.append((name, module))
    return lists


def parameter_layout(
    model: nn.Module,
    *,
    stack: str = "both",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    blocks: Sequence[str] | str | None = None,
) -> ParameterLayout:
    """Select θ, by default the parameters of the transformer blocks, and assign bits to them.

    Blocks are in the order of the model, tensors in the order of the block. A tensor that is used in several places is
    included once. Parameters that `include` adds come last, as one span named `other`. For XLM-R base and for mBERT,
    the number of parameters P is 85,054,464.

    Args:
        model: A transformers model, or any other module. For a multimodal model the text stack is measured.
        stack: `encoder`, `decoder` or `both`, for models that have both stacks.
        include: Regular expressions for names of parameters outside of the blocks, in the text stack and the head
            (embeddings, final norms, head). Parameters that match are measured as well.
        exclude: Regular expressions for names of the parameters selected so far. Parameters that match are not
            measured. A tied tensor is found by any of its names.
        blocks: Names of modules to measure with all of their parameters; or `all` for every parameter of the model,
            including embeddings, norms and head. By default, the repeated blocks are found by structure.

    Raises:
        ModelError: The model has no list of repeated blocks, and `blocks` is not given.
        UsageError: The model does not have the stack or a named module; a regular expression is invalid or matches
            nothing; no parameter is left.

    Source: X-SNS, section 3 ("embeddings and head excluded"); the exclusion is by structure instead of by name.
    """
    aliases = _aliases(model)
    parts = _repeated(model, stack, include, aliases) if blocks is None else _named(model, blocks, stack, include)
    chosen = {name: p for _, part in parts for name, p in part.items()}
    dropped = _matching(chosen, exclude, aliases, "exclude")
    if not chosen:
        raise UsageError("the chosen modules have no parameters.", "choose modules with parameters.")
    if len(dropped) == len(chosen):
        raise UsageError("every parameter is excluded, and nothing is left to measure.", "exclude fewer parameters.")
    return _numbered([(span, {n: p for n, p in part.items() if n not in dropped}) for span, part in parts])


def _repeated(model: nn.Module, stack: str, include: Sequence[str], aliases: dict[int, list[str]]) -> list[_Part]:
    """Return the repeated blocks of the text stack, and the parameters outside of the blocks that match `include`.

    `aliases` is {id of a parameter: all names of the parameter in the model}.
    """
    lists = block_lists(model)
    if not lists:
        raise ModelError(
            f"no list of repeated transformer blocks was found in {type(model).__name__}.",
            "name the modules to measure with blocks=[…], or give blocks='all' for every parameter (from Python).",
        )
    embeddings = _embeddings(model)
    parts = _blocks(_in_stack(model, lists, stack), embeddings)
    if include:
        inside = {id(p) for _, blocks in lists for p in blocks.parameters()} - embeddings
        outside = {n: p for n, p in _text_and_head(model).items() if id(p) not in inside}
        parts.append((OTHER, _matching(outside, include, aliases, "include")))
    return parts


def _named(model: nn.Module, blocks: Sequence[str] | str, stack: str, include: Sequence[str]) -> list[_Part]:
    """Return the parameters of the modules that `blocks` names; for `all`, every parameter, grouped by module.

    Raises:
        UsageError: There is no such module, or `stack` or `include` is given too.
    """
    if stack != "both" or include:
        raise UsageError("blocks cannot be combined with stack or include.", "name all modules to measure in blocks.")
    if blocks == ALL:
        return _all_parts(model)
    names = [blocks] if isinstance(blocks, str) else list(blocks)
    modules = dict(model.named_modules(remove_duplicate=False))
    for name in names:
        if name not in modules:
            near = get_close_matches(str(name), modules, n=1)
            raise UsageError(
                f"{type(model).__name__} has no module '{name}'.",
                f"did you mean '{near[0]}'?" if near else "`model.named_modules()` lists the names of all modules.",
            )
    first = {id(p): name for name, p in model.named_parameters()}  # a tied tensor has several names
    taken: set[int] = set()
    parts: list[_Part] = []
    for name in names:
        own = [p for p in modules[name].parameters() if id(p) not in taken]
        taken |= {id(p) for p in own}
        parts.append((name or OTHER, {first[id(p)]: p for p in own}))
    return parts


def _all_parts(model: nn.Module) -> list[_Part]:
    """Return all parameters in the order of the model, grouped by block or, outside of the blocks, by module."""
    try:
        prefixes = [f"{name}.{index}" for name, blocks in block_lists(model) for index in range(len(blocks))]
    except ModelError:
        prefixes = []  # the parameters of a multimodal model with an unknown text stack are grouped by module
    parts: dict[str, dict[str, nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        block = next((prefix for prefix in prefixes if name.startswith(f"{prefix}.")), None)
        parts.setdefault(block or name.rpartition(".")[0] or OTHER, {})[name] = parameter
    return list(parts.items())


def left_out(model: nn.Module, layout: ParameterLayout) -> dict[str, torch.Tensor]:
    """Return {name: parameter} of all parameters that are not in `layout`."""
    chosen = set(layout.names)
    return {name: p for name, p in model.named_parameters() if name not in chosen}


def longest_input(model: Any, tokenizer: Any) -> int:
    """Return the largest number of tokens of an input, including special tokens.

    This is the number of positions that the model has or was trained with, or the limit of the tokenizer if that is
    smaller. Models with relative positions (T5) or ALiBi have no limit; for them, the limit of the tokenizer is
    returned, or 2³¹ - 1 if it has none. A configured number of positions below 1, as in XLNet, also means that there is
    no limit.
    """
    limit = min(tokenizer_limit(tokenizer), UNBOUNDED)
    config = model.config.get_text_config()
    # BLOOM and related models record the length of their training texts as `seq_length`.
    positions = getattr(config, "max_position_embeddings", None) or getattr(config, "seq_length", None)
    if not positions or positions < 1:
        return limit
    table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
    # RoBERTa and related models count positions from the padding index on and do not use the rows before it.
    padding = getattr(table, "padding_idx", None)
    unused = 0 if padding is None else padding + 1
    return min(int(positions) - unused, limit)


# ------------------------------------------------------------------------------------- the text stack


def _text_modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Yield (name, module) for the modules of the text stack, without the head, image towers and audio towers."""
    body = _text_body(model)
    prefix = _name_of(model, body)
    others: list[str] = []
    for name, module in body.named_modules(prefix=prefix):
        if any(name.startswith(f"{other}.") for other in others):
            continue
        # An encoder-decoder may contain its vision tower inside its encoder.
        if getattr(module, "main_input_name", "input_ids") != "input_ids":
            others.append(name)
            continue
        yield name, module


def _text_body(model: Any) -> Any:
    body = getattr(model, "base_model", model)
    config = getattr(model, "config", None)
    if config is None or config.is_encoder_decoder or config.get_text_config() is config:
        return body
    text = model.get_decoder()
    if text is model or text is body:
        raise ModelError(
            f"the text stack of {type(model).__name__} was not found among its parts.",
            "use the text-only checkpoint of the same model, if there is one.",
        )
    return text


def _name_of(model: nn.Module, wanted: Any) -> str:
    return next((name for name, module in model.named_modules() if module is wanted), "")


def _text_and_head(model: Any) -> dict[str, nn.Parameter]:
    """Return the parameters of the text stack and of modules outside of the body, in the order of the model."""
    body = getattr(model, "base_model", model)
    text = {id(p) for _, module in _text_modules(model) for p in module.parameters(recurse=False)}
    in_body = {id(p) for p in body.parameters()}
    return {name: p for name, p in model.named_parameters() if id(p) in text or id(p) not in in_body}


# -------------------------------------------------------------------------------- choice of parameters


def _in_stack(
    model: Any, lists: Sequence[tuple[str, nn.ModuleList]], stack: str
) -> Sequence[tuple[str, nn.ModuleList]]:
    if stack not in STACKS:
        raise UsageError(f"'{stack}' is not a valid stack.", f"choose one of {', '.join(STACKS)}.")
    if stack == "both":
        return lists
    if not getattr(getattr(model, "config", None), "is_encoder_decoder", False):
        raise UsageError(
            f"the stack '{stack}' was requested, but {type(model).__name__} has only one stack.",
            "choose a stack only for models with an encoder and a decoder.",
        )
    side = model.get_encoder() if stack == "encoder" else model.get_decoder()
    prefix = _name_of(model, side)
    return [(name, blocks) for name, blocks in lists if name.startswith(f"{prefix}.")]


def _embeddings(model: Any) -> set[int]:
    get_embeddings = getattr(model, "get_input_embeddings", None)
    embeddings = get_embeddings() if get_embeddings is not None else None
    return {id(p) for p in embeddings.parameters()} if embeddings is not None else set()


def _blocks(lists: Sequence[tuple[str, nn.ModuleList]], embeddings: set[int]) -> list[_Part]:
    """Return (name, {name: parameter}) for each block in `lists`, without parameters whose ids are in `embeddings`.

    A tensor that several blocks share belongs to the first of these blocks.
    """
    taken = set(embeddings)
    parts: list[_Part] = []
    for list_name, blocks in lists:
        for index, block in enumerate(blocks):
            prefix = f"{list_name}.{index}"
            own = {name: p for name, p in block.named_parameters(prefix=prefix) if id(p) not in taken}
            taken |= {id(p) for p in own.values()}
            parts.append((prefix, own))
    return parts


def _aliases(model: nn.Module) -> dict[int, list[str]]:
    aliases: dict[int, list[str]] = {}
    for name, p in model.named_parameters(remove_duplicate=False):
        aliases.setdefault(id(p), []).append(name)
    return aliases


def _matching(
    candidates: dict[str, nn.Parameter], patterns: Sequence[str], aliases: dict[int, list[str]], option: str
) -> dict[str, nn.Parameter]:
    """Return the parameters of which a name matches at least one pattern.

    Args:
        candidates: {name: parameter}, the parameters that can be matched.
        patterns: Regular expressions.
        aliases: {id of a parameter: all names of the parameter in the model}; tied tensors have several names.
        option: `include` or `exclude`, for messages.

    Raises:
        UsageError: A pattern is not a valid regular expression, or matches no candidate.
    """
    matched: set[str] = set()
    for pattern in patterns:
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise UsageError(
                f"'{pattern}' is not a valid regular expression: {error}.",
                "escape characters such as ( [ * + with a backslash.",
            ) from error
        names = {name for name, p in candidates.items() if any(map(compiled.search, aliases[id(p)]))}
        if not names:
            scope = "outside of the blocks" if option == "include" else "that is measured"
            raise UsageError(
                f"{option} '{pattern}' matches no parameter {scope}.",
                "`xsns-stream params MODEL` lists all names.",
            )
        matched |= names
    return {name: p for name, p in candidates.items() if name in matched}


def _numbered(parts: Sequence[_Part]) -> ParameterLayout:
    names: list[str] = []
    shapes: list[tuple[int, ...]] = []
    layers: list[LayerSpan] = []
    position = 0
    for span, part in parts:
        start = position
        for name, parameter in part.items():
            names.append(name)
            shapes.append(tuple(parameter.shape))
            position += parameter.numel()
        if position > start:
            layers.append(LayerSpan(span, start, position))
    return ParameterLayout(tuple(names), tuple(shapes), tuple(layers))
