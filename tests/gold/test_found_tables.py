"""Tables of scores as bug reports of other tools describe them, with the scores that they contain."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from xsns_stream.errors import XsnsError
from xsns_stream.gold import ImportedScores, import_scores
from xsns_stream.similarity.matrix_io import read_matrix


@pytest.fixture
def load(tmp_path: Path) -> Any:
    """Import a file from its text."""

    def imported(text: str, name: str = "scores.csv", **options: Any) -> ImportedScores:
        path = tmp_path / name
        path.write_text(text, encoding=options.pop("encoding", "utf-8"), newline="")
        return import_scores(path, **options)

    return imported


def values(imported: ImportedScores) -> dict[str, float]:
    scores = imported.scores
    return {
        f"{source} {target}": scores[source, target]
        for source in scores.sources
        for target in scores.targets
        if scores[source, target] == scores[source, target]
    }


MATRIX = {"en en": 90, "en fi": 80, "fi en": 60, "fi fi": 85}


@pytest.mark.parametrize(
    "text",
    [
        # Separators at the ends of all lines, or of one line.
        "source,en,fi\nen,90,80,\nfi,60,85,\n",
        "source,en,fi\nen,90,80,\nfi,60,85\n",
        # R writes no heading above the column of row names.
        '"en","fi"\n"en",90,80\n"fi",60,85\n',
        # Invisible characters: zero width, joiner, soft hyphen, no-break space, mark of direction.
        "source,\u200ben,fi\u200d\nen\ufeff,90,80\nf\u00adi\u00a0,\u200e60,85\n",
        # The name of the columns is the first field, and the name of the rows is below it.
        "target,en,fi\nsource,,\nen,90,80\nfi,60,85\n",
        # Rows and columns of means and totals.
        "source,en,fi,Ø,Total\nen,90,80,85,170\nfi,60,85,72.5,145\nMedian,75,82.5,,\nAvg. w/o en,60,80,,\n",
        "source,en,fi,avg (zero-shot)\nen,90,80,80\nfi,60,85,60\nmoyenne,75,82.5,\n",
        # Values that are marked as text for a spreadsheet.
        'source,en,fi\nen,"=""90""",\'80\nfi,"=""60""",85\n',
        # A mark on a code, as in `en*`.
        "source,en*,fi\nen*,90,80\nfi,60,85\n",
        'sep=;\r\nsource;en;fi\r\nen;90,0;80,0\r\nfi;"60,0";85,0\r\n',
    ],
)
def test_every_form_of_a_matrix_gives_the_same_scores(load: Any, text: str) -> None:
    assert values(load(text)) == MATRIX


def test_a_matrix_that_r_wrote_as_text_is_read(load: Any) -> None:
    imported = load("en fi\nen 90 80\nfi 60 85\n", "scores.txt")
    assert values(imported) == MATRIX
    note = (
        "the header of 'scores.txt' has one field less than the lines, as in tables that R writes: the first field "
        "of a "
        "line is read as its name."
    )
    assert note in imported.notes


def test_a_long_table_that_r_wrote_is_read(load: Any) -> None:
    text = '"source" "target" "score"\n"1" "en" "fi" 80\n"2" "fi" "en" 60\n'
    assert values(load(text, "scores.txt")) == {"en fi": 80, "fi en": 60}
    # With an unquoted decimal comma, a line has four fields, of which the first is not a row name.
    with pytest.raises(XsnsError, match=r"line 2 of .* has 4 fields, but the first has 3"):
        load("source,target,score\nen,fi,80,5\nfi,en,60,1\n")


def test_a_similarity_matrix_that_r_wrote_is_read(tmp_path: Path) -> None:
    path = tmp_path / "similarity.tsv"
    path.write_text('"en"\t"fi"\n"en"\t1\t0.5\n"fi"\t0.4\t1\n')
    matrix = read_matrix(path)
    assert (matrix["en", "fi"], matrix["fi", "en"]) == (0.5, 0.4)


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("−3,5", -3.5),
        ("1.234,56", 1234.56),
        ("1,234.5", 1234.5),
        ("1\u00a0234,5", 1234.5),
        ("1\u202f234,5", 1234.5),
        ("1'234.5", 1234.5),
        ("12.345.678,9", 12345678.9),
        ("-1.234,5", -1234.5),
        ("8,12E+01", 81.2),
        ("81.2 ± 0.3", 81.2),
        ("**81.2**", 81.2),
        (r"\textbf{81.2}", 81.2),
    ],
)
def test_common_notations_of_numbers_are_read(load: Any, cell: str, number: float) -> None:
    assert values(load(f'source;target;score\nen;fi;"{cell}"\n', unit="points")) == {"en fi": number}


