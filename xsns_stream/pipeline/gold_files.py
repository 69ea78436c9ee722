"""Files of gold transfer scores: import from public formats, and a summary of the scores.

The commands `gold import` and `gold show` call the functions of this module. :func:`xsns_stream.import_scores`,
:func:`xsns_stream.read_scores` and :func:`xsns_stream.write_scores` are the steps of an import.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from xsns_stream.pipeline.predictors import regime_of

if TYPE_CHECKING:
    from xsns_stream.gold import ImportedScores, Remedy, ScoreSummary
    from xsns_stream.types.transfer_scores import TransferScores


@dataclass(frozen=True)
class GoldReport:
    """Gold scores of a file, and a summary of one training regime.

    Attributes:
        scores: The gold scores; the summarised regime is the first.
        summary: Range, means and best sources of the scores.
        regimes: Names of all regimes of the file.
        notes: Notes on the scores.
        output: File that the scores were written to; None if they were read from a file.
        imported: Result of the import; None for scores from a file.
    """

    scores: TransferScores
    summary: ScoreSummary
    regimes: tuple[str, ...]
    notes: tuple[str, ...]
    output: str | None = None
    imported: ImportedScores | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `xsns-stream gold import --json` and `gold show --json` print."""
        scores, summary = self.scores, self.summary
        result: dict[str, Any] = {
            "task": scores.task,
            "metric": scores.metric,
            "unit": scores.unit,
            "origin": scores.origin,
            "sources": list(scores.sources),
            "targets": list(scores.targets),
            "regime": scores.regimes[0],
            "regimes": list(self.regimes),
            "seeds": list(scores.seeds),
            "missing": [list(pair) for pair in summary.missing],
            "lowest": summary.lowest,
            "highest": summary.highest,
            "mean": summary.mean,
            "mean_own": summary.mean_own,
            "trivial": dict(scores.trivial),
            "above_trivial": dict(zip(("above", "scores"), scores.above_trivial(), strict=True)),
            "best_source": {
                target: {"source": source, "score": score} for target, (source, score) in summary.best_source.items()
            },
            "source_means": summary.source_means,
            "source_targets": summary.source_targets,
            "notes": list(self.notes),
        }
        if self.imported is not None:
            result |= {
                "output": self.output,
                "left_out": self.imported.left_out.to_json(),
                "by_name": dict(self.imported.by_name),
            }
        return result


def import_gold(
    files: Sequence[str | os.PathLike[str]],
    layout: str | None,
    output: str,
    *,
    seeds: Sequence[int] = (),
    main_regime: str | None = None,
    rename: Mapping[str, str] | None = None,
    **options: Any,
) -> GoldReport:
    """Import gold scores, check them, and write them to a file.

    Args:
        files: Files in a public format. Several files contain the scores of several seeds.
        layout: Name of the format; None to detect it from the contents.
        output: File to write: .parquet or .csv.
        seeds: One seed for each file.
        main_regime: Training regime that becomes the first one in the output.
        rename: {label in the files: language code}.
        **options: Further options of :func:`xsns_stream.import_scores`.

    Raises:
        UsageError: An option is invalid, or the output has an unknown suffix or is in a missing folder.
        XsnsError: A file cannot be read, or contains data that cannot be imported. If possible, the hint
            contains a command line that imports the file despite these data.
    """
    from xsns_stream.gold import SCORE_FORMATS, FileProblemsError, import_scores, summarise, write_scores
    from xsns_stream.io.atomic import writable

    writable(output, SCORE_FORMATS)
    paths = [os.fspath(file) for file in files]
    try:
        imported = import_scores(paths, layout, seeds=seeds, regime=main_regime, rename=rename, **options)
    except FileProblemsError as error:
        given = {"format": layout, "seed": seeds, "main_regime": main_regime, "rename": rename or {}, **options}
        raise type(error)(error.message, f"{error.hint}{_mended(error.remedy, paths, given, output)}") from None
    write_scores(imported.scores, output)
    scores = imported.scores
    return GoldReport(scores, summarise(scores), scores.regimes, imported.notes, output, imported)


def _mended(remedy: Remedy, files: Sequence[str], given: Mapping[str, Any], output: str) -> str:
    """Return a sentence with a command line that imports the files despite their problems; empty if there is none.

    Args:
        remedy: The options with which the files can be imported, and the options that must be omitted.
        files: The files.
        given: {option: its value}, as the import was called.
        output: File to write.
    """
    if remedy.kept == 0 or not (remedy.options or remedy.without):
        return ""
    options: list[str] = []
    for name, value in given.items():
        flag = f"--{name.replace('_', '-')}"
        # An added option replaces a given option, unless the option can be repeated.
        if not value or flag in remedy.without or (flag in remedy.options and name != "rename"):
            continue
        if value is True:
            options.append(flag)
        elif isinstance(value, Mapping):
            options += [part for old, new in value.items() for part in (flag, f"{old}={new}")]
        else:
            values = [value] if isinstance(value, str | int) else value
            options += [part for each in values for part in (flag, str(each))]
    command = shlex.join(["xsns-stream", "gold", "import", *files, *options, *remedy.options, "-o", output])
    when = ", after the other problems are corrected in it" if remedy.by_hand else ""
    kept = "" if remedy.kept is None else f" ({remedy.kept} {'score' if remedy.kept == 1 else 'scores'})"
    return f" This command imports the file{kept}{when}: {command}"


def summarise_gold(file: str | os.PathLike[str], regime: str) -> GoldReport:
    """Return one regime of a file of gold scores, with a summary.

    Args:
        file: A file from :func:`import_gold`.
        regime: Name of the regime; `main` means the first one.

    Raises:
        UsageError: The scores do not have this regime.
        XsnsError: The file cannot be read.
    """
    from xsns_stream.gold import read_scores, summarise

    everything = read_scores(os.fspath(file))
    scores = regime_of(everything, regime)
    return GoldReport(scores, summarise(scores), everything.regimes, scores.notes)
