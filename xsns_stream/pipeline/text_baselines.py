"""Baselines from text: text and model are opened, or taken from a store, and compared with those of the store."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from xsns_stream.corpora import Corpus, open_corpus, reading_notes
from xsns_stream.corpora.recipes import RECIPES
from xsns_stream.errors import CorpusError, LanguageError, ModelError, PartialError, UsageError, XsnsError
from xsns_stream.io.escaping import visible
from xsns_stream.io.tables import all_listed, listed
from xsns_stream.languages import counterparts
from xsns_stream.models.auto_classes import TASKS
from xsns_stream.objectives import Objective, make_objective
from xsns_stream.pipeline.arguments import flag, whole_number
from xsns_stream.pipeline.events import BaselineEvent, Row, RowFailed
from xsns_stream.pipeline.language_pool import LanguagePool, require_choice
from xsns_stream.pipeline.model_baselines import model_baselines, needs_tokenizer, needs_weights
from xsns_stream.pipeline.row_selection import as_seeds, max_length_of
from xsns_stream.store import open_store
from xsns_stream.types import Provenance, SimilarityMatrix

if TYPE_CHECKING:
    from xsns_stream.models import LoadedModel

#: Draws events of baselines, for a number of rows.
Display: TypeAlias = Callable[[int], AbstractContextManager[Callable[[BaselineEvent], None]]]
#: Shows a line while a block runs.
Status: TypeAlias = Callable[[str], AbstractContextManager[Any]]

_TEXT_OPTIONS: Final = ("text_column", "split", "words", "config", "task", "labels_as_given", "label")
_MODEL_OPTIONS: Final = ("revision", "device", "dtype", "objective")
_PARAMETERS: Final = ("stack", "include", "exclude")
#: Fields of :class:`~xsns_stream.pipeline.model_baselines.BaselineSettings` that are options.
_SETTINGS: Final = (
    *("examples", "seeds", "batch", "max_length", "layer", "centre", "neighbour_layer", "neighbours", "max_tokens"),
    *("states", "merges", "token_reduction", "scratch"),
)
_OPTIONS: Final = (*_TEXT_OPTIONS, "corpus_revision", *_MODEL_OPTIONS, *_PARAMETERS, *_SETTINGS)
#: Conversions of options to Python's own numbers.
_CONVERSIONS: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    **dict.fromkeys(("examples", "batch", "max_length", "neighbours", "merges"), whole_number),
    "seeds": lambda seeds, name: as_seeds(seeds),
    "centre": flag,
}
#: How words are read, as the name of a corpus records it; corpora of older stores record nothing.
_WORDS: Final = re.compile(r"[(,] ?words=(running|given)(?=[,)])")
#: A corpus as provenance records it: `folder(ud, split=dev)`.
_CORPUS_NAME: Final = re.compile(r"(?P<kind>[\w-]+)(?:\((?P<rest>.*)\))?", re.DOTALL)


@dataclass(frozen=True)
class TextBaselines:
    """Baselines that were computed from text.

    Attributes:
        matrices: {name: matrix}, with the language codes of the pool.
        notes: Sentences on the model, the text, and languages that the corpus spells differently.
        failed: {row: error}.
        rows: Number of all rows, each a language under a seed.
        corpus: The corpus.
    """

    matrices: Mapping[str, SimilarityMatrix]
    notes: tuple[str, ...]
    failed: Mapping[Row, XsnsError]
    rows: int
    corpus: Corpus


def text_baselines(
    names: Sequence[str],
    pool: LanguagePool,
    texts: Any = "cldr",
    *,
    model: Any = "mini",
    tokenizer: Any = None,
    store: str | None = None,
    given: frozenset[str] = frozenset(),
    display: Display | None = None,
    status: Status = nullcontext,
    **options: Any,
) -> TextBaselines:
    """Compute baselines in one pass over the text.

    Args:
        names: Names of baselines from text.
        pool: The languages; those that the corpus lacks are left out.
        texts: As for :func:`xsns_stream.build`.
        model: As for :func:`xsns_stream.build`.
        tokenizer: As for :func:`xsns_stream.build`.
        store: Store whose text, model, examples and seeds are used.
        given: Names of the arguments that the user gave; the store replaces the others.
        display: Draws the events.
        status: Shows what is being loaded.
        **options: As for :func:`xsns_stream.baseline`.

    Raises:
        UsageError: An option is unknown, or differs from the store.
        XsnsError: The text or the model cannot be read, or fewer than two languages can be compared.
    """
    if unknown := next((name for name in options if name not in _OPTIONS), None):
        raise UsageError(f"baselines from text have no option '{unknown}'.", f"choose among {', '.join(_OPTIONS)}.")
    options = {
        name: _CONVERSIONS[name](value, name) if name in _CONVERSIONS else value for name, value in options.items()
    }
    model = os.fspath(model) if isinstance(model, os.PathLike) else model
    options |= {"texts": texts, "model": model, "tokenizer": tokenizer}
    stored = None
    if store is not None:
        stored = stored_text(store)
        options |= options_of_store(stored, options, given, names)
    corpus = open_corpus(
        options["texts"],
        revision=options.get("corpus_revision"),
        labels=None if stored is None else stored.labels,
        **{name: options[name] for name in _TEXT_OPTIONS if name in options},
    )
    chosen = _languages(pool, corpus.languages(), corpus.name, () if stored is None else stored.languages)
    settings = {name: options[name] for name in _SETTINGS if name in options}
    notes: list[str] = []
    if stored is not None:
        with status("comparing the text with the store's …"):
            notes = check_text(stored, corpus, chosen, settings["examples"], settings["seeds"])
    with status("loading the model …"):
        loaded, more = _load(names, options)
        if stored is not None:
            check_model(stored, loaded, names)
            if "grad-cosine" in names:
                more |= {"objective": objective_of(stored)}
    failed: dict[Row, XsnsError] = {}
    rows = len(chosen) * len(set(settings.get("seeds", (None,))))
    with display(rows) if display else nullcontext(lambda event: None) as draw:

        def notify(event: BaselineEvent) -> None:
            if isinstance(event, RowFailed):
                failed[event.row] = event.error
            draw(event)

        with _caller_modes_off(loaded):
            matrices = model_baselines(
                names,
                corpus,
                loaded,
                tuple(chosen),
                sources=_side(pool.sources, chosen),
                targets=_side(pool.targets, chosen),
                on_event=notify,
                **(settings | more),
            )
    spelling = [f"'{code}' is '{other}' in the corpus." for other, code in chosen.items() if other != code]
    return TextBaselines(
        {name: _renamed(matrix, chosen) for name, matrix in matrices.items()},
        (*(() if loaded is None else loaded.notes), *notes, *reading_notes(corpus), *spelling),
        failed,
        rows,
        corpus,
    )


def refuse_failures(computed: TextBaselines) -> None:
    """Raise an error where baselines lack some languages.

    Raises:
        PartialError: Some languages failed.
    """
    if not computed.failed:
        return
    first = next(iter(computed.failed.values()))
    names = ", ".join(dict.fromkeys(row.language for row in computed.failed))
    raise PartialError(
        f"{len(computed.failed)} of {computed.rows:,} {'row' if computed.rows == 1 else 'rows'} failed: {names}.",
        f"the others are done. The first: {first.message} {first.hint}".rstrip(),
    )


def _languages(pool: LanguagePool, known: Sequence[str], corpus: str, preferred: Sequence[str]) -> dict[str, str]:
    """Return {code in the corpus: code in the pool}, without the languages that the corpus lacks.

    Args:
        pool: The languages.
        known: Codes of the corpus.
        corpus: Its name, for messages.
        preferred: Codes of the corpus that are preferred for a language: where a store has `en-GB`, `en` stands for
            `en-GB`, and not for `en-US`.

    Raises:
        LanguageError: The corpus has fewer than two of the languages.
    """
    require_choice(pool, len(known), f"the corpus {corpus}")
    sources, targets = (known if side is None else side for side in (pool.sources, pool.targets))
    wanted = tuple(dict.fromkeys((*sources, *targets)))
    matches = {code: code for code in wanted if code in known}
    for candidates in ([code for code in known if code in preferred], known):
        free = [code for code in candidates if code not in matches.values()]
        matches |= counterparts([code for code in wanted if code not in matches], free)
    if len(matches) < 2:
        have = ", ".join(matches) or "none"
        raise LanguageError(
            f"the corpus {corpus} has {have} of the languages requested.",
            f"two are needed; `xsns-stream info --corpus {corpus}` lists what it has.",
        )
    return {matches[code]: code for code in wanted if code in matches}


def _side(wanted: Sequence[str] | None, chosen: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the corpus's codes of one side of the pool, in the order of the pool."""
    if wanted is None:
        return None
    in_corpus = {code: other for other, code in chosen.items()}
    return tuple(in_corpus[code] for code in wanted if code in in_corpus)


