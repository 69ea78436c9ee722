"""Inspection: contents of stores and corpora, verification of stores, and measured parameters of models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

from xsns_stream.errors import XsnsError
from xsns_stream.pipeline.events import OnReadEvent, progress_of
from xsns_stream.pipeline.row_selection import StoreLike, as_store

if TYPE_CHECKING:
    from xsns_stream.fisher import ParameterCheck
    from xsns_stream.store import Finding, FoldKey, RowKey
    from xsns_stream.types import ParameterLayout


# --------------------------------------------------------------------------------------- contents of a store


@dataclass(frozen=True)
class StoreSummary:
    """Contents of a store.

    Attributes:
        facts: Summary of the store from :meth:`xsns_stream.SubNetworkStore.info`.
        keys: Labels of all rows.
        leftovers: {path: size in bytes} of the files and folders that `xsns-stream prune --unfinished` would remove:
            those of rows that were never committed, and those that killed processes left in the store or beside it.
            Empty for a store in an object store, where they cannot be recognised.
    """

    facts: Mapping[str, Any]
    keys: tuple[RowKey, ...]
    leftovers: Mapping[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `xsns-stream info --json` prints."""
        from xsns_stream.report import shown_name

        return {
            **self.facts,
            "leftovers": list(self.leftovers),
            "leftover_bytes": sum(self.leftovers.values()),
            "names": {code: shown_name(code) for code in self.facts["languages"]},
        }


def summarise_store(store: StoreLike) -> StoreSummary:
    """Return the contents of a store.

    Raises:
        StoreError: The store cannot be read.
    """
    from xsns_stream.store.prune import plan_prune
    from xsns_stream.store.storage.local import LocalStorage

    rows = as_store(store)
    leftovers = plan_prune(rows, leftovers=True).leftovers if isinstance(rows.storage, LocalStorage) else {}
    return StoreSummary(rows.info(), tuple(rows.keys()), leftovers)


# ----------------------------------------------------------------------------------------------- a corpus


@dataclass(frozen=True)
class CorpusSummary:
    """Contents of a corpus.

    Attributes:
        name: Name of the corpus in provenance records.
        local: Whether the corpus can be read without a network.
        languages: Codes of the languages, sorted.
        record: Files that are not read, and notes, from :func:`corpus_record`.
        notes: Sentences about the reading of the corpus.
        refused: {code: reason} of languages that a build would refuse. Only the beginnings of files are checked.
    """

    name: str
    local: bool
    languages: tuple[str, ...]
    record: Mapping[str, Any]
    notes: tuple[str, ...]
    refused: Mapping[str, XsnsError] = field(default_factory=dict)


def summarise_corpus(texts: Any, *, corpus_revision: str | None = None, **options: Any) -> CorpusSummary:
    """Return the contents of a corpus.

    Args:
        texts: See :func:`xsns_stream.build`.
        corpus_revision: Branch, tag or commit of a data set on the Hub.
        **options: See :func:`xsns_stream.open_corpus`.

    Raises:
        CorpusError: The corpus cannot be read.
        UsageError: An option does not apply to this kind of corpus.
    """
    from xsns_stream.corpora import open_corpus
    from xsns_stream.corpora.local import LocalCorpus

    corpus = open_corpus(texts, revision=corpus_revision, **options)
    return CorpusSummary(
        corpus.name,
        corpus.local,
        corpus.languages(),
        corpus_record(corpus),
        corpus_notes(corpus),
        corpus.refused() if isinstance(corpus, LocalCorpus) else {},
    )


def corpus_record(corpus: object) -> dict[str, Any]:
    """Return the files of a corpus that are not read, and the notes on the corpus, as a JSON object."""
    from xsns_stream.corpora import not_read, opening_notes

    return {
        "files_not_read": [{"file": each.file, "reason": each.reason} for each in not_read(corpus)],
        "corpus_notes": list(opening_notes(corpus)),
    }


def corpus_notes(corpus: object) -> tuple[str, ...]:
    """Return sentences on files of a corpus that are not read, or that are read as another language."""
    from xsns_stream.corpora import reading_notes

    return reading_notes(corpus)


# ------------------------------------------------------------------------------------- soundness of a store


