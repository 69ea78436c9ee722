"""Description of the text and model of a store, for baselines from the same text and model."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xsns_stream.corpora import Corpus
from xsns_stream.corpora.file_names import StoredLabels
from xsns_stream.errors import CorpusError, ModelError, UsageError, XsnsError
from xsns_stream.io.escaping import visible
from xsns_stream.io.tables import all_listed, listed
from xsns_stream.models.auto_classes import TASKS
from xsns_stream.objectives import Objective, make_objective
from xsns_stream.pipeline.model_baselines import needs_tokenizer, needs_weights
from xsns_stream.pipeline.row_selection import as_seeds, max_length_of
from xsns_stream.pipeline.store_settings import TEXT_OPTIONS, WORDS_IN_NAME, StoreSettings, settings_of_store
from xsns_stream.store import open_store
from xsns_stream.types import Provenance

if TYPE_CHECKING:
    from xsns_stream.models import LoadedModel


@dataclass(frozen=True)
class StoredText:
    """Description of the text and the model of a store, from its records.

    Attributes:
        path: Path or URL of the store.
        shared: Provenance that all rows share.
        revision: Commit of the model on the Hub; empty for other models.
        languages: Labels of the rows.
        seeds: Seeds of the rows.
        digests: {(label, seed): digest of the examples of the row}; a digest is empty if the store has not recorded
            it. If a row was relabelled, its former labels are keys too.
        settings: Location of the text and the model, and the options that the text was read with.
        former: {label of a relabelled row: its former labels, except those that another row has now, newest first}.
    """

    path: str
    shared: Provenance
    revision: str
    languages: tuple[str, ...]
    seeds: tuple[int, ...]
    digests: Mapping[tuple[str, int], str]
    settings: StoreSettings
    former: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def labels(self) -> str | None:
        """The kind of labels of the corpus; None if the model predicts no labels."""
        return "auto" if self.shared.objective.partition("(")[0] in TASKS else None


def stored_text(path: str) -> StoredText:
    """Return the description of the text and the model of a store.

    Raises:
        StoreError: The store does not exist.
        UsageError: The store has no row.
    """
    rows = open_store(path)
    records = rows.records()
    settings = settings_of_store(rows)
    if settings is None:
        raise UsageError(f"the store '{path}' has no row.", "build it first.")
    languages = tuple(dict.fromkeys(sorted(record.language for record in records)))
    former = {record.language: record.provenance.former_labels for record in records}
    digests = {(record.language, record.seed): record.provenance.corpus_digest for record in records}
    for record in records:
        # The text of a relabelled row has its former label in the corpus.
        for label in record.provenance.former_labels:
            digests.setdefault((label, record.seed), record.provenance.corpus_digest)
    return StoredText(
        path,
        Provenance.from_json(rows.experiment),
        records[0].provenance.revision,
        languages,
        tuple(sorted({record.seed for record in records})),
        digests,
        settings,
        {label: tuple(each for each in reversed(names) if each not in languages) for label, names in former.items()},
    )


def options_of_store(
    stored: StoredText, options: Mapping[str, Any], given: frozenset[str], names: Sequence[str]
) -> dict[str, Any]:
    """Return the options of baselines, with the values that the store determines.

    Args:
        stored: The description of the store.
        options: All options, with their defaults.
        given: Names of the options that the user gave.
        names: Names of the baselines.

    Raises:
        UsageError: Options that the user gave differ from the store, or the text or model of the store cannot be
            found; one message names all problems.
    """
    wrong: list[str] = []
    hints: list[str] = []
    taken: dict[str, Any] = {}
    longest, words = max_length_of(stored.shared.objective), WORDS_IN_NAME.search(stored.shared.corpus)
    for name, option, value in (
        ("examples", "--examples", stored.shared.examples_asked),
        ("max_length", "--max-length", longest),
        ("words", "--words", words and words[1]),
    ):
        if not value:
            continue
        taken[name] = value
        if name in given and options.get(name) != value:
            wrong.append(f"{option} {options[name]} was given, but the store has {value}")
    seeds = options["seeds"] if "seeds" in given else stored.seeds
    taken["seeds"] = as_seeds(seeds)
    if others := [str(seed) for seed in taken["seeds"] if seed not in stored.seeds]:
        wrong.append(f"--seed {listed(others)} was given, but the store has {listed([*map(str, stored.seeds)])}")
    if wrong:
        hints.append("omit these options, or --store")
    for name, noun, option, located in (
        ("texts", "corpus", "--corpus", _corpus(stored, given)),
        ("model", "model", "--model", _model(stored)),
    ):
        if name in given or (name == "model" and not needs_tokenizer(names)):
            continue
        if located is None:
            wrong.append(
                f"the {noun} of the store, '{visible(getattr(stored.shared, noun))}', is not where it was, or the "
                "store does not record where it was"
            )
            hints.append(
                f"name it with {option} PATH, with the options of `build`; it is compared with that of the store"
            )
        else:
            taken |= located
    if wrong:
        raise UsageError(f"{'; '.join(wrong)}.", f"{'; '.join(hints)}.")
    return taken


def _corpus(stored: StoredText, given: frozenset[str]) -> dict[str, Any] | None:
    """Return the options that open the corpus of a store; None if the location of the corpus is not known."""
    texts, recorded = stored.settings.texts, stored.settings.options
    if texts is None:
        return None
    taken = {name: recorded[name] for name in TEXT_OPTIONS if name in recorded and name not in given}
    if "label" in taken:
        taken["label"] = StoredLabels.of(taken["label"])
    return {"texts": texts} | taken


def _model(stored: StoredText) -> dict[str, Any] | None:
    """Return the options that load the model of a store; None if the location of the model is not known."""
    name = stored.settings.model
    if name is None or name == "mini" or Path(name).is_dir():
        return None if name is None else {"model": name}
    return {"model": name, "revision": stored.revision or None}


def check_text(
    stored: StoredText, corpus: Corpus, chosen: Mapping[str, str], examples: int, seeds: Sequence[int]
) -> list[str]:
    """Compare the text of a baseline with the text of a store, language by language.

    Args:
        stored: The description of the store.
        corpus: The corpus of the baseline.
        chosen: {code in the corpus: requested code}.
        examples: Number of examples to draw for a row.
        seeds: Seeds of the rows.

    Returns:
        Notes: a different name of the corpus, languages whose text could not be compared, and rows that may have used
        fewer examples.

    Raises:
        CorpusError: The text of some languages differs; the message names these languages.
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
                # The baseline will read the text again and report the error of this language.
                continue
            (equal if digest == expected else differing)[language] = None
    if differing:
        raise CorpusError(
            f"the text of {all_listed([*differing])} is not the text that the store '{stored.path}' was built from: "
            f"{len(differing)} of {len(differing.keys() | equal.keys())} languages differ. The corpus is "
            f"'{visible(corpus.name)}' here, and '{visible(stored.shared.corpus)}' in the store.",
            "give the corpus and the options of reading as for `build`, or build the store again from this text.",
        )
    notes = []
    if corpus.name != stored.shared.corpus:
        notes.append(
            f"the corpus is '{visible(corpus.name)}' here, and '{visible(stored.shared.corpus)}' in the store; the "
            "text is the same."
        )
    if unknown:
        notes.append(
            f"the store '{stored.path}' has no record of the text of {listed([*unknown])}; this text was not compared."
        )
    if stored.shared.stopping:
        notes.append(
            f"the build of the store finished rows early if they were stable ({stored.shared.stopping}); the baseline "
            "uses all examples that were drawn."
        )
    return notes


def check_model(stored: StoredText, loaded: LoadedModel | None, names: Sequence[str]) -> None:
    """Check that a model is the model of a store.

    Args:
        stored: The description of the store.
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
    """Return the training objective of the store's rows, which the baseline grad-cosine uses too.

    Raises:
        UsageError: The objective is a task, and baselines do not read labels.
    """
    text = stored.shared.objective
    name = text.partition("(")[0]
    if name in TASKS:
        raise UsageError(
            f"the objective of the store is {name}, which grad-cosine does not support, because baselines do not "
            f"read labels.",
            "choose another baseline, or omit --store.",
        )
    rate, mean_span, share = (re.search(rf"{key}=([0-9.e+-]+)", text) for key in ("rate", "mean_span", "scored_share"))
    return make_objective(
        name,
        rate=float(rate[1]) if rate else None,
        mean_span=float(mean_span[1]) if mean_span else None,
        max_length=max_length_of(text),
        scored_share=float(share[1]) if share else None,
    )