def _renamed(matrix: SimilarityMatrix, chosen: Mapping[str, str]) -> SimilarityMatrix:
    """Return the matrix with the codes of the pool."""
    return replace(
        matrix,
        sources=tuple(chosen[code] for code in matrix.sources),
        targets=tuple(chosen[code] for code in matrix.targets),
        record=None if matrix.record is None else matrix.record.renamed(chosen),
    )


# ------------------------------------------------------------------------------------------------------ the model


def _load(names: Sequence[str], options: dict[str, Any]) -> tuple[LoadedModel | None, dict[str, Any]]:
    """Load as much of the model as the baselines need, and return settings that follow from the model."""
    if not needs_weights(names):
        return (_tokenizer_alone(options), {}) if needs_tokenizer(names) else (None, {})
    from xsns_stream.models import longest_input, parameter_layout
    from xsns_stream.models.in_memory import open_model
    from xsns_stream.pipeline.build import check_length

    if options.get("objective", "auto") in TASKS:
        raise UsageError(
            f"baselines read no labels, which the objective {options['objective']} needs.",
            "omit --objective, or give one of language modelling.",
        )
    arguments = {name: options[name] for name in _MODEL_OPTIONS if name in options}
    loaded = open_model(options["model"], options["tokenizer"], **arguments)
    check_length(loaded, options.get("max_length", 128), longest_input(loaded.model, loaded.tokenizer))
    theta = {name: options[name] for name in _PARAMETERS if name in options}
    if "grad-cosine" not in names or not theta:
        return loaded, {}
    return loaded, {"layout": parameter_layout(loaded.model, **theta)}