@pytest.mark.parametrize("cell", ["1.23,5", "1,23.4", "12.May", "2012-05-01", "#DIV/0!", "1,2,3", "0.123.456,7"])
def test_cells_that_are_not_numbers_are_refused(load: Any, cell: str) -> None:
    with pytest.raises(XsnsError, match="1 cell of the scores does not contain a number: en → fi") as caught:
        load(f"source;target;score\nen;fi;{cell}\nen;sw;12,5\n", unit="points")
    assert "--rename" not in caught.value.hint
    assert "--skip-unknown imports the rest" in caught.value.hint


# ----------------------------------------------------------------------------------------------- long tables


def test_two_columns_of_scores_with_one_name_need_a_choice(load: Any) -> None:
    text = "source,target,score,score.1\nen,fi,80,81\n"
    with pytest.raises(XsnsError, match=r"'scores\.csv' has several columns 'score': score, score\.1") as caught:
        load(text)
    assert caught.value.hint == "choose one of them with --metric, such as `--metric score`."
    assert values(load(text, metric="score.1")) == {"en fi": 81}


@pytest.mark.parametrize("column", ["metric", "task"])
def test_scores_of_several_metrics_or_tasks_need_a_choice(load: Any, column: str) -> None:
    text = f"source,target,{column},score\nen,fi,f1,80\nen,sw,acc,70\nen,sw,f1,60\n"
    with pytest.raises(XsnsError, match=f"column '{column}' of 'scores.csv' has scores of several {column}s: f1, acc"):
        load(text)
    with pytest.raises(XsnsError, match=r"f1, acc, and 'las' is not one of them\."):
        load(text, **{column: "las"})
    imported = load(text, **{column: "F1"})
    assert values(imported) == {"en fi": 80, "en sw": 60}
    assert f"1 line of 'scores.csv' was not read: its {column} is not f1." in imported.notes
    only = load(f"source,target,{column},score\nen,fi,f1,80\nen,sw,f1,70\n").scores
    assert getattr(only, column) == "f1"


def test_scores_of_several_models_are_refused_unless_each_source_has_one(load: Any) -> None:
    lines = "en,fi,{},80\nen,sw,{},70\nfi,en,{},60\nfi,sw,{},50\n"
    with pytest.raises(XsnsError, match=r"column 'model' of .* has scores of several models: mbert, xlmr"):
        load("source,target,model,score\n" + lines.format("mbert", "xlmr", "mbert", "mbert"))
    # Each source may have a model of its own.
    imported = load("source,target,Model,score\n" + lines.format("xlmr-en", "xlmr-en", "xlmr-fi", "xlmr-fi"))
    assert imported.scores["fi", "sw"] == 50
    assert "not read: columns Model of 'scores.csv'." in imported.notes


def test_columns_that_are_not_read_are_named(load: Any) -> None:
    imported = load("Unnamed: 0,source,target,score,std,note\n0,en,fi,80,1.2,\n1,en,sw,70,2,\n")
    assert "not read: columns std of 'scores.csv'." in imported.notes


@pytest.mark.parametrize("name", ["run", "Random Seed", "trial", "rep", "run_id"])
def test_runs_with_numbers_are_seeds(load: Any, name: str) -> None:
    imported = load(f"source,target,{name},score\nen,fi,1,80\nen,fi,2,82\n")
    assert imported.scores.seeds == (1, 2)
    assert f"in 'scores.csv' the column '{name}' is the seed." in imported.notes
    assert not any(note.startswith("not read") for note in imported.notes)


def test_runs_with_names_are_not_seeds(load: Any) -> None:
    with pytest.raises(XsnsError, match="the score en → fi occurs twice: 80 and 82"):
        load("source,target,run,score\nen,fi,a,80\nen,fi,b,82\n")


