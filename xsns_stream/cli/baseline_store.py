"""`--store` of the baselines that are made from text: the same model, text, examples, seeds and lengths as a store."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from xsns_stream.cli.option_groups import Options
from xsns_stream.cli.output import lasting
from xsns_stream.errors import CorpusError, ModelError, UsageError, XsnsError
from xsns_stream.io.escaping import visible
from xsns_stream.io.tables import all_listed, listed
from xsns_stream.pipeline.row_selection import max_length_of

if TYPE_CHECKING:
    from xsns_stream.corpora import Corpus
    from xsns_stream.models import LoadedModel
    from xsns_stream.types import Provenance

#: How a corpus that is split into words is read, as its name says it; the authors' way where an older store is silent.
_WORDS: Final = re.compile(r"[(,] ?words=(running|given)(?=[,)])")
#: A corpus as provenance has it: `folder(ud, split=dev)`.
_CORPUS_NAME: Final = re.compile(r"(?P<kind>[\w-]+)(?:\((?P<rest>.*)\))?", re.DOTALL)


def same_as_option(option: Options) -> Any:
    """Return the option `--store`; the verb receives `store`."""
    return option(
        "--store",
        default=None,
        metavar="PATH",
        callback=lasting,
        help="Take model, text, number of examples, seeds and longest example from this store of sub-networks, and "
        "check that the text is the same. A folder of text, or of a model, is named by --corpus or --model.",
    )


@dataclass(frozen=True)
class StoredText:
    """What a store says of its rows.

    Attributes:
        path: The store.
        shared: What all rows have in common.
        revision: Of the model, where it is one of the Hub.
        languages: Codes of its rows.
        seeds: Seeds of its rows.
        digests: {(language, seed): digest of the examples}; empty digests where the store does not know them.
    """

    path: str
    shared: Provenance
    revision: str
    languages: tuple[str, ...]
    seeds: tuple[int, ...]
    digests: Mapping[tuple[str, int], str]

    @property
    def labels(self) -> str | None:
        """How the corpus was read: with labels, where the model was asked for a task."""
        from xsns_stream.models.auto_classes import TASKS

        return "auto" if self.shared.objective.partition("(")[0] in TASKS else None


def stored_text(path: str) -> StoredText:
    """Read what a store says of its rows.

    Raises:
        StoreError: There is no such store.
        UsageError: It has no row.
    """
    from xsns_stream.cli.selection import open_rows
    from xsns_stream.types import Provenance

    rows = open_rows(path)
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


def with_store(options: dict[str, Any], names: Sequence[str]) -> tuple[dict[str, Any], StoredText | None]:
    """Return the options with what the store says in place of defaults.

    Args:
        options: Of the verb, with `store`.
        names: The baselines that are asked for.

    Raises:
        UsageError: An option was given that differs from the store; or the store's text or model is a folder that is
            not here. All of these are in one message.
    """
    if options.get("store") is None:
        return options, None
    stored = stored_text(options["store"])
    given = _given()
    wrong: list[str] = []
    hints: list[str] = []
    taken: dict[str, Any] = {}
    longest, how = max_length_of(stored.shared.objective), _WORDS.search(stored.shared.corpus)
    for name, option, value in (
        ("examples", "--examples", stored.shared.examples_asked),
        ("max_length", "--max-length", longest),
        ("words", "--words", how and how[1]),
    ):
        if not value or name not in options:
            continue
        taken[name] = value
        if name in given and options[name] != value:
            wrong.append(f"{option} {options[name]} was given, and the store has {value}")
    taken["seeds"] = tuple(dict.fromkeys(options["seeds"])) if "seeds" in given else stored.seeds
    if foreign := [str(seed) for seed in taken["seeds"] if seed not in stored.seeds]:
        wrong.append(f"--seed {listed(foreign)} was given, and the store has {listed([*map(str, stored.seeds)])}")
    if wrong:
        hints.append("leave these options out, or --store")
    for name, option, found in (
        ("corpus", "--corpus", _corpus(stored.shared.corpus)),
        ("model", "--model", _model(stored)),
    ):
        if name in given or name not in options or (name == "model" and tuple(names) == ("sue",)):
            continue
        if found is None:
            wrong.append(f"the {name} of the store, '{visible(getattr(stored.shared, name))}', is not here by name")
            hints.append(
                f"name it with {option} PATH, with the options that `build` had; it is compared with the store's"
            )
        else:
            taken |= found
    if wrong:
        raise UsageError(f"{'; '.join(wrong)}.", f"{'; '.join(hints)}.")
    return options | taken, stored


def _given() -> frozenset[str]:
    """Return the names of the options that stand on the command line."""
    context = click.get_current_context()
    return frozenset(
        name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    )


def _corpus(name: str) -> dict[str, Any] | None:
    """Return the options that open a corpus by its recorded name; None where the name does not say where it is."""
    from xsns_stream.corpora.recipes import RECIPES

    parsed = _CORPUS_NAME.fullmatch(_WORDS.sub(lambda found: found[0][0], name).replace(",)", ")").replace("()", ""))
    if parsed is None:
        return None
    kind, rest = parsed["kind"], parsed["rest"] or ""
    if kind == "cldr" or (kind in RECIPES and not rest):
        return {"corpus": (kind,)}
    if kind == "folder" and rest and Path(rest).is_dir():
        return {"corpus": (rest if rest not in {"cldr", *RECIPES} else f"./{rest}",)}
    return None


def _model(stored: StoredText) -> dict[str, Any] | None:
    """Return the options that load the store's model; None for a folder that is not here."""
    name = stored.shared.model
    if name == "mini" or (name and Path(name).is_dir()):
        return {"model": name}
    return {"model": name, "revision": stored.revision or None} if "/" in name else None