def _caller_modes_off(loaded: LoadedModel | None) -> AbstractContextManager[None]:
    """Return a context that disables the caller's mixed precision; torch is imported only if it is needed."""
    if loaded is None or loaded.model is None:
        return nullcontext()
    from xsns_stream.fisher.model_state import caller_modes_off

    return caller_modes_off()


def _tokenizer_alone(options: dict[str, Any]) -> LoadedModel:
    """Load a tokenizer; the `model` of the result is None if only a name was given."""
    from xsns_stream.models.auto_classes import reads_both_ways
    from xsns_stream.models.hub import locate
    from xsns_stream.models.in_memory import open_model
    from xsns_stream.models.loading import LoadedModel, config_alone
    from xsns_stream.models.tokenizers import load_tokenizer, tokenizer_digest

    name = options["model"]
    if not isinstance(name, str):
        return open_model(name, options["tokenizer"])
    folder, commit = locate(name, options.get("revision"))
    config = config_alone(folder, name)
    tokenizer = load_tokenizer(folder, name)
    masked = reads_both_ways(config) and not config.is_encoder_decoder
    objective = "masked-lm" if masked else "causal-lm"
    return LoadedModel(None, tokenizer, name, commit, "", tokenizer_digest(tokenizer), objective, 0)


# ------------------------------------------------------------------------------------------- the text of a store


