"""How a baseline that is made from text is run from the command line: load, compute, draw progress, tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.cli.baseline_options import Pool, check_outputs, finish, pool_of, require_few
from xsns_stream.cli.common import counted, note, stderr_console
from xsns_stream.cli.corpus_options import open_from
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
#: Loads what a baseline needs of a model, with the settings that follow from it.
Load = Callable[[dict[str, Any]], "tuple[LoadedModel, dict[str, Any]]"]


def run(name: str, options: dict[str, Any], load: Load | None) -> None:
    """Compute the baseline `name`, write and print it.

    Raises:
        PartialError: It is done, but not for every language.
        XsnsError: It cannot be computed.
    """
    every = options.get("layer") == "all"
    _check_files(options["outputs"], every)
    pool = pool_of(options)
    corpus = open_from(options)
    chosen = _chosen(pool, corpus.languages(), corpus.name)
    found, failed = _compute(name, options, load, corpus, pool, chosen)
    matrices = {key: _renamed(matrix, chosen) for key, matrix in found.items()}
    if every:
        _write_layers(matrices, options["outputs"], options["quiet"])
    told = [
        {"language": row.language, "seed": row.seed, "error": error.message, "hint": error.hint}
        for row, error in failed.items()
    ]
    layers = {"layers": {key.removeprefix("emb-"): matrix.values.tolist() for key, matrix in matrices.items()}}
    finish(
        list(matrices.values())[-1],
        pool,
        () if every else options["outputs"],
        as_json=options["as_json"],
        quiet=options["quiet"],
        notes=[f"'{code}' is '{other}' in the corpus." for other, code in chosen.items() if other != code],
        more={"failed": told} | (layers if every else {}),
    )
    _refuse_failures(failed, len(chosen) * len(set(options["seeds"])))


def with_weights(options: dict[str, Any]) -> tuple[LoadedModel, dict[str, Any]]:
    """Load a model, and for grad-cosine what it is asked and the parameters that are measured."""
    from xsns_stream.cli.model_options import load
    from xsns_stream.models import longest_input, parameter_layout
    from xsns_stream.models.objectives import TASKS

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


def tokenizer_alone(options: dict[str, Any]) -> tuple[LoadedModel, dict[str, Any]]:
    """Load a tokenizer without its model, which is None."""
    from transformers import AutoConfig

    from xsns_stream.errors import ModelError
    from xsns_stream.models.files import first_line, locate
    from xsns_stream.models.loading import LoadedModel
    from xsns_stream.models.objectives import reads_both_ways
    from xsns_stream.models.tokenizers import load_tokenizer, tokenizer_digest

    name = options["model"]
    folder, commit = locate(name, options["revision"])
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        # transformers raises many types for files that are missing, cut short or of another kind.
        raise ModelError(
            f"the configuration of model '{name}' cannot be read: {first_line(error)}",
            "the folder needs config.json beside the tokenizer.",
        ) from error
    tokenizer = load_tokenizer(folder, name)
    masked = reads_both_ways(config) and not config.is_encoder_decoder
    objective = "masked-lm" if masked else "causal-lm"
    return LoadedModel(None, tokenizer, name, commit, "", tokenizer_digest(tokenizer), objective, 0), {}


# --------------------------------------------------------------------------------------------- the parts


def _check_files(outputs: Sequence[str], every: bool) -> None:
    """Refuse files that cannot be written, and layers that would overwrite one another."""
    for path in outputs:
        if every and LAYER_FIELD not in path:
            raise UsageError(f"every layer would be written to '{path}'.", f"put {LAYER_FIELD} into the name.")
    check_outputs([path.replace(LAYER_FIELD, "0") if every else path for path in outputs])


def _chosen(pool: Pool, known: Sequence[str], corpus: str) -> dict[str, str]:
    """Return {code in the corpus: code as it was asked for}; what the corpus does not have is told at the end.

    Raises:
        LanguageError: It has fewer than two of them.
    """
    from xsns_stream.languages import counterparts

    require_few(pool, len(known), f"the corpus {corpus}")
    sides = [known if side is None else side for side in (pool.sources, pool.targets)]
    asked = tuple(dict.fromkeys((*sides[0], *sides[1])))
    found = counterparts(asked, known)
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


def _compute(
    name: str, options: dict[str, Any], load: Load | None, corpus: Any, pool: Pool, chosen: Mapping[str, str]
) -> tuple[dict[str, SimilarityMatrix], dict[Row, XsnsError]]:
    from xsns_stream.pipeline.baselines import model_baselines

    console = stderr_console(options["quiet"])
    settings: dict[str, Any] = {key: options[key] for key in _SETTINGS if key in options}
    loaded = None
    if load is not None:
        with console.status("loading the model …"):
            loaded, more = load(options)
        settings |= more
    failed: dict[Row, XsnsError] = {}
    with _progress(console, len(chosen) * len(set(options["seeds"])), failed) as progress:
        tell: Callable[[Any], None] = progress
        found = model_baselines(
            [name],
            corpus,
            loaded,
            tuple(chosen),
            sources=_side(pool.sources, chosen),
            targets=_side(pool.targets, chosen),
            on_event=tell,
            **settings,
        )
    return found, failed


def _progress(console: Console, rows: int, failed: dict[Row, XsnsError]) -> BuildProgress:
    """Return what draws events, and keeps what failed."""
    from xsns_stream.cli.progress import BuildProgress
    from xsns_stream.pipeline.baselines import NeighboursFound, RowMeasured
    from xsns_stream.pipeline.events import RowFailed

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
    )


def _write_layers(matrices: Mapping[str, SimilarityMatrix], outputs: Sequence[str], quiet: bool) -> None:
    from xsns_stream.report import write_matrix

    for path in outputs:
        for key, matrix in matrices.items():
            written = path.replace(LAYER_FIELD, key.removeprefix("emb-"))
            write_matrix(matrix, written)
            note(f"wrote {written}", quiet)


def _refuse_failures(failed: Mapping[Row, XsnsError], rows: int) -> None:
    if not failed:
        return
    first = next(iter(failed.values()))
    names = ", ".join(dict.fromkeys(row.language for row in failed))
    raise PartialError(
        f"{len(failed)} of {counted(rows, 'row')} failed: {names}.",
        f"the others are done. The first: {first.message} {first.hint}".rstrip(),
    )