def check_text(stored: StoredText, corpus: Corpus, chosen: Mapping[str, str], options: Mapping[str, Any]) -> list[str]:
    """Compare the text that would be drawn with the store's, language by language.

    Args:
        stored: What the store says.
        corpus: Where the text comes from now.
        chosen: {code in the corpus: code that was asked for}.
        options: With `examples` and `seeds`.

    Returns:
        Sentences on what could not be compared.

    Raises:
        CorpusError: Some text is not that of the store; all languages are named.
    """
    differing: dict[str, None] = {}
    unknown: dict[str, None] = {}
    compared: dict[str, None] = {}
    for language in chosen:
        for seed in options["seeds"]:
            expected = stored.digests.get((language, seed))
            if not expected:
                unknown[language] = None
                continue
            try:
                found = corpus.sample(language, options["examples"], seed).digest
            except XsnsError:
                # The baseline reads it again, and says what is wrong with this language.
                continue
            (compared if found == expected else differing)[language] = None
    if differing:
        raise CorpusError(
            f"the text of {all_listed([*differing])} is not the text that the store '{stored.path}' was built on: "
            f"{len(differing)} of {len(differing.keys() | compared.keys())} languages differ. The corpus is "
            f"'{visible(corpus.name)}' here, and '{visible(stored.shared.corpus)}' in the store.",
            "name the corpus, and how it is read, as for `build`; or build the store anew from this text.",
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
            f"the store's rows may have used fewer examples than were drawn ({stored.shared.stopping}); the baseline "
            "uses all."
        )
    return notes


def check_model(stored: StoredText, loaded: LoadedModel | None, names: Sequence[str]) -> None:
    """Compare the model with the store's.

    Args:
        stored: What the store says.
        loaded: The model, or its tokenizer alone; None where none is needed.
        names: The baselines that are asked for.

    Raises:
        ModelError: Weights or tokenizer are not the store's.
    """
    from xsns_stream.pipeline.model_baselines import NEED_WEIGHTS

    if loaded is None:
        return
    pairs = [("tokenizer", loaded.tokenizer_digest, stored.shared.tokenizer_digest)]
    if any(name in NEED_WEIGHTS for name in names):
        pairs.append(("weights", loaded.weights_digest, stored.shared.weights_digest))
    differ = [what for what, here, there in pairs if here and there and here != there]
    if differ:
        raise ModelError(
            f"the model '{visible(loaded.name)}' is not the one of the store '{stored.path}', which is "
            f"'{visible(stored.shared.model)}': {' and '.join(differ)} differ.",
            "name the model of the build with --model.",
        )


def objective_of(stored: StoredText) -> Any:
    """Return the objective that the store's model was asked, for grad-cosine.

    Raises:
        UsageError: It is a task: baselines read no labels.
    """
    from xsns_stream.models.auto_classes import TASKS
    from xsns_stream.objectives import make_objective

    text = stored.shared.objective
    name = text.partition("(")[0]
    if name in TASKS:
        raise UsageError(
            f"the store's model was asked for {name}, and grad-cosine does not ask for it: baselines read no labels.",
            "choose another baseline, or leave --store out.",
        )
    rate, mean_span = (re.search(rf"{key}=([0-9.e+-]+)", text) for key in ("rate", "mean_span"))
    return make_objective(
        name,
        rate=float(rate[1]) if rate else None,
        mean_span=float(mean_span[1]) if mean_span else None,
        max_length=max_length_of(text),
    )