@dataclass(frozen=True)
class StoredText:
    """Text and model of a store, as its records describe them.

    Attributes:
        path: The store.
        shared: Provenance that all rows share.
        revision: Commit of a model on the Hub.
        languages: Codes of the rows.
        seeds: Seeds of the rows.
        digests: {(language, seed): digest of the examples}; empty digests where the store records none.
    """

    path: str
    shared: Provenance
    revision: str
    languages: tuple[str, ...]
    seeds: tuple[int, ...]
    digests: Mapping[tuple[str, int], str]

    @property
    def labels(self) -> str | None:
        """How labels of the corpus were read; None if the model predicts no labels."""
        return "auto" if self.shared.objective.partition("(")[0] in TASKS else None


def stored_text(path: str) -> StoredText:
    """Read which text and model a store was built from.

    Raises:
        StoreError: There is no store.
        UsageError: The store has no row.
    """
    rows = open_store(path)
    records = rows.records()
    if not records:
        raise UsageError(f"the store '{path}' has no row.", "build it first.")
    return StoredText(
        path,
        Provenance.from_json(rows.experiment),
        records[0].provenance.revision,
        tuple(dict.fromkeys(sorted(record.language for record in records))),
        tuple(sorted({record.seed for record in records})),
        {(record.language, record.seed): record.provenance.corpus_digest for record in records},
    )


def options_of_store(
    stored: StoredText, options: Mapping[str, Any], given: frozenset[str], names: Sequence[str]
) -> dict[str, Any]:
    """Return the options that follow from a store.

    Args:
        stored: The store.
        options: All options, with their defaults.
        given: Names of the options that the user gave.
        names: Names of the baselines.

    Raises:
        UsageError: Options differ from the store, or its text or model is a folder that is not here; one message names
            all of them.
    """
    wrong: list[str] = []
    hints: list[str] = []
    taken: dict[str, Any] = {}
    longest, words = max_length_of(stored.shared.objective), _WORDS.search(stored.shared.corpus)
    for name, option, value in (
        ("examples", "--examples", stored.shared.examples_asked),
        ("max_length", "--max-length", longest),
        ("words", "--words", words and words[1]),
    ):
        if not value:
            continue
        taken[name] = value
        if name in given and options.get(name) != value:
            wrong.append(f"{option} {options[name]} was given, and the store has {value}")
    seeds = options["seeds"] if "seeds" in given else stored.seeds
    taken["seeds"] = as_seeds(seeds)
    if others := [str(seed) for seed in taken["seeds"] if seed not in stored.seeds]:
        wrong.append(f"--seed {listed(others)} was given, and the store has {listed([*map(str, stored.seeds)])}")
    if wrong:
        hints.append("omit these options, or --store")
    for name, noun, option, located in (
        ("texts", "corpus", "--corpus", _corpus(stored.shared.corpus)),
        ("model", "model", "--model", _model(stored)),
    ):
        if name in given or (name == "model" and not needs_tokenizer(names)):
            continue
        if located is None:
            wrong.append(
                f"the {noun} of the store, '{visible(getattr(stored.shared, noun))}', cannot be found by its name"
            )
            hints.append(
                f"name it with {option} PATH, with the options that `build` had; it is compared with the store's"
            )
        else:
            taken |= located
    if wrong:
        raise UsageError(f"{'; '.join(wrong)}.", f"{'; '.join(hints)}.")
    return taken


def _corpus(name: str) -> dict[str, Any] | None:
    """Return the options that open a corpus by its recorded name; None if the name does not show its path."""
    parsed = _CORPUS_NAME.fullmatch(_WORDS.sub(lambda match: match[0][0], name).replace(",)", ")").replace("()", ""))
    if parsed is None:
        return None
    kind, rest = parsed["kind"], parsed["rest"] or ""
    if kind == "cldr" or (kind in RECIPES and not rest):
        return {"texts": (kind,)}
    if kind == "folder" and rest and Path(rest).is_dir():
        return {"texts": (rest if rest not in {"cldr", *RECIPES} else f"./{rest}",)}
    return None