def test_headers_of_two_levels_are_refused_without_a_hint_to_transpose(load: Any) -> None:
    """pandas writes columns with two levels in this form; the hint must not exchange sources and targets."""
    text = "metric,f1,f1,acc,acc\ntarget,en,fi,en,fi\nsource,,,,\nen,90,80,95,85\nfi,60,85,66,88\n"
    with pytest.raises(XsnsError, match="the score en → fi occurs twice: 80 and 85") as caught:
        load(text)
    assert "--transpose" not in caught.value.hint


def test_the_utf_16_text_of_excel_is_read(load: Any) -> None:
    imported = load("source\ttarget\tscore\r\nen\tfi\t81,2\r\n", encoding="utf-16")
    assert values(imported) == {"en fi": 81.2}


def test_missing_values_of_r_differ_from_codes_that_look_like_them(load: Any) -> None:
    imported = load("source,target,score\nna,nan,1\nno,nan,2\nnan,no,NA\nnan,na,NaN\nnan,en,3\n", unit="percent")
    assert values(imported) == {"na nan": 1, "no nan": 2, "nan en": 3}


def test_the_columns_of_an_exported_file_are_imported(load: Any, tmp_path: Path) -> None:
    """The columns of the program's own tables are read again, with their task and metric."""
    with (tmp_path / "own.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["source", "target", "regime", "seed", "score", "task", "metric"])
        table.writerow(["en", "fi", "main", "", "80", "pos", "accuracy"])
    scores = import_scores(tmp_path / "own.csv").scores
    assert (scores.task, scores.metric, scores["en", "fi"]) == ("pos", "accuracy", 80)


# ------------------------------------------------------------------------------------- predictors of scores

SIMILARITIES = {"en fi": 0.5, "fi en": -0.4}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.csv", "source;en;fi\nen;1;0,5\nfi;−0,4;1\n"),
        ("s.csv", "source,en,fi\nen,1,0.5\nfi,−0.4,1\n"),
        ("s.csv", "\ufeffsource,\u200ben,fi\nen,1,0.5\nfi,-0.4,1\n"),
        ("s.csv", "target,en,fi\nsource,,\nen,1,0.5\nfi,-0.4,1\n"),
        ("s.tsv", '"en"\t"fi"\n"en"\t1\t0.5\n"fi"\t-0.4\t1\n'),
    ],
)
def test_every_form_of_a_similarity_matrix_gives_the_same_values(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    matrix = read_matrix(tmp_path / name)
    assert {pair: matrix[pair[:2], pair[3:]] for pair in SIMILARITIES} == SIMILARITIES


@pytest.mark.parametrize("cell", ["50 %", "**0.5**", "0.5 ± 0.1", "1,234", "?"])
def test_cells_of_predictors_that_would_lose_something(cell: str, tmp_path: Path) -> None:
    (tmp_path / "s.csv").write_text(f'source,en,fi\nen,1,"{cell}"\nfi,0.4,1\n', encoding="utf-8")
    with pytest.raises(XsnsError, match=r"1 cell of 's\.csv' contains no number: en → fi"):
        read_matrix(tmp_path / "s.csv")


# ----------------------------------------------------------------------------------- tables of papers and pages

LONG = {"en fi": 80, "en sw": 70, "fi en": 60, "fi sw": 50}


@pytest.mark.parametrize(
    "rows",
    [
        # The text of a field over several rows is in the last of them, in the first of them, and as pandas writes it.
        r" & fi & 80 \\ \multirow{-2}{*}{en} & sw & 70 \\ \hline & en & 60 \\ \multirow{-2}{*}{fi} & sw & 50 \\",
        r"\multirow{2}{*}{en} & fi & 80 \\ & sw & 70 \\ \hline \multirow{2}{2em}{fi} & en & 60 \\ & sw & 50 \\",
        r"\multirow[t]{2}{*}{en} & fi & 80 \\ & sw & 70 \\ \hline \multirow[t]{2}{*}{fi} & en & 60 \\ & sw & 50 \\",
    ],
)
@pytest.mark.parametrize("header", [r"source & target & f1 \\", r" & & f1 \\ source & target & \\"])
def test_labels_over_several_rows_apply_to_each_row(load: Any, rows: str, header: str) -> None:
    imported = load(f"\\begin{{tabular}}{{llr}}\n{header} \\hline\n{rows}\n\\end{{tabular}}", "scores.tex")
    assert values(imported) == LONG
    assert not any("above the header" in note for note in imported.notes)


@pytest.mark.parametrize(
    "body",
    [
        # Line ends and tables within a field.
        r"source & \makecell{English\\(en)} & fi \\ en & 90 & 80 \\ fi & 60 & 85 \\",
        r"source & \begin{tabular}[c]{@{}c@{}}English\\ (en)\end{tabular} & fi \\ en & 90 & 80 \\ fi & 60 & 85 \\",
        r"source & en & fi \\ en & \makecell{90\\ \tiny{$\pm$ 0.3}} & $80_{\pm 0.2}$ \\ fi & 60 {\small (0.1)} & 85 \\",
        # Formatting around and beside numbers.
        r"source & en & fi \\ en & 90\textsuperscript{*} & 80\rlap{$^\dagger$} \\ fi & \phantom{0}60 & \emph{85} \\",
        r"source & en & fi \\ en~\cite{x} & 90.0(3) & \num{80.0} \\ fi & 60 \pm 0.2 & \cellcolor{red}\textbf{85} \\",
    ],
)
def test_fields_of_latex_are_read_without_formatting(load: Any, body: str) -> None:
    assert values(load(f"\\begin{{tabular}}{{lcc}}\n{body}\n\\end{{tabular}}\n", "scores.tex")) == MATRIX


def test_only_the_first_of_several_tables_is_read(load: Any) -> None:
    latex = "\\begin{{tabular}}{{lrr}}\nsource & en & fi \\\\\nen & {} & 80 \\\\\nfi & 60 & 85 \\\\\n\\end{{tabular}}\n"
    imported = load(latex.format(90) + latex.format(9), "scores.tex")
    assert values(imported) == MATRIX
    assert "'scores.tex' was read as the first of 2 LaTeX tables." in imported.notes
    table = "| source | {} | fi |\n|:--|--:|--:|\n| en | **90** | 80 |\n| fi | 60 | 85<br>± 0.2 |\n"
    imported = load(f"# Scores\n\n{table.format('en')}\nand\n\n{table.format('sw')}", "scores.md")
    assert values(imported) == MATRIX
    assert "'scores.md' was read as the first of 2 Markdown tables." in imported.notes


def test_a_table_of_tabulate_is_read(load: Any) -> None:
    text = (
        "|    | source   | target   |   score |\n|---:|:---------|:---------|--------:|\n|  0 | en | fi |      80 |\n"
    )
    assert values(load(text, "scores.md")) == {"en fi": 80}


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 150\n", "a pointer of Git LFS"),
        ("<!DOCTYPE html>\n<html><body>Sign in, please</body></html>\n", "an HTML page"),
    ],
)
def test_placeholders_instead_of_a_table_are_refused(load: Any, text: str, kind: str) -> None:
    with pytest.raises(XsnsError, match=f"is {kind}, not the file itself"):
        load(text)