@dataclass(frozen=True)
class Verification:
    """Result of the comparison of every row of a store with its record.

    Attributes:
        store: Path of the store.
        findings: One entry for each error; empty for an intact store.
        rows: Number of rows that were compared.
        kept_rows: Number of rows of stored Fisher values that were compared.
        parts: Number of leave-one-part-out rows that were compared.
        unfinished_rows: Rows without a commit record. They are not errors: the next build measures them again.
        unfinished_parts: Leave-one-part-out rows that are missing although other parts of the same row exist.
    """

    store: str
    findings: tuple[Finding, ...]
    rows: int
    kept_rows: int
    parts: int
    unfinished_rows: tuple[RowKey, ...]
    unfinished_parts: tuple[FoldKey, ...]

    @property
    def sound(self) -> bool:
        """Whether there is no error."""
        return not self.findings

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `xsns-stream verify --json` prints."""
        return {
            "store": self.store,
            "sound": self.sound,
            "rows": self.rows,
            "kept_rows": self.kept_rows,
            "parts": self.parts,
            "findings": [_finding_dict(finding) for finding in self.findings],
            "unfinished_rows": [str(key) for key in self.unfinished_rows],
            "unfinished_parts": [str(key) for key in self.unfinished_parts],
        }


def verify_store(store: StoreLike, on_event: OnReadEvent | None = None) -> Verification:
    """Compare all data of a store with its commit records.

    Args:
        store: A store, or its folder or URL.
        on_event: Handler of progress.

    Raises:
        StoreError: The store cannot be read.
    """
    rows = as_store(store)
    findings = rows.verify(None if on_event is None else progress_of("verifying", on_event))
    return Verification(
        str(rows.path),
        tuple(findings),
        len(rows.keys()),
        len(rows.fisher_keys()),
        sum(len(rows.fold_keys(count)) for count in rows.fold_counts),
        tuple(rows.unfinished()),
        tuple(rows.unfinished_folds()),
    )


def _finding_dict(finding: Finding) -> dict[str, Any]:
    row = finding.row
    return {
        "problem": finding.problem,
        "detail": finding.detail,
        "language": row.language if row else None,
        "seed": row.seed if row else None,
        "density": row.density if row else None,
        "node": row.node if row else None,
    }


# ------------------------------------------------------------------------------------ parameters of a model


@dataclass(frozen=True)
class ParameterReport:
    """The measured parameters of a model (θ), and the other parameters.

    Attributes:
        model: Name of the model.
        objective: Name of the objective.
        layout: Layout of the measured parameters.
        left_out: {name: shape} of the other parameters.
        modules: {name of a measured parameter: class of its module}.
        checks: Results of the comparison of the fast engine with a loop over single examples, one for each tensor;
            empty if the comparison was not requested.
        notes: Notes about the loading of the model.
    """

    model: str
    objective: str
    layout: ParameterLayout
    left_out: Mapping[str, tuple[int, ...]]
    modules: Mapping[str, str]
    checks: tuple[ParameterCheck, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `xsns-stream params --json` prints."""
        layout = self.layout
        result: dict[str, Any] = {
            "model": self.model,
            "objective": self.objective,
            "parameters": layout.size,
            "layout_digest": layout.digest,
            "blocks": [{"name": block.name, "size": block.stop - block.start} for block in layout.layers],
            "measured": [
                _parameter_dict(name, shape) | {"module": self.modules[name]}
                for name, shape in zip(layout.names, layout.shapes, strict=True)
            ],
            "left_out": [_parameter_dict(name, shape) for name, shape in self.left_out.items()],
        }
        if self.checks:
            result["check"] = [
                {
                    "name": check.name,
                    "rule": check.rule,
                    "by_rule": check.by_rule,
                    "error": check.error,
                    "exact": check.exact,
                }
                for check in self.checks
            ]
        return result | {"notes": list(self.notes)}


def inspect_parameters(
    model: Any = "mini",
    tokenizer: Any = None,
    *,
    stack: str = "both",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    check: bool = False,
    objective: str = "auto",
    **model_options: Any,
) -> ParameterReport:
    """Return the measured parameters of a model, and the other parameters.

    Args:
        model: See :func:`xsns_stream.build`.
        tokenizer: The tokenizer, if `model` is a loaded model of transformers.
        stack: See :func:`xsns_stream.parameter_layout`.
        include: See :func:`xsns_stream.parameter_layout`.
        exclude: See :func:`xsns_stream.parameter_layout`.
        check: Whether to compare the fast engine with a loop over single examples.
        objective: See :func:`xsns_stream.load_model`; the head of a classification task gets two classes.
        **model_options: `revision`, `device` and `dtype`; see :func:`xsns_stream.load_model`.

    Raises:
        ModelError: The model cannot be loaded, or no parameter is left to measure.
    """
    from xsns_stream.fisher import self_check
    from xsns_stream.models import left_out, parameter_layout
    from xsns_stream.models.auto_classes import CLASSIFICATION
    from xsns_stream.models.in_memory import open_model

    labels = 2 if objective in CLASSIFICATION else None
    loaded = open_model(model, tokenizer, objective=objective, label_count=labels, **model_options)
    layout = parameter_layout(loaded.model, stack=stack, include=include, exclude=exclude)
    modules = {name: type(loaded.model.get_submodule(name.rpartition(".")[0])).__name__ for name in layout.names}
    return ParameterReport(
        loaded.name,
        loaded.objective,
        layout,
        {name: tuple(parameter.shape) for name, parameter in left_out(loaded.model, layout).items()},
        modules,
        tuple(self_check(loaded.model, layout)) if check else (),
        tuple(loaded.notes),
    )


def _parameter_dict(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    return {"name": name, "shape": list(shape), "size": prod(shape)}
