"""How a baseline that is made from text is run from the command line: load, compute, draw progress, tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.cli.baseline_options import Pool, check_outputs, finish, pool_of, require_few
from xsns_stream.cli.baseline_store import check_model, check_text, objective_of, with_store
from xsns_stream.cli.option_groups import corpus_json, open_from
from xsns_stream.cli.output import counted, note, stderr_console
from xsns_stream.errors import LanguageError, PartialError, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from xsns_stream.cli.progress import BuildProgress
    from xsns_stream.errors import XsnsError
    from xsns_stream.models import LoadedModel
    from xsns_stream.pipeline.events import Row
    from xsns_stream.types import SimilarityMatrix

#: Stands for the layer's number in the name of a file.
LAYER_FIELD: Final = "{layer}"
#: Options that are settings by the same name.
_SETTINGS: Final = (
    "examples",
    "seeds",
    "batch",
    "max_length",
    "layer",
    "centre",
    "neighbour_layer",
    "neighbours",
    "max_tokens",
    "states",
    "merges",
    "token_reduction",
    "scratch",
)


@dataclass(frozen=True)
class Computed:
    """Baselines made from text.

    Attributes:
        matrices: {name: matrix}, languages as they were asked for.
        notes: Sentences on languages that the corpus spells otherwise.
        failed: What went wrong, by language and seed.
        rows: How many of these there were in all.
        files: What the JSON says of the corpus's files.
    """

    matrices: Mapping[str, SimilarityMatrix]
    notes: tuple[str, ...]
    failed: Mapping[Row, XsnsError]
    rows: int
    files: Mapping[str, Any] = field(default_factory=dict)


def run(name: str, options: dict[str, Any]) -> None:
    """Compute the baseline `name`, write and print it.

    Raises:
        PartialError: It is done, but not for every language.
        XsnsError: It cannot be computed.
    """
    every = options.get("layer") == "all"
    outputs, quiet = options["outputs"], options["quiet"]
    _check_files(outputs, every)
    pool = pool_of(options)
    computed = compute((name,), options, pool, quiet)
    if every:
        _write_layers(computed.matrices, outputs, quiet)
    told = [
        {"language": row.language, "seed": row.seed, "error": error.message, "hint": error.hint}
        for row, error in computed.failed.items()
    ]
    layers = {key.removeprefix("emb-"): matrix.values.tolist() for key, matrix in computed.matrices.items()}
    finish(
        list(computed.matrices.values())[-1],
        pool,
        () if every else outputs,
        as_json=options["as_json"],
        quiet=quiet,
        notes=computed.notes,
        more={"failed": told} | dict(computed.files) | ({"layers": layers} if every else {}),
    )
    refuse_failures(computed)


def compute(names: Sequence[str], options: dict[str, Any], pool: Pool, quiet: bool) -> Computed:
    """Compute baselines in one pass over the text that the options name.

    Args:
        names: Of the baselines that are made from text.
        options: Of the corpus, of the model where one is needed, and those of the baselines that are to differ from
            their defaults.
        pool: Which languages; what the corpus does not have is left out.
        quiet: Draw no progress.

    Raises:
        XsnsError: The corpus or the model cannot be read, or fewer than two languages can be compared.
    """
    from xsns_stream.corpora import reading_notes
    from xsns_stream.pipeline.model_baselines import model_baselines

    options, stored = with_store(options, names)
    corpus = open_from(options, labels=None if stored is None else stored.labels)
    chosen = _chosen(pool, corpus.languages(), corpus.name, () if stored is None else stored.languages)
    console = stderr_console(quiet)
    compared: list[str] = []
    if stored is not None:
        with console.status("comparing the text with the store's …"):
            compared = check_text(stored, corpus, chosen, options)
    settings: dict[str, Any] = {key: options[key] for key in _SETTINGS if key in options}
    with console.status("loading the model …"):
        loaded, more = _loaded(names, options)
        if stored is not None:
            check_model(stored, loaded, names)
            if "grad-cosine" in names:
                more = more | {"objective": objective_of(stored)}
    failed: dict[Row, XsnsError] = {}
    rows = len(chosen) * len(set(options["seeds"]))
    with _progress(console, rows, failed) as progress:
        tell: Callable[[Any], None] = progress
        found = model_baselines(
            names,
            corpus,
            loaded,
            tuple(chosen),
            sources=_side(pool.sources, chosen),
            targets=_side(pool.targets, chosen),
            on_event=tell,
            **(settings | more),
        )
    matrices = {key: _renamed(matrix, chosen) for key, matrix in found.items()}
    loaded_notes = () if loaded is None else loaded.notes
    notes = tuple(f"'{code}' is '{other}' in the corpus." for other, code in chosen.items() if other != code)
    said = (*loaded_notes, *compared, *reading_notes(corpus), *notes)
    return Computed(matrices, said, failed, rows, corpus_json(corpus))


def refuse_failures(computed: Computed) -> None:
    """End with the exit code of work that is done for some languages only, where it is.

    Raises:
        PartialError: So it is.
    """
    if not computed.failed:
        return
    first = next(iter(computed.failed.values()))
    names = ", ".join(dict.fromkeys(row.language for row in computed.failed))
    raise PartialError(
        f"{len(computed.failed)} of {counted(computed.rows, 'row')} failed: {names}.",
        f"the others are done. The first: {first.message} {first.hint}".rstrip(),
    )


def _loaded(names: Sequence[str], options: dict[str, Any]) -> tuple[LoadedModel | None, dict[str, Any]]:
    """Load as much of the model as the baselines need, with the settings that follow from it."""
    from xsns_stream.pipeline.model_baselines import NEED_WEIGHTS

    if any(name in NEED_WEIGHTS for name in names):
        return with_weights(options)
    return (tokenizer_alone(options), {}) if "lex" in names else (None, {})


def with_weights(options: dict[str, Any]) -> tuple[LoadedModel, dict[str, Any]]:
    """Load a model, and for grad-cosine what it is asked and the parameters that are measured."""
    from xsns_stream.cli.option_groups import load
    from xsns_stream.models import longest_input, parameter_layout
    from xsns_stream.models.auto_classes import TASKS

    if options["objective"] in TASKS:
        raise UsageError(
            f"baselines do not ask for {options['objective']}: they read no labels.",
            "leave --objective out, or name one of language modelling.",
        )
    loaded = load(options)
    longest = longest_input(loaded.model, loaded.tokenizer)
    if options["max_length"] > longest:
        raise UsageError(
            f"the model '{loaded.name}' takes at most {longest} pieces, not {options['max_length']}.",
            f"give `--max-length {longest}` or less.",
        )
    theta = options.get("theta")
    return loaded, {} if theta is None else {"layout": parameter_layout(loaded.model, **theta)}


def tokenizer_alone(options: dict[str, Any]) -> LoadedModel:
    """Load a tokenizer without its model, which is None."""
    from xsns_stream.models.auto_classes import reads_both_ways
    from xsns_stream.models.huggingface import locate
    from xsns_stream.models.loading import LoadedModel, config_alone
    from xsns_stream.models.tokenizers import load_tokenizer, tokenizer_digest

    name = options["model"]
    folder, commit = locate(name, options["revision"])
    config = config_alone(folder, name)
    tokenizer = load_tokenizer(folder, name)
    masked = reads_both_ways(config) and not config.is_encoder_decoder
    objective = "masked-lm" if masked else "causal-lm"
    return LoadedModel(None, tokenizer, name, commit, "", tokenizer_digest(tokenizer), objective, 0)


# --------------------------------------------------------------------------------------------- the parts


def _check_files(outputs: Sequence[str], every: bool) -> None:
    """Refuse files that cannot be written, and layers that would overwrite one another."""
    for path in outputs:
        if every and LAYER_FIELD not in path:
            raise UsageError(f"every layer would be written to '{path}'.", f"put {LAYER_FIELD} into the name.")
    check_outputs([path.replace(LAYER_FIELD, "0") if every else path for path in outputs])


def _chosen(pool: Pool, known: Sequence[str], corpus: str, first: Sequence[str] = ()) -> dict[str, str]:
    """Return {code in the corpus: code as it was asked for}; what the corpus does not have is told at the end.

    Args:
        pool: What was asked for.
        known: Codes of the corpus.
        corpus: Its name, for messages.
        first: Codes of the corpus that are taken before others for one language: where a store has `en-GB`, `en` is
            `en-GB`, and not `en-US`.

    Raises:
        LanguageError: It has fewer than two of them.
    """
    from xsns_stream.languages import counterparts

    require_few(pool, len(known), f"the corpus {corpus}")
    sides = [known if side is None else side for side in (pool.sources, pool.targets)]
    asked = tuple(dict.fromkeys((*sides[0], *sides[1])))
    found = {code: code for code in asked if code in known}
    for some in ([code for code in known if code in first], known):
        free = [code for code in some if code not in found.values()]
        found |= counterparts([code for code in asked if code not in found], free)
    if len(found) < 2:
        have = ", ".join(found) or "none"
        raise LanguageError(
            f"the corpus {corpus} has {have} of the languages that were asked for.",
            f"two are needed; `xsns-stream info --corpus {corpus}` lists what it has.",
        )
    return {found[code]: code for code in asked if code in found}


def _side(wanted: Sequence[str] | None, chosen: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the corpus's codes of one side, in the order of asking."""
    if wanted is None:
        return None
    spelt = {asked: code for code, asked in chosen.items()}
    return tuple(spelt[code] for code in wanted if code in spelt)