def test_other_separators_and_missing_values_are_recognised(load: Any) -> None:
    for name in ("scores.csv", "scores.txt"):
        assert values(load("source|en|fi\nen|90|80\nfi|60|85\n", name)) == MATRIX
    assert values(load("source,en,fi\nen,NaN,80\nfi,<NA>,#N/A\nsw,None,70\n")) == {"en fi": 80, "sw fi": 70}


@pytest.mark.parametrize("name", ["scores.parquet", "scores.jsonl"])
def test_files_that_pandas_wrote_are_imported(name: str, tmp_path: Path) -> None:
    frame = pd.DataFrame({"source": ["en", "en", "fi"], "target": ["fi", "sw", "sw"], "f1": [80.0, None, 70.5]})
    path = tmp_path / name
    if name.endswith(".parquet"):
        frame.to_parquet(path)
        table = pd.DataFrame([[90, 80], [60, 85]], index=pd.Index(["en", "fi"], name="source"), columns=["en", "fi"])
        table.to_parquet(tmp_path / "matrix.parquet")
        assert values(import_scores(tmp_path / "matrix.parquet")) == MATRIX
    else:
        frame.to_json(path, orient="records", lines=True)
    imported = import_scores(path)
    assert values(imported) == {"en fi": 80, "fi sw": 70.5}
    assert imported.scores.metric == "f1"
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(XsnsError, match="cannot be read as a table"):
        import_scores(path)
