"""Collectors of the baselines from text: each collects values of every language, and computes a matrix from them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

import numpy as np

from xsns_stream.baselines.model_vectors import GradientFile, embedding_cosine, gradient_cosine
from xsns_stream.baselines.nearest_tokens import OnProgress, TokenStates, neighbour_shares
from xsns_stream.baselines.subwords import (
    TokenCounts,
    count_tokens,
    evenness,
    evenness_matrix,
    lexical_overlap,
    segments_of,
    words_of,
)
from xsns_stream.errors import CorpusError, ModelError, UsageError
from xsns_stream.objectives import EncodedSample
from xsns_stream.objectives.encoding import TokenisedExample, encode_sample
from xsns_stream.pipeline.rows import MANY_UNKNOWN, unit_of, unknown_tokens
from xsns_stream.types import LanguageSample, ParameterLayout, Reals

if TYPE_CHECKING:
    from torch import Tensor

    from xsns_stream.models import LoadedModel
    from xsns_stream.types import Counts


Batch = Mapping[str, Any]
#: Matrices [S, T] of sources and targets, by name.
Matrices = dict[str, Reals]


@dataclass(frozen=True)
class LanguageText:
    """The examples of one language, drawn with one seed.

    Attributes:
        language: Code of the language.
        sample: The examples that were drawn.
        plain: The token ids of these examples, without masking; None if no baseline needs them.
        scored: These examples, encoded for the objective; None if no baseline needs them.
    """

    language: str
    sample: LanguageSample
    plain: EncodedSample | None
    scored: EncodedSample | None


class Collector(Protocol):
    """Collector of the values of one baseline, for all languages and one seed."""

    def add_text(self, text: LanguageText) -> None:
        """Compute and keep the values of a language from its text."""

    def value(self, language: str) -> Any:
        """Return the values of a language: a small object, or the path of a file that contains the values."""

    def add_value(self, language: str, value: Any) -> None:
        """Add the values of a language that :meth:`value` returned in another process."""

    def matrices(self, sources: Sequence[str], targets: Sequence[str]) -> Matrices:
        """Return {name of a matrix: values [S, T]}; the values of all sources and targets must have been added."""


class StatesCollector(Collector, Protocol):
    """A collector that needs token states: they are added batch by batch, after the text of a language."""

    def add_states(self, language: str, batch: Batch, states: Sequence[Tensor]) -> None:
        """Add the token states of a batch: one tensor [B, T, D] for each layer."""


def _between(square: Reals, languages: Sequence[str], sources: Sequence[str], targets: Sequence[str]) -> Reals:
    """Return the rows `sources` and the columns `targets` of a square matrix whose rows and columns are `languages`."""
    index = {language: at for at, language in enumerate(languages)}
    part: Reals = square[np.ix_([index[code] for code in sources], [index[code] for code in targets])]
    return part


def _all(sources: Sequence[str], targets: Sequence[str]) -> list[str]:
    return list(dict.fromkeys((*sources, *targets)))


class LexicalCollector:
    """Collector of lex, which counts the tokens of each language."""

    def __init__(self, tokenizer: Any) -> None:
        self._special = special_ids(tokenizer)
        self._counts: dict[str, TokenCounts] = {}

    def add_text(self, text: LanguageText) -> None:
        """Count the tokens in the text of a language."""
        assert text.plain is not None
        self._counts[text.language] = count_tokens((each.input_ids for each in text.plain.examples), self._special)

    def value(self, language: str) -> TokenCounts:
        """Return the token counts of a language."""
        return self._counts[language]

    def add_value(self, language: str, value: TokenCounts) -> None:
        """Add the token counts of a language."""
        self._counts[language] = value

    def matrices(self, sources: Sequence[str], targets: Sequence[str]) -> Matrices:
        """Return the lexical overlap of each source and target, from their token distributions."""
        everybody = _all(sources, targets)
        square = lexical_overlap({code: self._counts[code] for code in everybody})
        return {"lex": _between(square, everybody, sources, targets)}


class EvennessCollector:
    """Collector of sue, which computes how evenly the words of each language are split into sub-words (evenness)."""

    def __init__(self, merges: int) -> None:
        self._merges = merges
        self._values: dict[str, float] = {}

    def add_text(self, text: LanguageText) -> None:
        """Learn a byte-pair encoding of the text of a language, and compute how evenly it splits the words."""
        words = words_of(part for example in text.sample.examples for part in (example.text, example.pair) if part)
        self._values[text.language] = evenness(segments_of(words, self._merges).values())

    def value(self, language: str) -> float:
        """Return the evenness of a language."""
        return self._values[language]

    def add_value(self, language: str, value: float) -> None:
        """Add the evenness of a language."""
        self._values[language] = value

    def matrices(self, sources: Sequence[str], targets: Sequence[str]) -> Matrices:
        """Return the matrix of sue, computed from the evenness of each language."""
        everybody = _all(sources, targets)
        square = evenness_matrix({code: self._values[code] for code in everybody})
        return {"sue": _between(square, everybody, sources, targets)}


class EmbeddingsCollector:
    """Collector of emb, which averages the token states of each language."""

    def __init__(self, body: Body, layer: int | Literal["all"] | None, centre: bool) -> None:
        self._centre = centre
        self._named = layer == "all"
        self._layers = list(range(body.layers + 1)) if layer == "all" else [body.layer(layer, body.layers)]
        self._sums: dict[str, Reals] = {}
        self._examples: dict[str, int] = {}

    def add_text(self, text: LanguageText) -> None:
        """Set the sums of token states of a language to zero; the states are added later, batch by batch."""
        assert text.plain is not None
        self._examples[text.language] = len(text.plain.examples)
        self._sums.pop(text.language, None)

    def add_states(self, language: str, batch: Batch, states: Sequence[Tensor]) -> None:
        """Add the mean token state of each example; special tokens around the text are included in the mean."""
        mask = batch["attention_mask"].unsqueeze(-1)
        means = [(states[at].float() * mask).sum(1) / mask.sum(1) for at in self._layers]
        added = np.stack([mean.double().sum(0).cpu().numpy() for mean in means])
        self._sums[language] = self._sums.get(language, 0.0) + added

    def value(self, language: str) -> tuple[Reals, int]:
        """Return the sums over the examples of a language, float64 [layers, D], and the number of examples."""
        return self._sums[language], self._examples[language]

    def add_value(self, language: str, value: tuple[Reals, int]) -> None:
        """Add the sums and the number of examples of a language."""
        self._sums[language], self._examples[language] = value

    def matrices(self, sources: Sequence[str], targets: Sequence[str]) -> Matrices:
        """Return the cosine similarities of the mean vectors of languages, one matrix for each layer."""
        everybody = _all(sources, targets)
        matrices: Matrices = {}
        for index, layer in enumerate(self._layers):
            vectors = {code: self._sums[code][index] / self._examples[code] for code in everybody}
            square = embedding_cosine(vectors, centre=self._centre)
            name = f"emb-{layer}" if self._named else "emb"
            matrices[name] = _between(square, everybody, sources, targets)
        return matrices


class NeighboursCollector:
    """Collector of nn-rank, which writes token states to a temporary file."""

    def __init__(
        self,
        body: Body,
        tokenizer: Any,
        path: Path,
        *,
        layer: int,
        k: int,
        most: int | None,
        dtype: str,
        on_progress: Callable[[int, int], None],
    ) -> None:
        self._layer, self._k, self._most, self._on_progress = layer, k, most, on_progress
        self._special = special_ids(tokenizer)
        #: Function that finds the nearest neighbours; it may be replaced by a function that lets workers do the search.
        self.search: Callable[..., Reals] = _search
        self._examples: frozenset[int] = frozenset()
        self.states = TokenStates(path, body.width, dtype)

    def add_text(self, text: LanguageText) -> None:
        """Choose the examples of a language whose token states are stored."""
        assert text.plain is not None
        self._examples = first_examples(text.plain, self._special, self._most, text.language)

    def add_states(self, language: str, batch: Batch, states: Sequence[Tensor]) -> None:
        """Store the states of tokens that are neither special nor padding."""
        keys, ids, mask = (batch[name].cpu().numpy() for name in ("example_keys", "input_ids", "attention_mask"))
        chosen = np.isin(keys, list(self._examples))[:, None] & (mask == 1) & ~np.isin(ids, self._special)
        self.states.add(language, states[self._layer].float().cpu().numpy()[chosen])

    def value(self, language: str) -> Path:
        """Return the path of the file of token states; the collector must contain only this language."""
        return self.states.written()

    def add_value(self, language: str, value: Path) -> None:
        """Copy the token states of a language from the file at the path `value`."""
        self.states.add_file(language, value)

    def matrices(self, sources: Sequence[str], targets: Sequence[str]) -> Matrices:
        """Return the shares of the sources in the nearest neighbours of the tokens of each target."""
        return {"nn-rank": self.search(self.states, sources, targets, k=self._k, on_progress=self._on_progress)}


def _search(
    states: TokenStates, sources: Sequence[str], targets: Sequence[str], *, k: int, on_progress: OnProgress
) -> Reals:
    return neighbour_shares(states.states(_all(sources, targets)), sources, targets, k=k, on_progress=on_progress)


class GradientsCollector:
    """Collector of grad-cosine, which writes the mean gradient of each language to a temporary file."""

    def __init__(
        self, layout: ParameterLayout, path: Path, languages: int, gradient: Callable[[LanguageText], Mapping[str, Any]]
    ) -> None:
        self._layout, self._gradient = layout, gradient
        self._file = GradientFile(path, languages, layout.size)

    def add_text(self, text: LanguageText) -> None:
        """Compute the mean gradient of a language, and write it to the file."""
        gradient = self._gradient(text)
        self._file.add(text.language, [gradient[name].float().cpu().numpy() for name in self._layout.names])

    def value(self, language: str) -> Path:
        """Return the path of the file of gradients; the collector must contain only this language."""
        return self._file.written()

    def add_value(self, language: str, value: Path) -> None:
        """Copy the gradient of a language from the file at the path `value`."""
        self._file.add_file(language, value)

    def matrices(self, sources: Sequence[str], targets: Sequence[str]) -> Matrices:
        """Return the cosine similarities of the mean gradients of sources and targets."""
        everybody = _all(sources, targets)
        square = gradient_cosine(self._file.gradients(everybody))
        return {"grad-cosine": _between(square, everybody, sources, targets)}


#: Entries of a batch that are arguments of the body of a model.
_INPUTS: Final = ("input_ids", "attention_mask", "token_type_ids")


def encode_plain(sample: LanguageSample, loaded: LoadedModel, seed: int, max_length: int) -> EncodedSample:
    """Encode a sample as a build encodes it, but without masking tokens.

    Raises:
        UsageError: `max_length` leaves no room for text after the special tokens.
        CorpusError: No example has a token in the tokenizer's vocabulary.
    """

    def make_arrays(_: object, tokens: TokenisedExample) -> Mapping[str, Counts]:
        return {"input_ids": tokens.ids}

    return encode_sample(sample, loaded.tokenizer, seed, max_length, make_arrays)


def special_ids(tokenizer: Any) -> Counts:
    """Return the ids of all special tokens, including the unknown token; int64, ascending."""
    return np.array(sorted(set(tokenizer.all_special_ids)), dtype=np.int64)


class Body:
    """The part of a model that computes token states: its encoder, or its decoder if it has no encoder.

    Args:
        loaded: The model.

    Attributes:
        layers: Index of the last layer; layer 0 is the input of the first block.
        width: D, the size of a token state.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        import torch

        model = loaded.model
        self._name = loaded.name
        self._module = model.get_encoder() if model.config.is_encoder_decoder else model.base_model
        self._takes = set(inspect.signature(self._module.forward).parameters)
        device = next(model.parameters()).device
        one = torch.full((1, 1), loaded.pad_id, dtype=torch.int64, device=device)
        states = self.states({"input_ids": one, "attention_mask": torch.ones_like(one)})
        self.layers, self.width = len(states) - 1, int(states[-1].shape[-1])

    def states(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """Return the states [B, T, D] before the first block and after each block, without gradients.

        Raises:
            ModelError: The model does not return its states.
        """
        import torch

        from xsns_stream.fisher.model_state import evaluating

        inputs: dict[str, Any] = {name: batch[name] for name in _INPUTS if name in batch}
        if "use_cache" in self._takes:
            inputs["use_cache"] = False
        # Inference mode is not used, because a model may cache tables (rotary embeddings) that a later backward pass
        # needs.
        with evaluating(self._module), torch.no_grad():
            output = self._module(**inputs, output_hidden_states=True, return_dict=True)
        states = getattr(output, "hidden_states", None)
        if not states:
            raise ModelError(
                f"the model '{self._name}' does not return its token states.", "use a model of transformer blocks."
            )
        return tuple(states)

    def layer(self, requested: int | None, default: int) -> int:
        """Return the requested layer index, or the default.

        Args:
            requested: An index from 0 (the input of the first block) to `layers`; None for the default.
            default: The default index; if the model has fewer layers, the last layer is returned instead.

        Raises:
            UsageError: The model has no such layer.
        """
        if requested is None:
            return min(default, self.layers)
        if not 0 <= requested <= self.layers:
            raise UsageError(
                f"the model '{self._name}' has no layer {requested}.",
                f"layers are 0 (the input of the first block) to {self.layers}.",
            )
        return requested


def first_examples(sample: EncodedSample, special: Counts, most: int | None, language: str) -> frozenset[int]:
    """Return the keys of the first examples of a sample, which together have at most `most` tokens.

    Tokens whose ids are in `special` are not counted. The first example is always included. If `most` is None, all
    examples are included.

    Raises:
        CorpusError: All tokens of the sample are special tokens.
    """
    counts = [int((~np.isin(example.input_ids, special)).sum()) for example in sample.examples]
    if not sum(counts):
        raise CorpusError(f"all tokens of language '{language}' are special tokens.")
    limit = sum(counts) if most is None else most
    chosen = np.cumsum(counts) <= limit
    chosen[0] = True
    return frozenset(example.key for example, is_chosen in zip(sample.examples, chosen, strict=True) if is_chosen)


def text_notes(text: LanguageText, requested: int) -> Iterator[str]:
    """Yield notes on a text: few examples, malformed lines, and tokens that the tokenizer does not know."""
    if len(text.sample) < requested:
        yield f"has only {len(text.sample)} of the {requested} examples requested."
    if malformed := text.sample.counts.malformed:
        yield f"{malformed} of {text.sample.counts.read} {unit_of(text.sample.source)} are malformed and were skipped."
    encoded = text.plain or text.scored
    if encoded is not None and encoded.unknown_share > MANY_UNKNOWN:
        yield unknown_tokens(encoded)


@contextmanager
def fitting(batch: int) -> Iterator[None]:
    """Turn an out-of-memory error in the `with` block into an error whose hint says what to change.

    Raises:
        ModelError: A batch does not fit into memory.
    """
    from xsns_stream.fisher import is_out_of_memory

    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(
            f"a batch of {batch} {'example' if batch == 1 else 'examples'} does not fit into memory.",
            "give a smaller --batch or --max-length.",
        ) from error