def _model(stored: StoredText) -> dict[str, Any] | None:
    """Return the options that load the store's model; None if the model is a folder that does not exist here."""
    name = stored.shared.model
    if name == "mini" or (name and Path(name).is_dir()):
        return {"model": name}
    return {"model": name, "revision": stored.revision or None} if "/" in name else None


def check_text(
    stored: StoredText, corpus: Corpus, chosen: Mapping[str, str], examples: int, seeds: Sequence[int]
) -> list[str]:
    """Compare the text that a baseline would use with the text of a store, language by language.

    Args:
        stored: The store.
        corpus: The corpus of the baseline.
        chosen: {code in the corpus: code in the pool}.
        examples: Number of examples of a row.
        seeds: Seeds of the rows.

    Returns:
        Sentences on text that could not be compared.

    Raises:
        CorpusError: Some text differs; all languages are named.
    """
    differing: dict[str, None] = {}
    unknown: dict[str, None] = {}
    equal: dict[str, None] = {}
    for language in chosen:
        for seed in seeds:
            expected = stored.digests.get((language, seed))
            if not expected:
                unknown[language] = None
                continue
            try:
                digest = corpus.sample(language, examples, seed).digest
            except XsnsError:
                # The baseline reads the text again, and reports the error of this language.
                continue
            (equal if digest == expected else differing)[language] = None
    if differing:
        raise CorpusError(
            f"the text of {all_listed([*differing])} is not the text that the store '{stored.path}' was built from: "
            f"{len(differing)} of {len(differing.keys() | equal.keys())} languages differ. The corpus is "
            f"'{visible(corpus.name)}' here, and '{visible(stored.shared.corpus)}' in the store.",
            "name the corpus, and how it is read, as for `build`; or build the store again from this text.",
        )
    notes = []
    if corpus.name != stored.shared.corpus:
        notes.append(
            f"the corpus is '{visible(corpus.name)}' here, and '{visible(stored.shared.corpus)}' in the store; the "
            "text is the same."
        )
    if unknown:
        notes.append(f"the store '{stored.path}' records no text of {listed([*unknown])}: it was not compared.")
    if stored.shared.stopping:
        notes.append(
            f"the rows of the store may have used fewer examples than were drawn ({stored.shared.stopping}); the "
            "baseline uses all examples."
        )
    return notes


def check_model(stored: StoredText, loaded: LoadedModel | None, names: Sequence[str]) -> None:
    """Compare a model with the model of a store.

    Args:
        stored: The store.
        loaded: The model, or only its tokenizer; None if the baselines need neither.
        names: Names of the baselines.

    Raises:
        ModelError: Weights or tokenizer differ.
    """
    if loaded is None:
        return
    pairs = [("tokenizer", loaded.tokenizer_digest, stored.shared.tokenizer_digest)]
    if needs_weights(names):
        pairs.append(("weights", loaded.weights_digest, stored.shared.weights_digest))
    differing = [part for part, here, there in pairs if here and there and here != there]
    if differing:
        raise ModelError(
            f"the model '{visible(loaded.name)}' is not the model of the store '{stored.path}', which is "
            f"'{visible(stored.shared.model)}': {' and '.join(differing)} differ.",
            "name the model of the build with --model.",
        )


def objective_of(stored: StoredText) -> Objective:
    """Return the objective of the store's rows, for grad-cosine.

    Raises:
        UsageError: It is a task, and baselines read no labels.
    """
    text = stored.shared.objective
    name = text.partition("(")[0]
    if name in TASKS:
        raise UsageError(
            f"the model of the store predicts {name}, and grad-cosine cannot, because baselines read no labels.",
            "choose another baseline, or omit --store.",
        )
    rate, mean_span = (re.search(rf"{key}=([0-9.e+-]+)", text) for key in ("rate", "mean_span"))
    return make_objective(
        name,
        rate=float(rate[1]) if rate else None,
        mean_span=float(mean_span[1]) if mean_span else None,
        max_length=max_length_of(text),
    )