def _progress(console: Console, rows: int, failed: dict[Row, XsnsError]) -> BuildProgress:
    """Return what draws events, and keeps what failed."""
    from xsns_stream.cli.progress import BuildProgress
    from xsns_stream.pipeline.events import RowFailed
    from xsns_stream.pipeline.model_baselines import NeighboursFound, RowMeasured

    class Progress(BuildProgress):
        """A build's progress, for rows that are not stored."""

        def __call__(self, event: Any) -> None:
            """Draw one event."""
            if isinstance(event, RowFailed):
                failed[event.row] = event.error
            if isinstance(event, NeighboursFound):
                what = f"neighbours (seed {event.seed}) {event.count:,}/{event.total:,} tokens"
                self.bar.update(self.task, description=what)
            elif isinstance(event, RowMeasured):
                self._advance()
                if not self.console.is_terminal:
                    where = f"[{self.done}/{self.rows}] {event.row.language} (seed {event.row.seed})"
                    self._say(f"{where}: {counted(event.examples, 'example')}, {event.seconds:.1f} s")
            else:
                super().__call__(event)

    return Progress(console, rows)


def _renamed(matrix: SimilarityMatrix, chosen: Mapping[str, str]) -> SimilarityMatrix:
    """Return the matrix with its languages called as they were asked for."""
    return replace(
        matrix,
        sources=tuple(chosen[code] for code in matrix.sources),
        targets=tuple(chosen[code] for code in matrix.targets),
        record=None if matrix.record is None else matrix.record.renamed(chosen),
    )


def _write_layers(matrices: Mapping[str, SimilarityMatrix], outputs: Sequence[str], quiet: bool) -> None:
    from xsns_stream.report import write_matrix

    for path in outputs:
        for key, matrix in matrices.items():
            written = path.replace(LAYER_FIELD, key.removeprefix("emb-"))
            write_matrix(matrix, written)
            note(f"wrote {written}", quiet)
