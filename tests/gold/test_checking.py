"""Checks of imported scores and their messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xsns_stream.errors import LanguageError, UsageError, XsnsError
from xsns_stream.gold import ImportedScores, import_scores
from xsns_stream.gold.score_files import summarise


@pytest.fixture
def matrix(tmp_path: Path) -> Any:
    """Import a matrix from its text."""

    def load(text: str, **options: Any) -> ImportedScores:
        path = tmp_path / "scores.csv"
        path.write_text(text, encoding="utf-8")
        layout = options.pop("layout", "matrix")
        return import_scores(path, layout, **({"task": "pos", "metric": "accuracy"} | options))

    return load


# --------------------------------------------------------------------------------------------- unit


def test_fractions_that_are_called_percent_are_refused(matrix: Any) -> None:
    with pytest.raises(XsnsError, match="these are fractions, not percentages") as caught:
        matrix("source,sw,fi\nsw,0.9,0.5\nfi,0.4,1\n", unit="percent")
    assert "--unit fraction" in caught.value.hint


def test_percentages_that_are_called_fractions_are_refused(matrix: Any) -> None:
    with pytest.raises(XsnsError, match="3 of 4 scores are not between 0 and 1"):
        matrix("source,sw,fi\nsw,90,50\nfi,40,1\n", unit="fraction")


def test_fractions_and_percent_in_one_file_are_refused(matrix: Any) -> None:
    text = "source,sw,fi,et\nsw,90,50,60\nfi,0.4,0.95,0.8\n"
    with pytest.raises(XsnsError, match="mixed: every score is 1 or less for source fi"):
        matrix(text, unit="percent")
    assert matrix(text, unit="points").scores["fi", "sw"] == 0.4


@pytest.mark.parametrize(
    "text",
    [
        "en,sw,0.81\nen,fi,80.2\nfi,en,0.77\nfi,sw,75.0\n",
        "en,sw,0.81\nen,fi,0.77\nfi,en,81.0\nfi,sw,75.0\n",
        "en,en,0.9\nen,fi,80\nen,sw,70\nfi,en,0.8\nfi,fi,90\nfi,sw,60\nsw,en,70\nsw,fi,0.7\nsw,sw,95\n",
    ],
)
@pytest.mark.parametrize("unit", [None, "percent"])
def test_fractions_and_percentages_mixed_cell_by_cell_are_refused(matrix: Any, text: str, unit: str | None) -> None:
    text = f"source,target,score\n{text}"
    with pytest.raises(XsnsError, match=r"fractions and percentages are mixed: \d scores are 1 or less") as caught:
        matrix(text, layout="long", unit=unit)
    assert "→" in caught.value.message
    assert matrix(text, layout="long", unit="points").scores.unit == "points"


def test_low_percentages_without_a_gap_are_accepted(matrix: Any) -> None:
    for low in ("0.4,0.9,5", "0,0.0,50"):
        imported = matrix(f"source,sw,fi,et\nsw,90,50,60\nfi,{low}\n", unit="percent")
        assert imported.notes == ()


def test_single_low_score_is_noted(matrix: Any) -> None:
    (note,) = matrix("source,sw,fi,et\nsw,90,50,60\nfi,0.4,30,40\n", unit="percent").notes
    assert note == "the score of fi → sw (0.4) is 1 or less, and all others are above 10: is it a fraction?"


@pytest.mark.parametrize("line", ["fi,0,0,0", "fi,0.4,0.9,2"])
def test_source_with_only_low_scores_is_accepted(matrix: Any, line: str) -> None:
    assert matrix(f"source,sw,fi,et\nsw,90,50,60\n{line}\n", unit="percent").scores.unit == "percent"


def test_unit_is_inferred_and_noted(matrix: Any) -> None:
    for scale, unit in ((1, "percent"), (0.01, "fraction")):
        imported = matrix(f"source,sw\nfi,{scale * 40}\net,{scale * 50}\n")
        assert imported.scores.unit == unit
        assert f"are assumed to be {unit}." in imported.notes[-1]
    with pytest.raises(UsageError, match="neither fractions nor percentages"):
        matrix("source,sw\nfi,-3\net,50\n")
    with pytest.raises(XsnsError, match="cannot be percentages"):
        matrix("source,sw\nfi,3\net,150\n", unit="percent")
    with pytest.raises(UsageError, match="no unit 'per mille'"):
        matrix("source,sw\nfi,3\n", unit="per mille")


# -------------------------------------------------------------------------------- cells and duplicates


@pytest.mark.parametrize("cell", ["OOM", "1,23.5", "high", "(50)", "1 2", "%", "nan%", "1_0", "± 3", "*"])
def test_cell_that_is_not_a_number_is_named(matrix: Any, cell: str) -> None:
    with pytest.raises(XsnsError, match="1 cell of the scores does not contain a number: fi → sw"):
        matrix(f'source,sw,fi\nsw,90,50\nfi,"{cell}",80\n')


def test_infinite_cells_are_named_and_nan_is_missing(matrix: Any) -> None:
    with pytest.raises(XsnsError, match="2 cells of the scores are infinite: sw → fi, fi → sw"):
        matrix("source,sw,fi\nsw,90,inf\nfi,-Infinity,80\n")
    imported = matrix("source,sw,fi\nsw,90,NaN\nfi,nan,80\n", unit="percent")
    assert np.isnan(imported.scores.values).sum() == 2
    assert imported.notes == ("2 of 2 pairs of different languages have no score: sw → fi, fi → sw.",)


def test_duplicate_score_is_an_error(matrix: Any) -> None:
    for second in ("50", "51"):
        with pytest.raises(XsnsError, match="the score sw → fi occurs twice: 50 and"):
            matrix(f"source,target,score\nsw,fi,50\nfi,sw,40\nsw,fi,{second}\n", layout="long")
    with pytest.raises(XsnsError, match="occurs twice"):
        matrix("source,sw,sw\nfi,50,60\n")


def test_of_many_duplicate_scores_ten_are_named(matrix: Any) -> None:
    codes = ("sw", "fi", "en", "de")
    rows = "".join(f"{source},{target},50\n" for source in codes for target in codes)
    with pytest.raises(XsnsError, match=r"the score sw → en occurs twice.*; 6 more scores occur twice") as caught:
        matrix(f"source,target,score\n{rows}{rows}", layout="long")
    assert caught.value.message.count("occurs twice") == 10


def test_two_labels_of_one_language_are_refused(matrix: Any) -> None:
    with pytest.raises(XsnsError, match="'swa' and 'swh' are both 'sw'") as caught:
        matrix("source,fi\nswa,50\nswh,60\n")
    assert "--rename" in caught.value.hint


def test_files_without_scores_are_refused(matrix: Any) -> None:
    for text in ("", "\n\n", "source,sw,fi\n"):
        with pytest.raises(XsnsError, match="is empty"):
            matrix(text)
    with pytest.raises(XsnsError, match="every cell of the file is empty"):
        matrix("source,sw,fi\nsw,,\nfi,,\n")


def test_language_without_scores_is_left_out_and_noted(matrix: Any) -> None:
    imported = matrix("source,sw,fi,et\nsw,90,50,\nfi,40,80,\nde,,,\n", unit="percent")
    assert (imported.scores.sources, imported.scores.targets) == (("sw", "fi"), ("sw", "fi"))
    assert any("these sources are left out, because they have no score: de" in note for note in imported.notes)
    assert any("these targets are left out, because they have no score: et" in note for note in imported.notes)


def test_line_that_is_too_long_is_named_by_its_number(matrix: Any) -> None:
    with pytest.raises(XsnsError, match=r"line 3 of '.*scores.csv' has 4 fields, but the first has 3"):
        matrix("source,sw,fi\nsw,90,50\nfi,40,80,20\n")


# -------------------------------------------------------------------------------------------- codes


def test_import_that_would_lose_labels_is_an_error_that_lists_them(matrix: Any) -> None:
    text = "source,sw,Finno\nfi,50,60\nall languages,40,45\n"
    with pytest.raises(XsnsError, match=r"labels that are .*: Finno \(2\), all languages \(2\)\.") as caught:
        matrix(text, unit="percent")
    assert "--rename" in caught.value.hint
    assert "--skip-unknown imports the rest, without 3 of 4 scores" in caught.value.hint
    imported = matrix(text, unit="percent", skip_unknown=True)
    assert (imported.scores.sources, imported.scores.targets) == (("fi",), ("sw",))
    assert imported.left_out.to_json() == {
        "labels": {"Finno": 2, "all languages": 2},
        "ambiguous": {},
        "collisions": {},
        "cells": [],
        "scores": 3,
        "of": 4,
        "summaries": {},
    }
    assert imported.notes[0].startswith("3 of 4 scores are left out: ")


def test_all_problems_are_in_one_message(matrix: Any) -> None:
    text = (
        'source,sw,Finno,English,mon_Cyrl\nfi,50,60,1,"1,234"\nSuomi,40,45,high,70\net,30,31,inf,33\nGa,30,31,32,33\n'
    )
    with pytest.raises(XsnsError) as caught:
        matrix(text, unit="percent")
    for part in (
        "Finno (4)",
        "'Ga' is the code of ga and the name of gaa",
        "'fi' and 'Suomi' are both 'fi'",
        "1 cell of the scores does not contain a number: Suomi → English ('high')",
        "1 cell of the scores is infinite: et → English",
        "1 cell of the scores can be read in two ways: fi → mon_Cyrl ('1,234')",
    ):
        assert part in caught.value.message
    imported = matrix(text, unit="percent", skip_unknown=True)
    assert (imported.scores.sources, imported.scores.targets) == (("et",), ("sw", "mn"))
    assert imported.scores.values.tolist() == [[30, 33]]
    assert (imported.left_out.scores, imported.left_out.of) == (14, 16)
    assert imported.left_out.collisions == {"fi": ("fi", "Suomi")}
    assert imported.left_out.ambiguous == {"Ga": ("ga", "gaa")}


def test_a_score_that_stands_twice_cannot_be_skipped(matrix: Any) -> None:
    text = "source,target,score\nsw,fi,50\nsw,fi,51\nFinno,fi,1\n"
    with pytest.raises(XsnsError, match=r"Finno \(1\); the score sw → fi occurs twice: 50 and 51") as caught:
        matrix(text, layout="long")
    assert "column `seed`" in caught.value.hint
    with pytest.raises(XsnsError, match=r"^the score sw → fi occurs twice"):
        matrix(text, layout="long", skip_unknown=True)


def test_labels_of_one_language_on_one_side_are_not_merged(matrix: Any) -> None:
    """The rows of `aka` and `twi` do not overlap. They are refused, and not merged into one row of `ak`."""
    text = "source,target,score\naka,fi,50\ntwi,en,60\nsw,en,40\n"
    with pytest.raises(XsnsError, match="'aka' and 'twi' are both 'ak'"):
        matrix(text, layout="long", unit="percent")
    apart = matrix("source,target,score\naka,fi,50\nsw,twi,60\n", layout="long", unit="percent")
    assert (apart.scores.sources, apart.scores.targets) == (("ak", "sw"), ("fi", "ak"))


# -------------------------------------------------------------------------------------------- names


def test_languages_are_recognised_by_name(matrix: Any) -> None:
    imported = matrix(
        ",English,Mandarin Chinese,Norwegian Bokmål,en-GB\nKiswahili,50,60,70,80\nfi,1,2,3,4\n", unit="percent"
    )
    assert (imported.scores.sources, imported.scores.targets) == (("sw", "fi"), ("en", "zh", "nb", "en-GB"))
    assert imported.by_name == {"Kiswahili": "sw", "English": "en", "Mandarin Chinese": "zh", "Norwegian Bokmål": "nb"}
    assert any(note.startswith("labels recognised by name: Kiswahili = sw, English = en") for note in imported.notes)


def test_code_that_is_also_a_name_is_ambiguous_among_names(matrix: Any) -> None:
    text = "source,Ga,{}\nfi,50,60\n"
    assert matrix(text.format("sw"), unit="percent").scores.targets == ("ga", "sw")
    with pytest.raises(XsnsError, match="'Ga' is the code of ga and the name of gaa"):
        matrix(text.format("Swahili"), unit="percent")
    imported = matrix(text.format("Swahili"), unit="percent", rename={"Ga": "gaa"})
    assert imported.scores.targets == ("gaa", "sw")


# ------------------------------------------------------------------------------------------ numbers


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_numbers_are_read_as_spreadsheets_write_them(matrix: Any, separator: str) -> None:
    lines = [("", "sw", "en", "zh", "de"), ("fi", '"55,2"', "31.2%", "–", "40"), ("yo", "50", "29 %", '"33,1"', "-")]
    imported = matrix("\n".join(separator.join(line) for line in lines) + "\n")
    np.testing.assert_array_equal(imported.scores.values, [[55.2, 31.2, np.nan, 40], [50, 29, 33.1, np.nan]])
    assert imported.scores.unit == "percent"
    assert "commas are decimal signs in 2 of 8 cells, such as 55,2." in imported.notes
    assert "2 of 8 cells have a percent sign: the scores are percentages." in imported.notes


def test_comma_before_three_digits_is_read_if_other_cells_have_decimal_commas(matrix: Any) -> None:
    table = 'source,sw,fi\nen,"12,345","{}"\n'
    with pytest.raises(XsnsError, match=r"can be read in two ways: en → sw \('12,345'\)"):
        matrix(table.format("12"), unit="percent")
    assert matrix(table.format("12,5"), unit="percent").scores.values.tolist() == [[12.345, 12.5]]
    with pytest.raises(XsnsError, match=r"can be read in two ways: en → sw \('12\.345'\)"):
        matrix('source,sw,fi\nen,12.345,"12,5"\n', unit="percent")
    assert matrix('source,sw\nen,"0,812"\n').scores.values.tolist() == [[0.812]]
    assert matrix("source,sw\nen,12.345\n").scores.values.tolist() == [[12.345]]


def test_percent_signs_imply_the_unit(matrix: Any) -> None:
    for unit in ("fraction", "points"):
        with pytest.raises(XsnsError, match=f"have a percent sign, but the unit was given as {unit}"):
            matrix("source,sw,fi\nen,31.2%,40%\n", unit=unit)
    with pytest.raises(XsnsError, match="fractions and percentages are mixed"):
        matrix("source,sw,fi\nen,31.2%,0.4\n")


def test_text_in_utf16_is_read_and_other_encodings_are_refused(tmp_path: Path) -> None:
    path, text = tmp_path / "scores.csv", "source,sw\nEspañol,50\n"
    for encoding in ("utf-16", "utf-8-sig"):
        path.write_bytes(text.encode(encoding))
        imported = import_scores(path, "matrix", unit="percent")
        assert imported.scores.sources == ("es",)
        assert ("'scores.csv' was read as UTF-16." in imported.notes) == (encoding == "utf-16")
    path.write_bytes(text.encode("utf-16-le"))
    with pytest.raises(XsnsError, match="contains NUL characters"):
        import_scores(path, "matrix")
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(XsnsError, match=r"scores\.csv' cannot be read as a table") as caught:
        import_scores(path, "matrix")
    assert caught.value.hint == "save it as UTF-8 text; in Excel choose `Save As`, `CSV UTF-8`."
    path.write_text("sep=;\nsource;sw\nfi;50\n")
    assert import_scores(path, "matrix", unit="percent").scores["fi", "sw"] == 50


def test_labels_are_shown_without_control_characters(matrix: Any) -> None:
    with pytest.raises(XsnsError) as caught:
        matrix('source,sw,"\x1b[31mred\u202e"\nfi,1,2\n')
    assert r"\x1b[31mred\u202e (1)" in caught.value.message
    assert caught.value.message.isprintable()


def test_labels_can_be_renamed(matrix: Any) -> None:
    text = "source,Swahili,fi\nFinnish 2,50,60\n"
    imported = matrix(text, rename={"Swahili": "swh", "Finnish 2": "fi"}, unit="percent")
    assert (imported.scores.sources, imported.scores.targets, imported.notes) == (("fi",), ("sw", "fi"), ())
    with pytest.raises(UsageError, match="no label 'Swahli' to rename") as caught:
        matrix(text, rename={"Swahli": "sw"})
    assert "'Swahili'" in caught.value.hint
    with pytest.raises(LanguageError, match="is not a language code"):
        matrix(text, rename={"Swahili": "no such code"})


def test_file_without_language_codes_is_an_error(matrix: Any) -> None:
    with pytest.raises(XsnsError, match="no label is the code of a language"):
        matrix("source,the first,the second\nthe third,50,60\n")


def test_codes_on_one_side_only_are_an_error(matrix: Any) -> None:
    with pytest.raises(
        XsnsError, match="no score has language codes for both its source and its target; labels are sw, the score"
    ):
        matrix("source,the score\nsw,50\n")


def test_a_language_may_be_called_nan(matrix: Any) -> None:
    imported = matrix("source,nan,sw\nnan,90,50\nsw,40,\n", unit="percent")
    assert imported.scores.sources == ("nan", "sw")


# --------------------------------------------------------------------------------------- orientation


def test_matrix_with_targets_as_rows_needs_transpose(matrix: Any) -> None:
    text = "target,sw,fi\nsw,90,50\nde,40,80\n"
    with pytest.raises(UsageError, match="is transposed: its header calls the rows 'target'"):
        matrix(text)
    imported = matrix(text, transpose=True, unit="percent").scores
    assert (imported.sources, imported["fi", "de"]) == (("sw", "fi"), 80)
    with pytest.raises(UsageError, match="--transpose reads them as targets"):
        matrix("source,sw,fi\nsw,90,50\n", transpose=True)


@pytest.mark.parametrize(
    "corner",
    [
        "target/source", "tgt\\src", r"target \ source", "test \\ train", "to\\from", "Target", "evaluated on",
        "lang_pred", "testLang → trainLang", "source→ target↓", "TGT",
    ],
)  # fmt: skip
def test_first_field_that_names_targets_needs_transpose(matrix: Any, corner: str) -> None:
    text = f"{corner},en,fi\nen,90,80\nsw,70,60\n"
    with pytest.raises(UsageError, match="the matrix is transposed"):
        matrix(text)
    assert matrix(text, unit="percent", transpose=True).scores["fi", "sw"] == 60


@pytest.mark.parametrize(
    "corner", ["source/target", r"src \ tgt", "train|test", "from→to", "trained on", "transfer", "lang_train"]
)
def test_first_field_that_names_sources_rejects_transpose(matrix: Any, corner: str) -> None:
    text = f"{corner},en,fi\nen,90,80\nsw,70,60\n"
    assert matrix(text, unit="percent").scores["sw", "fi"] == 60
    with pytest.raises(UsageError, match="--transpose reads them as targets"):
        matrix(text, transpose=True)


@pytest.mark.parametrize("corner", ["", "lang", "zu", "iso", "accuracy", "tortoise", "constraint"])
def test_other_words_in_the_first_field_are_ignored(matrix: Any, corner: str) -> None:
    text = f"{corner},en,fi\nen,90,80\nsw,70,60\n"
    assert matrix(text, unit="percent").scores["sw", "fi"] == 60
    assert matrix(text, unit="percent", transpose=True).scores["fi", "sw"] == 60


# ---------------------------------------------------------------------------------------- summaries


@pytest.mark.parametrize("word", ["max", "min", "sum", "std", "all", "MAX", "med", "var", "dev", "src"])
def test_summary_words_are_languages_only_after_rename(matrix: Any, word: str) -> None:
    text = f"source,en,fi\nen,90,80\nsw,70,60\n{word},90,80\n"
    with pytest.raises(XsnsError, match=f"'{word}' is a word for a summary and the code of a language") as caught:
        matrix(text, unit="percent")
    assert f"--rename {word}={word} selects the language" in caught.value.hint
    imported = matrix(text, unit="percent", skip_unknown=True)
    assert imported.scores.sources == ("en", "sw")
    assert list(imported.left_out.to_json()["summaries"]) == [word]
    assert imported.left_out.scores == 2
    renamed = matrix(text, unit="percent", rename={word: word}).scores
    assert len(renamed.sources) == 3
    assert renamed.values[2].tolist() == [90, 80]


def test_matrix_that_looks_transposed_is_noted(matrix: Any) -> None:
    transposed = ",sw,fi\nsw,90,50\nfi,40,80\net,30,70\n"
    assert any("this looks transposed" in note for note in matrix(transposed, unit="percent").notes)
    assert matrix(transposed, unit="percent", transpose=True).notes == ()
    assert matrix(",sw,fi,et\nsw,90,50,60\nfi,40,80,70\n", unit="percent").notes == ()


def test_a_sparse_table_with_few_targets_does_not_look_transposed(matrix: Any) -> None:
    """The same count of pairs without a score is in the note and in the summary."""
    sparse = "source,target,score\nfi,sw,50\net,sw,60\nde,fi,70\nen,fi,40\nsw,sw,90\n"
    imported = matrix(sparse, layout="long", unit="percent")
    assert imported.notes == (
        "4 of 8 pairs of different languages have no score: et → fi, de → sw, en → sw, sw → fi.",
        "1 source has no score on its own language: fi.",
    )
    assert len(summarise(imported.scores).missing) == 4


def test_seeds_for_some_lines_only_are_an_error(matrix: Any) -> None:
    with pytest.raises(XsnsError, match="some scores have a seed"):
        matrix("source,target,seed,score\nsw,fi,1,50\nfi,sw,,40\n", layout="long")
    with pytest.raises(XsnsError, match="'first' in column 'seed'"):
        matrix("source,target,seed,score\nsw,fi,first,50\n", layout="long")


def test_target_whose_scores_look_like_fractions_is_noted(tmp_path: Path) -> None:
    table = tmp_path / "m.csv"
    table.write_text("source,sw,fi,et\nen,0.61,80,75\nfr,0.50,70,72\nzu,0.55,40,30\n")
    imported = import_scores(table, "matrix", unit="percent")
    assert any("target sw: are these fractions among percentages?" in note for note in imported.notes)
