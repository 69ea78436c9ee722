"""Tables of scores in the layouts that people use: tables that are read, tables that are refused, and the notes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.gold import ImportedScores, import_scores

#: The scores of the tables below, for the targets sw, yo and zu.
SCORES = [[55.2, 40.1, 44], [50.3, 42.2, 43]]


@pytest.fixture
def load(tmp_path: Path) -> Any:
    """Import a file from its text, with the format found from it."""

    def imported(text: str, name: str = "scores.csv", **options: Any) -> ImportedScores:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return import_scores(path, **({"task": "pos", "metric": "accuracy", "unit": "percent"} | options))

    return imported


MATRICES = {
    "plain": ("source,sw,yo,zu\nen,55.2,40.1,44\nfr,50.3,42.2,43\n", ""),
    "a title above the header": (
        "Table 3: accuracy (XLM-R base),,,\n\nsource,sw,yo,zu\nen,55.2,40.1,44\nfr,50.3,42.2,43\n",
        "these lines were not read, because they are above the header: line 1 ('Table 3: accuracy (XLM-R base)').",
    ),
    "a title without separators": (
        "Table 3\nsource;sw;yo;zu\nen;55,2;40,1;44\nfr;50,3;42,2;43\n",
        "these lines were not read, because they are above the header: line 1 ('Table 3').",
    ),
    "a title with commas above semicolons": (
        "Accuracy, zero-shot, three targets\n;sw;yo;zu\nen;55,2;40,1;44\nfr;50,3;42,2;43\n",
        "these lines were not read, because they are above the header: line 1 ('Accuracy, zero-shot, three targets').",
    ),
    "groups above the header": (
        "POS,,Targets,,\nsource,,sw,yo,zu\nen,,55.2,40.1,44\nfr,,50.3,42.2,43\n",
        "these lines were not read, because they are above the header: line 1 ('POS, Targets').",
    ),
    "a header of names and one of codes": (
        ",Swahili,Yoruba,Zulu\nISO,sw,yo,zu\nEnglish,55.2,40.1,44\nFrench,50.3,42.2,43\n",
        "these lines were not read, because they are above the header: line 1 ('Swahili, Yoruba, Zulu').",
    ),
    "units below the header": (
        "source,sw,yo,zu\n,(%),(%),(%)\nen,55.2,40.1,44\nfr,50.3,42.2,43\n",
        "these lines were not read, because they are further headers: line 2 ('(%), (%), (%)').",
    ),
    "means": (
        "source,sw,yo,zu,Avg.\nen,55.2,40.1,44,46.4\nfr,50.3,42.2,43,45.2\nAverage,52.7,41.1,43.5,45.8\n",
        "these labels were not read, because they are means or totals: Average, Avg.; "
        "--rename LABEL=CODE reads such a label as a language.",
    ),
    "a column of families with merged cells": (
        "family,source,sw,yo,zu\nIndo-European,en,55.2,40.1,44\n,fr,50.3,42.2,43\n",
        "these columns were not read, because they have no scores of a language: family.",
    ),
    "the numbers of lines": (
        ",source,sw,yo,zu\n0,en,55.2,40.1,44\n1,fr,50.3,42.2,43\n",
        "the labels of the lines of 'scores.csv' are in the column 'source'.",
    ),
    "names beside codes": (
        "language,code,sw,yo,zu\nEnglish,en,55.2,40.1,44\nFrench,fr,50.3,42.2,43\n",
        "the labels of the lines of 'scores.csv' are in the column 'code'.",
    ),
    "a column that names the best": (
        "source,sw,yo,zu,best\nen,55.2,40.1,44,sw\nfr,50.3,42.2,43,sw\n",
        "these columns were not read, because they have no scores of a language: best.",
    ),
    "empty columns at the end": ("source,sw,yo,zu,,,\nen,55.2,40.1,44,,,\nfr,50.3,42.2,43,,,\n,,,,,,\n", ""),
    "footnotes": (
        "source,sw,yo,zu\nen,55.2*,40.1,44\nfr,50.3,42.2,43\n,,,\n* p < 0.05,,,\nNote: mean of 3 seeds\n",
        "these lines were not read, because they have no score: line 5 ('* p < 0.05'), "
        "line 6 ('Note: mean of 3 seeds').",
    ),
    "groups of lines": (
        "source,sw,yo,zu\nGermanic family,,,\nen,55.2,40.1,44\nRomance family,,,\nfr,50.3,42.2,43\n",
        "these lines were not read, because they have no score: line 2 ('Germanic family'), line 4 ('Romance family').",
    ),
    "spreads": (
        "source,sw,yo,zu\nen,55.2 ± 0.4,40.1 (0.3),44\nfr,50.3,42.2,43\n",
        "only the first number was read in 2 of 6 cells, such as 55.2 ± 0.4.",
    ),
    "marks": (
        "source,sw,yo,zu\nen,**55.2**,40.1†,44\nfr,50.3*,42.2,43\n",
        "marks and formatting were not read in 3 of 6 cells, such as **55.2**.",
    ),
    "names with codes": (
        "source,Swahili (sw),Yoruba (yo),Zulu (zu)\nEnglish (en),55.2,40.1,44\nFrench (fr),50.3,42.2,43\n",
        "labels recognised by name: English (en) = en, Swahili (sw) = sw, Yoruba (yo) = yo, Zulu (zu) = zu, "
        "French (fr) = fr; "
        "use --rename OLD=NEW to change this.",
    ),
}


@pytest.mark.parametrize("kind", MATRICES)
def test_matrices_in_common_layouts_are_read(load: Any, kind: str) -> None:
    text, note = MATRICES[kind]
    imported = load(text)
    assert (imported.scores.sources, imported.scores.targets) == (("en", "fr"), ("sw", "yo", "zu"))
    assert imported.scores.values.tolist() == SCORES
    assert "the format of 'scores.csv' is matrix: rows are sources, and columns are targets." in imported.notes
    assert not note or note in imported.notes
    if kind == "plain":
        assert len(imported.notes) == 1


@pytest.mark.parametrize("beside", ["", ";;;\n;;;"])
def test_a_title_with_commas_above_decimal_commas_is_not_the_header(load: Any, beside: str) -> None:
    cells = "en;55,2;40,1;44,1\nfr;50,3;42,2;43,5\nde;51,3;41,2;43,7\nit;52,3;40,2;42,5\nes;53,3;39,2;41,5\n"
    imported = load(f"Accuracy, zero-shot, three targets{beside}\nsource;sw;yo;zu\n{cells}")
    assert imported.scores.targets == ("sw", "yo", "zu")
    assert imported.scores.values[0].tolist() == [55.2, 40.1, 44.1]
    title = "line 1 ('Accuracy, zero-shot, three targets')"
    assert f"these lines were not read, because they are above the header: {title}." in imported.notes


MARKDOWN = "| source | sw | yo | zu |\n|---|--:|--:|--:|\n| en | **55.2** | 40.1 | 44 |\n| fr | 50.3 | 42.2 | 43 |\n"
LATEX = r"""\begin{tabular}{lrrr} \toprule
source & sw & yo & zu \\ \midrule
en & \textbf{55.2} & 40.1 & 44 \\
fr & 50.3 & \underline{42.2} & 43$_{\pm 0.3}$ \\ \bottomrule
\end{tabular}
"""


@pytest.mark.parametrize(
    ("name", "text", "note"),
    [
        ("scores.md", MARKDOWN, "'scores.md' was read as a Markdown table."),
        ("scores.txt", MARKDOWN, "'scores.txt' was read as a Markdown table."),
        ("scores.tex", LATEX, "'scores.tex' was read as a LaTeX table."),
        ("scores.txt", "source sw yo zu\nen 55.2 40.1 44\nfr 50.3 42.2 43\n", "are separated by spaces."),
        ("scores.txt", "source\tsw\tyo\tzu\nen\t55.2\t40.1\t44\nfr\t50.3\t42.2\t43\n", "are separated by tabs."),
    ],
)
def test_tables_of_papers_and_pages_are_read(load: Any, name: str, text: str, note: str) -> None:
    imported = load(text, name)
    assert (imported.scores.sources, imported.scores.targets) == (("en", "fr"), ("sw", "yo", "zu"))
    assert imported.scores.values.tolist() == SCORES
    assert any(note in one for one in imported.notes)


@pytest.mark.parametrize(
    ("text", "note"),
    [
        ("source,target,score\nen,sw,80\nfi,sw,70\n", ""),
        ("Source,Target,Score\nen,sw,80\nfi,sw,70\n", "the column 'Source' is the source and 'Target' is the target."),
        ("train_lang,test_lang,F1\nen,sw,80\nfi,sw,70\n", "the scores are in the column 'F1' of 'scores.csv'."),
        (
            "Source Language;Target Language;Accuracy (%)\nEnglish;Kiswahili;80,0\nFinnish;Kiswahili;70\n",
            "the scores are in the column 'Accuracy (%)' of 'scores.csv'.",
        ),
        (
            "source,target,score\nen,sw,80\n,zu,60\nfi,sw,70\n",
            "empty labels were filled from the line above, as in merged cells: 1.",
        ),
        (
            "Results of 2023,,\nsource,target,score\nen,sw,80\nfi,sw,70\n* one seed,,\n",
            "these lines were not read, because they have no score: line 5 ('* one seed').",
        ),
        (
            "source,target,accuracy,same_family,ldnd\nen,sw,80,0,90.5\nfi,sw,70,0,91\n",
            "the scores are in the column 'accuracy' of 'scores.csv'.",
        ),
    ],
)
def test_long_tables_in_common_layouts_are_read(load: Any, text: str, note: str) -> None:
    imported = load(text, metric=None)
    assert (imported.scores["en", "sw"], imported.scores["fi", "sw"]) == (80, 70)
    assert "the format of 'scores.csv' is long: it has a column of sources and a column of targets." in imported.notes
    assert any(note in one for one in imported.notes)


def test_the_name_of_the_column_is_the_metric(load: Any) -> None:
    imported = load("train_lang,test_lang,F1 (%)\nen,sw,0.8\nfi,sw,70\n", metric=None, unit=None)
    assert (imported.scores.metric, imported.scores.unit) == ("f1", "percent")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "Model,en,sw\nXLM-R,81,55\nmBERT,80,50\n",
            "no line of '.*' has the label of a language: XLM-R, mBERT",
            "--rename",
        ),
        ("a,b\n1,2\n", "the format of '.*' cannot be detected; its first line contains a, b", "give --format"),
        (
            ",Swahili,Zulu\nISO,sw,yo\nen,1,2\n",
            "lines 2 and 1 of '.*' name different languages in one column: 'yo' and 'Zulu'",
            "keep only one line",
        ),
        ("source,sw,yo\nen,55,44,33\n", "line 2 of '.*' has 4 fields, but the first has 3", "in quotes"),
        ("T\nsource,sw\nen,55,44\n", "line 3 of '.*' has 3 fields, but the header, line 2, has 2", "in quotes"),
        ("source,sw,\nen,55,44\n", r"labels that are neither .*: an empty label \(1\)", "--rename"),
        ("source,sw,size\nen,55,44\n", r"labels that are neither .*: size \(1\)", "--rename"),
        ("source,target,f1,accuracy\nen,sw,5,6\n", "has no column 'score'", "--metric; columns are f1, accuracy"),
    ],
)
def test_tables_that_cannot_be_read_say_what_to_do(load: Any, text: str, message: str, hint: str) -> None:
    with pytest.raises(XsnsError, match=message) as caught:
        load(text, metric=None)
    assert hint in caught.value.hint


@pytest.mark.parametrize("name", ["scores.xlsx", "scores.ods", "scores.csv"])
def test_workbooks_are_refused_with_the_way_to_save_them(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"PK\x03\x04 and more")
    with pytest.raises(XsnsError, match="is a workbook of a spreadsheet program") as caught:
        import_scores(path)
    assert "in Excel `Save As`, `CSV UTF-8`" in caught.value.hint


def test_files_of_several_formats_are_not_imported_together(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("source,sw\nen,50\n")
    (tmp_path / "b.csv").write_text("source,target,score\nen,sw,50\n")
    with pytest.raises(UsageError, match=r"the files have different formats: .* is matrix.*; .* is long"):
        import_scores([tmp_path / "a.csv", tmp_path / "b.csv"], seeds=(1, 2))


@pytest.mark.parametrize("metric", ["perplexity", "UAS error", "loss", "WER", "rank", "error_rate"])
def test_metrics_of_which_smaller_values_are_better_are_refused(metric: str, tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    path.write_text(f"source,target,{metric}\nsw,fi,35.2\nfi,sw,20.1\nsw,sw,10\nfi,fi,9\n", encoding="utf-8")
    with pytest.raises(XsnsError, match=f"smaller values of '{metric}' are better") as caught:
        import_scores(path, "long", metric=metric)
    assert "write the negative values" in caught.value.hint


def test_ranks_without_a_name_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "ranks.csv"
    path.write_text("source,sw,fi,de\nsw,1,2,3\nfi,2,1,3\nde,3,2,1\n", encoding="utf-8")
    notes = import_scores(path).notes
    assert any(
        note.startswith("the mean score of models on their own language is 1, lower than on other languages (2.5): ")
        for note in notes
    )
    path.write_text("source,sw,fi,de\nsw,9,2,3\nfi,2,9,3\nde,3,2,9\n", encoding="utf-8")
    assert not any("own language" in note for note in import_scores(path).notes)
