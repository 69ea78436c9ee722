"""The function `build`, which has all options of the command `xsns-stream build`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast, overload

from xsns_stream.corpora import Corpus, Texts, open_corpus, reading_notes
from xsns_stream.corpora.file_names import StoredLabels
from xsns_stream.errors import (
    PartialError,
    UsageError,
    XsnsError,
)
from xsns_stream.models.auto_classes import TASKS
from xsns_stream.pipeline.arguments import flag
from xsns_stream.pipeline.build_model import load_for_build
from xsns_stream.pipeline.cluster_clients import Workers, workers_asked
from xsns_stream.pipeline.dry_run import estimate_build
from xsns_stream.pipeline.events import (
    BuildPlan,
    BuildResult,
    Event,
    Noted,
    reasons_of,
)
from xsns_stream.pipeline.finished_builds import finished_build, remember_finished
from xsns_stream.pipeline.prepare_build import refuse_other_settings
from xsns_stream.pipeline.row_selection import require_path
from xsns_stream.pipeline.run_build import run_build
from xsns_stream.pipeline.settings import BuildSettings, build_settings
from xsns_stream.pipeline.store_settings import TEXT_OPTIONS, complete_from_store, inputs_record
from xsns_stream.store import SubNetworkStore, open_store

if TYPE_CHECKING:
    from xsns_stream.models import LoadedModel


@overload
def build(
    texts: BuildSettings,
    model: LoadedModel,
    store: SubNetworkStore,
    on_event: Callable[[Event], None] = ...,
) -> BuildResult: ...


@overload
def build(
    texts: str | Sequence[str] | Texts | Corpus | None = ...,
    model: Any = ...,
    store: str | Path | SubNetworkStore = ...,
    on_event: Callable[[Event], None] = ...,
    *,
    dry_run: Literal[True],
    tokenizer: Any = ...,
    progress: bool = ...,
    workers: int | Literal["auto"] | None = ...,
    scheduler: str | None = ...,
    client: Any = ...,
    **options: Any,
) -> BuildPlan: ...


@overload
def build(
    texts: str | Sequence[str] | Texts | Corpus | None = ...,
    model: Any = ...,
    store: str | Path | SubNetworkStore = ...,
    on_event: Callable[[Event], None] = ...,
    *,
    tokenizer: Any = ...,
    progress: bool = ...,
    workers: int | Literal["auto"] | None = ...,
    scheduler: str | None = ...,
    client: Any = ...,
    retries: int | None = ...,
    worker_timeout: float | None = ...,
    languages: str | Sequence[str] = ...,
    examples: int = ...,
    seeds: int | Iterable[int] = ...,
    densities: float | Iterable[float] = ...,
    parts: int | None = ...,
    keep_fisher: str | None = ...,
    objective: str = ...,
    mask_rate: float | None = ...,
    mean_span: float | None = ...,
    max_length: int = ...,
    label_at: str = ...,
    scored_share: float | None = ...,
    device: str | None = ...,
    dtype: str | None = ...,
    revision: str | None = ...,
    head_seed: int = ...,
    text_column: str | None = ...,
    language_column: str | None = ...,
    treebank: str | None = ...,
    label_column: str | None = ...,
    labels_as_given: bool = ...,
    label: Mapping[str, str] | Sequence[str] = ...,
    split: str | None = ...,
    words: str | None = ...,
    config: str | None = ...,
    corpus_revision: str | None = ...,
    task: str | None = ...,
    batch_size: int | Literal["auto"] | None = ...,
    estimator: str = ...,
    token_reduction: str = ...,
    labels: str = ...,
    precision: str = ...,
    checkpoint: bool = ...,
    memory: int | str | None = ...,
    quantile: str | None = ...,
    split_half: bool = ...,
    until_stable: float | None = ...,
    check_every: int | None = ...,
    at_least: int | None = ...,
    stack: str = ...,
    include: str | Iterable[str] = ...,
    exclude: str | Iterable[str] = ...,
) -> SubNetworkStore: ...


def build(
    texts: Any = None,
    model: Any = None,
    store: str | Path | SubNetworkStore = "xsns.zarr",
    on_event: Callable[[Event], None] = lambda event: None,
    *,
    tokenizer: Any = None,
    progress: bool = True,
    dry_run: bool = False,
    workers: int | Literal["auto"] | None = None,
    scheduler: str | None = None,
    client: Any = None,
    retries: int | None = None,
    worker_timeout: float | None = None,
    **options: Any,
) -> SubNetworkStore | BuildResult | BuildPlan:
    """Measure languages and write their sub-networks to a store, like the command `xsns-stream build`.

    Rows that the store contains are skipped. Another call therefore continues an interrupted build. Each row is
    committed as soon as it is finished.

    >>> import tempfile, xsns_stream as xs
    >>> texts = {"sw": ["Habari ya asubuhi.", "Karibu sana."], "fi": ["Hyvää huomenta.", "Tervetuloa meille."]}
    >>> store = xs.build(texts, "mini", f"{tempfile.mkdtemp()}/my.zarr", examples=2, progress=False)
    >>> store.languages
    ('fi', 'sw')

    Args:
        texts: {language: texts}; a pandas frame or a `datasets.Dataset` with the columns `language` and `text`; a
            corpus name, a folder or `language=file` pairs (see :func:`xsns_stream.open_corpus`); or an open corpus.
            None means the text of the rows in the store, or `ntrex` for a new store.
        model: `mini`, a folder, a Hub id, a loaded model of transformers, or a result of
            :func:`xsns_stream.load_model`. None means the model of the rows in the store, or `mini` for a new store.
        store: Path or URL of the store, or an open store.
        on_event: Called with each event of :mod:`xsns_stream.pipeline.events`, in order.
        tokenizer: The tokenizer, if `model` is a loaded model of transformers.
        progress: Whether to show progress and notes on stderr; in a notebook, they are shown below the cell.
        dry_run: Whether to check everything, time one row, and return a
            :class:`~xsns_stream.pipeline.events.BuildPlan`, without a build. Nothing is written to the store.
        workers: Number of processes on this machine that measure rows, or `auto` for as many as the cores and the
            memory allow; needs the extra `distributed`. A script that gives `workers` must call `build` below the line
            `if __name__ == "__main__":`, because each process imports the script.
        scheduler: Address of a running Dask scheduler, or the path of its scheduler file; its workers measure
            the rows.
        client: A Dask client, whose workers measure the rows.
        retries: Number of times that a row is measured again after its worker died (default 3).
        worker_timeout: Seconds after which a worker that has not finished a row is restarted. The default is 20 times
            the time of the slowest row so far, scaled by the size of the row, and at least ten minutes.
        **options: All options of the verb, under the same names. If the store has rows, each option that is not given
            has the value of these rows; a note names all options that come from the
            store. For a new store: `languages` (default all), `examples` (64), `seeds` (42), `densities` (0.15),
            `parts`, `keep_fisher`; `objective`, `mask_rate`, `mean_span`, `max_length` (128), `label_at` (auto),
            `scored_share` (1), `device`, `dtype`, `revision`, `head_seed`; `text_column`,
            `language_column`, `label_column`, `labels_as_given` (`labels="as-given"` is the same), `label` ({file or
            key: its label}), `split`, `treebank`, `words`, `config`, `corpus_revision`, `task`; `batch_size`,
            `precision`, `checkpoint`, `memory` (bytes, or `"2GB"`); `estimator`, `token_reduction`, `labels`,
            `quantile`; `split_half`, `until_stable`, `check_every`, `at_least`; `stack`, `include`, `exclude`.
            `docs/models.md` and `docs/fisher.md` describe them.

    Returns:
        The store, open for reading and writing; with `dry_run`, the plan. A call
        `build(settings, loaded, store, on_event)` with :class:`xsns_stream.BuildSettings` and a
        :class:`~xsns_stream.models.LoadedModel` measures with these settings, shows no progress, and returns a
        :class:`~xsns_stream.pipeline.events.BuildResult`.

    Raises:
        PartialError: Some rows failed; the other rows are committed.
        IncompatibleError: The store contains another experiment; the message names the fields that differ.
        CorpusError, LanguageError: The texts cannot be read, or a language is missing.
        UsageError: An option is not valid, or does not apply to these texts or this model.
        ModelError, StoreError: No row can be measured or written, because of the model or the store.
    """
    cluster = workers_asked(workers, scheduler, client, retries, worker_timeout)
    if isinstance(texts, BuildSettings):
        if options or tokenizer is not None or cluster is not None:
            raise UsageError("options were given together with BuildSettings.", "put them into the settings.")
        from xsns_stream.models.in_memory import with_current_weights

        return run_build(texts, with_current_weights(model), cast(SubNetworkStore, store), on_event)
    progress = flag(progress, "progress")
    opened = store_for_build(store)
    plan = build_plan(opened, texts, model, **options)
    with _shown(plan.settings, opened, on_event, progress) as notify:
        for sentence in plan.notes():
            notify(Noted(sentence))
        done = carry_out(plan, opened, notify, cluster, dry_run=dry_run, tokenizer=tokenizer)
    if isinstance(done, BuildPlan):
        return done
    refuse_failures(done, plan.settings)
    return opened


def carry_out(
    plan: PlannedBuild,
    store: SubNetworkStore,
    on_event: Callable[[Event], None],
    workers: Workers | None = None,
    *,
    dry_run: bool = False,
    tokenizer: Any = None,
) -> BuildResult | BuildPlan:
    """Load the model, and measure the rows; in a dry run, estimate the costs of the measurement instead.

    Args:
        plan: The planned build.
        store: The store, open for writing.
        on_event: Called with each event.
        workers: The workers that measure the rows; None to measure them in this process.
        dry_run: Whether to estimate costs instead of measuring the rows.
        tokenizer: The tokenizer, if `model` is a loaded model of transformers.

    Raises:
        XsnsError: See :func:`build`.
    """
    if workers is not None:
        from xsns_stream.pipeline.cluster_items import refuse_loaded_model

        refuse_loaded_model(plan.model)
    refuse_other_settings(plan.settings, plan.model_options, store)
    if dry_run:
        settings, loaded = load_for_build(plan.settings, plan.model, tokenizer, **plan.model_options)
        return estimate_build(settings, loaded, store, on_event, workers)
    if (finished := finished_build(plan.settings, plan.model_options, store)) is not None:
        return finished
    if plan.settings.missing_rows(store):
        store.check_writable()
    if workers is not None:
        from xsns_stream.pipeline.cluster_build import run_build_on_cluster

        result = run_build_on_cluster(plan.settings, plan.model, plan.model_options, store, workers, on_event)
    else:
        settings, loaded = load_for_build(plan.settings, plan.model, tokenizer, **plan.model_options)
        result = run_build(settings, loaded, store, on_event)
    if not result.failed:
        # A repeated command takes options from the store. The finished build is remembered under these options.
        texts, model, options = plan.given
        with suppress(XsnsError):
            again = build_plan(store, texts, model, **options)
            remember_finished(again.settings, again.model_options, store, result)
    return result


#: Value of the option `labels` that means `labels_as_given=True`. For estimators, `labels` never has this value.
AS_GIVEN: Final = "as-given"
#: Options of :func:`load_for_build`; all other options belong to the text or to the settings.
_MODEL_OPTIONS: Final = (
    *("revision", "device", "dtype", "objective", "mask_rate", "mean_span", "max_length", "label_at"),
    "scored_share",
)


@dataclass(frozen=True)
class PlannedBuild:
    """Settings of a build, and the options of its model, before the model is loaded.

    Attributes:
        settings: The settings of the build, without the objective.
        model: The argument `model` of :func:`build`, or the model of the store.
        model_options: Options of :func:`load_for_build`.
        taken: {option: value} of the options whose values are from the store.
        note: A sentence that names these options; empty if no option is from the store.
        given: The arguments of :func:`build_plan` except the store.
    """

    settings: BuildSettings
    model: Any
    model_options: Mapping[str, Any]
    taken: Mapping[str, Any]
    note: str
    given: tuple[Any, Any, Mapping[str, Any]]

    def notes(self) -> tuple[str, ...]:
        """Return sentences about the options whose values are from the store, and about the reading of the text."""
        notes = (*reading_notes(self.settings.corpus), *self.settings.notes)
        return (*([self.note] if self.note else []), *notes)


def build_plan(store: SubNetworkStore, texts: Any = None, model: Any = None, **options: Any) -> PlannedBuild:
    """Open the text, and return the planned build; options that are not given have the values of the store.

    Args:
        store: The store to which the build adds rows; it need not exist yet.
        texts: See :func:`build`.
        model: See :func:`build`.
        **options: See :func:`build`.

    Raises:
        UsageError: An option is unknown, not valid, or does not apply to the texts.
    """
    _refuse_unknown(options)
    given = (texts, model, dict(options))
    if options.get("labels") == AS_GIVEN:
        del options["labels"]
        options["labels_as_given"] = True
    known = complete_from_store(store, texts, model, options)
    options = known.options
    inputs = inputs_record(known.texts, known.model, options)
    model_options: dict[str, Any] = {name: options.pop(name) for name in _MODEL_OPTIONS if name in options}
    text: dict[str, Any] = {name: options.pop(name) for name in TEXT_OPTIONS if name in options}
    if "label" in known.taken:
        text["label"] = StoredLabels.of(text["label"])
    objective, label_column = model_options.get("objective", "auto"), options.pop("label_column", None)
    if label_column is not None and objective not in TASKS:
        raise UsageError(
            f"--label-column does not apply to the objective {objective}.",
            f"omit --label-column, or give one of the objectives {', '.join(TASKS)}.",
        )
    corpus = open_corpus(
        known.texts,
        revision=options.pop("corpus_revision", None),
        labels=(label_column or "auto") if objective in TASKS else None,
        **text,
    )
    settings = replace(build_settings(corpus, **options), inputs=inputs)
    return PlannedBuild(settings, known.model, model_options, known.taken, known.note, given)


def _refuse_unknown(options: Mapping[str, Any]) -> None:
    known = (*_MODEL_OPTIONS, *TEXT_OPTIONS, "label_column", *_SETTINGS_OPTIONS)
    if unknown := next((name for name in options if name not in known), None):
        near = get_close_matches(unknown, known, n=1)
        raise UsageError(
            f"build has no option '{unknown}'.", f"did you mean {near[0]}?" if near else "see help(build)."
        )


_SETTINGS_OPTIONS: Final = (
    *(name for name in signature(build_settings).parameters if name != "corpus"),
    "corpus_revision",
)


def store_for_build(store: str | Path | SubNetworkStore) -> SubNetworkStore:
    """Return a store that is open for writing.

    Raises:
        UsageError: The value is neither a store nor a path.
        StoreError: There is something at the path that is not a store.
    """
    if isinstance(store, SubNetworkStore):
        return store
    require_path(store, "the store")
    return open_store(store, "a")


def refuse_failures(result: BuildResult | BuildPlan, settings: BuildSettings) -> None:
    """Raise an error if rows of a build failed or, after a dry run, would fail.

    Raises:
        PartialError: Some rows failed; the error names their languages.
    """
    if not result.failed:
        return
    names = ", ".join(dict.fromkeys(row.language for row in result.failed))
    if isinstance(result, BuildPlan):
        others = (
            "the other rows can be measured." if len(result.failed) < len(result.rows) else "nothing can be measured."
        )
    else:
        finished = result.committed or result.skipped or result.by_others
        others = "the other rows are committed." if finished else "nothing was committed."
    number = len(settings.rows())
    raise PartialError(
        f"{len(result.failed)} of {number:,} {'row' if number == 1 else 'rows'} failed: {names}.",
        f"{others} {reasons_of(result.failed)}",
    )


@contextmanager
def _shown(
    settings: BuildSettings, store: SubNetworkStore, on_event: Callable[[Event], None], progress: bool
) -> Iterator[Callable[[Event], None]]:
    """Yield a function that passes events to `on_event`, and shows them if `progress` is True."""
    if not progress:
        yield on_event
        return
    from xsns_stream.pipeline.progress import RowProgress, notebook_console

    with RowProgress(notebook_console(), len(settings.missing_rows(store))) as bar:

        def notify(event: Event) -> None:
            bar(event)
            on_event(event)

        yield notify
