"""The function `baseline`, and baselines that are computed from tables or read from a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal

from xsns_stream.corpora import Corpus, Texts
from xsns_stream.corpora.embedded import DEFAULT_CORPUS
from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.pipeline.cluster_clients import Workers, workers_asked
from xsns_stream.pipeline.events import BaselineEvent, Noted
from xsns_stream.pipeline.model_baselines import TEXT_BASELINES
from xsns_stream.pipeline.requested_languages import RequestedLanguages, request_languages, require_choice
from xsns_stream.pipeline.row_selection import StoreLike
from xsns_stream.store import SubNetworkStore
from xsns_stream.types import SimilarityMatrix
from xsns_stream.types.predictor_records import Difference, PredictorRecord, differences

if TYPE_CHECKING:
    pass


@dataclass(frozen=True)
class Baseline:
    """A baseline that was computed.

    Attributes:
        matrix: The similarities [S, T]; a larger value means a better source.
        notes: Sentences on data that were left out.
        origin: The file or the text from which the baseline was computed.
        labels: For a matrix from a file: the labels that were left out, and the labels that are names of languages;
            otherwise None.
    """

    matrix: SimilarityMatrix
    notes: tuple[str, ...] = ()
    origin: str = ""
    labels: Mapping[str, Any] | None = None


def baseline(
    name: str,
    texts: str | Sequence[str] | Texts | Corpus = DEFAULT_CORPUS,
    *,
    table: str | Path | None = None,
    languages: str | Iterable[str] = (),
    sources: str | Iterable[str] = (),
    targets: str | Iterable[str] = (),
    gold: str | None = None,
    store: StoreLike | None = None,
    model: Any = "mini",
    tokenizer: Any = None,
    progress: bool = True,
    on_event: Callable[[BaselineEvent], None] = lambda event: None,
    workers: int | Literal["auto"] | None = None,
    scheduler: str | None = None,
    client: Any = None,
    retries: int | None = None,
    worker_timeout: float | None = None,
    **options: Any,
) -> SimilarityMatrix:
    """Compute a baseline, like the command `xsns-stream baseline NAME`.

    >>> import xsns_stream as xs
    >>> xs.baseline("script", languages="sw,ru,uk").values.tolist()
    [[1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 1.0, 1.0]]

    Args:
        name: `l2v`, `ldnd`, `family`, `script`, `source-size` (from a table); `lex`, `emb`, `nn-rank`, `grad-cosine`,
            `sue` (from text); or `file` (a matrix in a file).
        texts: Text for baselines from text; see :func:`xsns_stream.build`.
        table: File of the table; for `file`, the file of the matrix. `script` and `family` need no table: without a
            table, they use the likely script in CLDR and the top-level family in Glottolog.
        languages: Codes of the languages to compare with one another, or `all`; by default all languages of the data.
        sources: Codes of the sources, which are the rows of the matrix.
        targets: Codes of the targets, which are the columns of the matrix.
        gold: File of gold scores. The default sources and targets are those of the file.
        store: Store of sub-networks, or its path, for baselines from text. The model, the text, the number of examples,
            the seeds and the maximum length are those of the store. An error is raised if the text has changed.
        model: Model for baselines from text, except `sue`; see :func:`xsns_stream.build`.
        tokenizer: The tokenizer, if `model` is a loaded model of transformers.
        progress: Whether to show progress and notes on stderr.
        on_event: Called with each event of :mod:`xsns_stream.pipeline.events`, in order.
        workers: Number of processes on this machine that measure languages, for baselines from text, or `auto` for as
            many as the cores and the memory allow; needs the extra `distributed`. A script that gives `workers` must
            call `baseline` below the line `if __name__ == "__main__":`, because each process imports the script.
        scheduler: Address of a running Dask scheduler, or the path of its scheduler file; its workers measure the
            languages.
        client: A Dask client, whose workers measure the languages.
        retries: Number of times that a language is measured again after its worker died (default 3).
        worker_timeout: Seconds after which a worker that has not finished a language is restarted. The default is 20
            times the time of the slowest language so far, scaled by the size of the text, and at least ten minutes.
        **options: All other options of the verb, under the same names: `examples` (64), `seeds` (42), `batch` (8),
            `max_length` (128), `layer`, `centre`, `neighbour_layer`, `neighbours`, `max_tokens`, `states`, `merges`,
            `token_reduction`, `scratch`; `stack`, `include`, `exclude`; the options of
            :func:`xsns_stream.build` for the model and the text; for tables, `names`, `columns`, `column`, `binary`
            and `log`; for files, `distance`, `scale`, `transpose`, `skip_unknown`, `rename` and `as_given`.

    Returns:
        The matrix of similarities. Its attribute `record` says how the matrix was computed.

    Raises:
        PartialError: Some languages failed.
        UsageError: An option is not valid, or does not apply to this baseline.
        XsnsError: The data cannot be read.
    """
    cluster = workers_asked(workers, scheduler, client, retries, worker_timeout)
    path_of_store = None
    if store is not None:
        path_of_store = str(store.path) if isinstance(store, SubNetworkStore) else os.fspath(store)
    requested = request_languages(languages, sources, targets, gold, path_of_store)
    if name in TEXT_BASELINES:
        if options.get("layer") == "all":
            raise UsageError(
                "baseline() returns one matrix, but layer='all' gives one for each layer.",
                "give the index of one layer.",
            )
        return _from_text(name, texts, requested, path_of_store, model, tokenizer, progress, on_event, options, cluster)
    if name not in (*TABLE_BASELINES, "file"):
        raise UsageError(
            f"there is no baseline '{name}'.",
            f"choose one of {', '.join((*TABLE_BASELINES, *TEXT_BASELINES, 'file'))}.",
        )
    if cluster is not None:
        raise UsageError(f"the baseline {name} reads no text.", f"workers are for {', '.join(TEXT_BASELINES)}.")
    if table is None and name not in WITHOUT_TABLE:
        raise UsageError(f"the baseline {name} needs a table.", "give table=FILE.")
    path = None if table is None else str(table)
    result = (
        file_baseline(path or "", requested, **options)
        if name == "file"
        else table_baseline(name, path, requested, **options)
    )
    for note in result.notes:
        on_event(Noted(note))
    return result.matrix if name == "file" else with_record(result.matrix)


def _from_text(
    name: str,
    texts: Any,
    requested: RequestedLanguages,
    store: str | None,
    model: Any,
    tokenizer: Any,
    progress: bool,
    on_event: Callable[[BaselineEvent], None],
    options: dict[str, Any],
    workers: Workers | None,
) -> SimilarityMatrix:
    from xsns_stream.pipeline.progress import RowProgress, notebook_console
    from xsns_stream.pipeline.text_baselines import refuse_failures, text_baselines

    # The records of a store replace the defaults.
    chosen = {"texts": _differs(texts, DEFAULT_CORPUS), "model": _differs(model, "mini")}
    given = frozenset(options) | {argument for argument, is_chosen in chosen.items() if is_chosen}
    console = notebook_console()

    @contextmanager
    def display(rows: int) -> Iterator[Callable[[BaselineEvent], None]]:
        with RowProgress(console, rows) if progress else nullcontext() as bar:

            def notify(event: BaselineEvent) -> None:
                if bar is not None:
                    bar(event)
                on_event(event)

            yield notify

    computed = text_baselines(
        (name,),
        requested,
        texts,
        model=model,
        tokenizer=tokenizer,
        store=store,
        given=given,
        display=display,
        workers=workers,
        **options,
    )
    for note in computed.notes:
        on_event(Noted(note))
        if progress:
            console.print(f"note: {note}", soft_wrap=True)
    refuse_failures(computed)
    return computed.matrices[name]


def _differs(value: Any, default: str) -> bool:
    # Comparisons of frames and arrays have no truth value.
    return not (isinstance(value, str) and value == default)


# ------------------------------------------------------------------------------------------------ tables and files


def with_record(matrix: SimilarityMatrix) -> SimilarityMatrix:
    """Return the matrix; if it has no record, add a record that contains only the name of the baseline."""
    return matrix if matrix.record is not None else replace(matrix, record=PredictorRecord(matrix.coefficient))


def _l2v(file: str | None, requested: RequestedLanguages) -> Baseline:
    from xsns_stream.baselines import l2v, read_features

    features = read_features(str(file))
    require_choice(requested, len(features.languages), f"'{file}'")
    return Baseline(l2v(features, requested.sources, requested.targets), features.notes, str(file))


def _ldnd(file: str | None, requested: RequestedLanguages, names: str | None = None) -> Baseline:
    from xsns_stream.baselines import ldnd, read_distances

    distances = read_distances(str(file), names)
    return Baseline(ldnd(distances, requested.sources, requested.targets), distances.notes, str(file))


def _family(
    file: str | None,
    requested: RequestedLanguages,
    columns: Sequence[str] = (),
    binary: bool = False,
    names: str | None = None,
) -> Baseline:
    from xsns_stream.baselines import family, glottolog_families, read_families

    if file is None:
        families = glottolog_families(_without_table(requested, "families", columns or names))
    else:
        families = read_families(file, columns, names)
        require_choice(requested, len(families.values), f"'{file}'")
    matrix = family(families, requested.sources, requested.targets, binary=binary)
    return Baseline(matrix, families.notes, families.origin if file is None else file)


def _script(
    file: str | None, requested: RequestedLanguages, column: str | None = None, names: str | None = None
) -> Baseline:
    from xsns_stream.baselines import customary_scripts, read_scripts, script

    if file is None:
        scripts = customary_scripts(_without_table(requested, "scripts", column or names))
    else:
        scripts = read_scripts(file, column, names)
    return Baseline(script(scripts, requested.sources, requested.targets), scripts.notes, scripts.origin)


def _without_table(requested: RequestedLanguages, values: str, table_options: Any) -> Sequence[str]:
    """Return the requested languages for a baseline whose table is optional and was not given.

    Args:
        requested: The requested languages.
        values: What the table would contain, for the error message, such as `scripts`.
        table_options: A value that is true if options of a table were given.

    Raises:
        UsageError: Options of a table were given, or no language was requested.
    """
    if table_options:
        raise UsageError("--column and --names need a table, which is missing.", "give the table.")
    if requested.languages is None:
        raise UsageError("no language was given.", f"give --lang sw,en, or a table of {values}.")
    return requested.languages


def _source_size(
    file: str | None,
    requested: RequestedLanguages,
    column: str | None = None,
    log: bool = False,
    names: str | None = None,
) -> Baseline:
    from xsns_stream.baselines import read_sizes, source_size

    sizes = read_sizes(str(file), column, names)
    require_choice(requested, len(sizes.values), f"'{file}'")
    notes = (f"amounts are from {sizes.origin}.", *sizes.notes)
    return Baseline(source_size(sizes, requested.sources, requested.targets, log=log), notes, str(file))


@dataclass(frozen=True)
class TableBaseline:
    """A baseline that is computed from a table.

    Attributes:
        compute: (path of the table, requested languages, options) → the baseline.
        files: File names of the tables that can be used, in order of preference; empty if no table is needed.
        needs: Description of the table for messages, such as `families: languages.csv or fams.txt`.
    """

    compute: Callable[..., Baseline]
    files: tuple[str, ...] = ()
    needs: str = ""


#: {name: baseline}.
TABLE_BASELINES: Final[Mapping[str, TableBaseline]] = MappingProxyType(
    {
        "l2v": TableBaseline(
            _l2v, ("feature_predictions.npz",), "URIEL's features: feature_predictions.npz of lang2vec"
        ),
        "ldnd": TableBaseline(
            _ldnd,
            ("ldnd.csv",),
            "word-list distances: ldnd.csv, and names: udpos-langs.csv or languages.csv",
        ),
        "family": TableBaseline(_family, ("languages.csv", "fams.txt"), "families: languages.csv or fams.txt"),
        "script": TableBaseline(_script),
        "source-size": TableBaseline(
            _source_size,
            ("wiki-langs.csv", "langs-xlmr.txt", "udpos-sizes-train.csv", "sizes.csv"),
            "amounts of data: wiki-langs.csv, langs-xlmr.txt, udpos-sizes-train.csv or sizes.csv",
        ),
    }
)


#: Baselines whose table is optional.
WITHOUT_TABLE: Final = ("family", "script")


def table_baseline(name: str, file: str | None, requested: RequestedLanguages, **options: Any) -> Baseline:
    """Compute a baseline from a table.

    Args:
        name: A key of :data:`TABLE_BASELINES`.
        file: Path of the table; may be None for :data:`WITHOUT_TABLE`.
        requested: The requested languages.
        **options: `names` (a table of language names, if the table has names instead of codes), `columns` and
            `binary` of `family`, `column` of `script` and `source-size`, `log` of `source-size`.

    Raises:
        UsageError: An option does not apply to this baseline, or the table has so many languages that some must be
            chosen.
        XsnsError: The table cannot be read, or lacks requested languages.
    """
    function = TABLE_BASELINES[name].compute
    allowed = function.__code__.co_varnames[2 : function.__code__.co_argcount]
    if unknown := next((option for option in options if option not in allowed), None):
        raise UsageError(
            f"the baseline {name} has no option '{unknown}'.", f"it has {', '.join(allowed) or 'no options'}."
        )
    return function(file, requested, **options)


def file_baseline(
    file: str,
    requested: RequestedLanguages,
    *,
    distance: bool = False,
    scale: float | None = None,
    transpose: bool = False,
    skip_unknown: bool = False,
    rename: Mapping[str, str] | None = None,
    as_given: bool = False,
) -> Baseline:
    """Read a matrix of similarities or distances from a file, and check it.

    Args:
        file: A .csv, .tsv, .parquet, .json or .npz file with codes or names of languages as labels of the rows and
            of the columns.
        requested: The requested languages.
        distance: Whether the values are distances. The similarity is then 1 − distance / scale.
        scale: The distance of two languages without any similarity.
        transpose: Whether rows are targets and columns are sources.
        skip_unknown: Whether to leave out labels that are not languages.
        rename: {label of the file: code}.
        as_given: Whether to accept a matrix whose values look like distances although `distance` is False, or like
            similarities although it is True.

    Raises:
        XsnsError: The file cannot be read, or lacks requested languages.
    """
    from xsns_stream.pipeline.predictors import check_renamed, label_notes
    from xsns_stream.similarity.matrix_io import known_languages, read_matrix

    read = read_matrix(file, distance=distance, transpose=transpose, scale=scale, as_given=as_given)
    check_renamed(rename or {}, [read])
    known = known_languages(read, f"'{file}'", skip_unknown=skip_unknown, rename=rename or {})
    labels = {"left_out": list(known.left_out), "by_name": dict(known.by_name)}
    return Baseline(_restricted(known.matrix, requested, file), label_notes(known), file, labels)


def _restricted(matrix: SimilarityMatrix, requested: RequestedLanguages, file: str) -> SimilarityMatrix:
    """Return the part of a matrix for the requested languages, labelled with the codes that were requested."""
    from xsns_stream.baselines.language_values import restrict

    rows = restrict(matrix.sources, requested.sources, f"'{file}'")
    columns = restrict(matrix.targets, requested.targets, f"'{file}'")
    part = matrix.between(tuple(rows.values()), tuple(columns.values()))
    return replace(part, sources=tuple(rows), targets=tuple(columns))


def baselines_in_folders(
    folders: Sequence[str], requested: RequestedLanguages
) -> tuple[dict[str, Baseline], dict[str, str]]:
    """Compute every baseline whose table is in one of the folders, and `script`, which needs no table.

    If several tables can be used for a baseline, the one that gives the largest matrix is used; among tables that give
    matrices of the same size, the first one.

    Returns:
        {name: baseline} and {name: reason why it is left out}.

    Raises:
        UsageError: A folder does not exist.
    """
    files = _find_tables(folders)
    results: dict[str, Baseline | str] = {}
    # The baselines that need no table come last.
    for name, one in sorted(TABLE_BASELINES.items(), key=lambda item: not item[1].files):
        paths = [path for file_name in one.files for path in files.get(file_name, ())]
        if one.files:
            results[name] = _widest(name, paths, requested) if paths else f"needs {one.needs}."
            continue
        try:
            results[name] = one.compute(None, requested)
        except XsnsError as error:
            results[name] = error.message
    computed = {name: one for name, one in results.items() if isinstance(one, Baseline)}
    return computed, {name: reason for name, reason in results.items() if isinstance(reason, str)}


def _find_tables(folders: Sequence[str]) -> dict[str, list[Path]]:
    """Return {file name: paths of the tables with this name}, ordered by folder, then alphabetically."""
    wanted = {name for one in TABLE_BASELINES.values() for name in one.files}
    tables: dict[str, list[Path]] = {}
    for folder in folders:
        if not Path(folder).is_dir():
            raise UsageError(f"there is no folder '{folder}'.", "give the folder that contains the tables.")
        paths = (Path(parent, name) for parent, _, names in os.walk(folder) for name in names if name in wanted)
        for path in sorted(paths):
            tables.setdefault(path.name, []).append(path)
    return tables


def _widest(name: str, paths: Sequence[Path], requested: RequestedLanguages) -> Baseline | str:
    """Return the baseline from the table that gives the largest matrix.

    If none of the tables at `paths` can be used, return the reason why the first of them cannot.
    """
    best: Baseline | None = None
    reasons = []
    for path in paths:
        try:
            one = table_baseline(name, str(path), requested)
        except XsnsError as error:
            reasons.append(error.message)
            continue
        if best is None or one.matrix.values.size > best.matrix.values.size:
            best = one
    return best or reasons[0]


def different_settings(computed: Mapping[str, Baseline], store: str | None) -> tuple[Difference, ...]:
    """Return the differences between the records of baselines and, if a store is given, the record of the store."""
    from xsns_stream.pipeline.row_selection import as_store, record_of_store

    records = {name: with_record(one.matrix).record for name, one in computed.items()}
    languages = dict.fromkeys(code for one in computed.values() for code in (*one.matrix.sources, *one.matrix.targets))
    if store is not None:
        rows = as_store(store)
        records[store] = record_of_store(rows, rows.languages, rows.seeds, rows.densities[0], "jaccard")
    return differences(records, tuple(languages))
