"""Reading of similarity matrices from every format, and from tables of other programs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.paths import SHARED_DATA as SHARED
from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.report import write_matrix
from xsns_stream.similarity.matrix_io import MATRIX_FORMATS, frame_matrix, known_languages, read_matrix
from xsns_stream.types import SimilarityMatrix
from xsns_stream.types.predictor_records import DrawnText, PredictorRecord

NAN = float("nan")
# Codes that other programs read as another value: `nan` (not a number) and `no` (false).
SOURCES, TARGETS = ("nan", "no", "sw"), ("zh-Hant", "nan")


def made(seeds: tuple[int, ...] = (7, 8)) -> SimilarityMatrix:
    per_seed = np.random.default_rng(5).uniform(0, 1, (len(seeds), 3, 2))
    per_seed[:, 1, 0] = NAN
    values = per_seed.mean(axis=0)
    return SimilarityMatrix(
        SOURCES, TARGETS, values, "jaccard", np.full((3, 2), 0.08), seeds, per_seed, np.full((3, 2), 0.01)
    )


def same(one: SimilarityMatrix, two: SimilarityMatrix, *, everything: bool = True) -> None:
    assert (one.sources, one.targets) == (two.sources, two.targets)
    np.testing.assert_array_equal(one.values, two.values)
    if everything:
        assert (one.coefficient, one.seeds) == (two.coefficient, two.seeds)
        for name in ("chance", "per_seed", "standard_error"):
            expected = getattr(two, name)
            if expected is None:
                assert getattr(one, name) is None
            else:
                np.testing.assert_array_equal(getattr(one, name), expected)


@pytest.fixture
def table(tmp_path: Path) -> Any:
    """Read a matrix from the text of a file."""

    def load(text: str, name: str = "ldnd.csv", **options: Any) -> SimilarityMatrix:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return read_matrix(tmp_path / name, **options)

    return load


# ------------------------------------------------------------------------------------ what we wrote


@pytest.mark.parametrize("suffix", MATRIX_FORMATS)
def test_a_matrix_round_trips(tmp_path: Path, suffix: str) -> None:
    path = write_matrix(made(), tmp_path / f"m{suffix}", density=0.15)
    same(read_matrix(path), made(), everything=suffix not in {".csv", ".tsv"})


@pytest.mark.parametrize("suffix", [".parquet", ".json", ".npz"])
def test_a_matrix_without_seeds_and_chance_round_trips(tmp_path: Path, suffix: str) -> None:
    plain = SimilarityMatrix(("sw",), ("en", "fi"), np.array([[0.1, NAN]]), "l2v")
    same(read_matrix(write_matrix(plain, tmp_path / f"m{suffix}")), plain)


def test_all_arrays_are_transposed(tmp_path: Path) -> None:
    path = write_matrix(made(), tmp_path / "m.parquet")
    transposed = read_matrix(path, transpose=True)
    assert (transposed.sources, transposed.targets) == (TARGETS, SOURCES)
    np.testing.assert_array_equal(transposed.values, made().values.T)
    assert transposed.per_seed is not None
    assert transposed.per_seed.shape == (2, 2, 3)
    write_matrix(transposed, path)
    same(read_matrix(path, transpose=True), made())


def test_the_frame_in_the_parquet_file_is_pandas_own(tmp_path: Path) -> None:
    path = write_matrix(made(), tmp_path / "m.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(path), made().to_frame())


def test_similarities_are_not_read_as_distances(tmp_path: Path) -> None:
    path = write_matrix(made(), tmp_path / "m.npz")
    with pytest.raises(UsageError, match="contains similarities, not distances"):
        read_matrix(path, distance=True)


# ------------------------------------------------------------------------------------- other tables


def test_codes_are_normalised_and_empty_cells_are_undefined(table: Any) -> None:
    matrix = table("lang\tafr_Latn\tarb_Arab\nafr_Latn\t\t0.25\nswh_Latn\t0.5\t-1e-3\n", "layer7.tsv")
    assert (matrix.sources, matrix.targets) == (("af", "sw"), ("af", "ar"))
    np.testing.assert_array_equal(matrix.values, [[NAN, 0.25], [0.5, -0.001]])
    assert (matrix.coefficient, matrix.seeds, matrix.per_seed) == ("layer7", (), None)


def test_distances_become_similarities(table: Any) -> None:
    text = "x,sw,fi\nsw,0,75\nfi,75,\n"
    np.testing.assert_array_equal(table(text, distance=True, scale=100).values, [[1, 0.25], [0.25, NAN]])
    np.testing.assert_array_equal(table(text, distance=True).values, [[1, -74], [-74, NAN]])
    with pytest.raises(XsnsError, match="negative distances"):
        table("x,sw\nfi,-1\n", distance=True)
    for options in ({"scale": 100}, {"distance": True, "scale": 0}, {"distance": True, "scale": -1}):
        with pytest.raises(UsageError, match="scale"):
            table(text, **options)


def test_labels_that_are_not_codes_stay(table: Any) -> None:
    matrix = table("x,sw,the average\nfi,1,2\nde,3,4\n")
    assert matrix.targets == ("sw", "the average")


def test_a_matrix_that_would_lose_rows_or_columns_is_refused(table: Any) -> None:
    matrix = table("x,sw,the average,German\nfi,1,2,3\naka,4,5,6\ntwi,7,8,9\nde,1,1,1\n")
    with pytest.raises(XsnsError, match=r"do not name exactly one language: the average\.") as caught:
        known_languages(matrix, "'m.csv'")
    assert "--skip-unknown" in caught.value.hint
    known = known_languages(matrix, "'m.csv'", skip_unknown=True)
    assert (known.matrix.sources, known.matrix.targets) == (("fi", "de"), ("sw", "de"))
    assert known.matrix.values.tolist() == [[1, 3], [1, 1]]
    assert (known.left_out, known.by_name) == (("aka", "twi", "the average"), {"German": "de"})


def test_several_codes_of_one_language_stay_labels_as_in_a_store(table: Any) -> None:
    matrix = table("x,sw,fi\naka_Latn,4,5\ntwi_Latn,7,8\nsw,1,1\n")
    known = known_languages(matrix, "m")
    assert known.matrix.sources == ("aka_Latn", "twi_Latn", "sw")
    assert known.shared == {"ak": ["aka_Latn", "twi_Latn"]}
    chosen = known_languages(matrix, "m", rename={"aka_Latn": "ak"})
    assert (chosen.matrix.sources, chosen.shared) == (("ak", "twi_Latn", "sw"), {})
    # One label is a name: two labels of one language are then a mistake in the table.
    with pytest.raises(XsnsError, match=r"do not name exactly one language: sw \(sw\), Swahili \(sw\)\."):
        known_languages(table("x,fi\nsw,4\nSwahili,7\n"), "m")


def test_all_arrays_are_restricted(tmp_path: Path) -> None:
    matrix = replace(made(), sources=("nan", "no", "the average"))
    known = known_languages(matrix, "m", skip_unknown=True).matrix
    assert known.sources == ("nan", "no")
    np.testing.assert_array_equal(known.values, made().values[:2])
    assert known.per_seed is not None
    np.testing.assert_array_equal(known.per_seed, made().per_seed[:, :2])  # type: ignore[index]


RECORD = PredictorRecord(
    "emb", "mini", "w" * 64, "t" * 64, "folder(texts)", 128, (7, 8), "masked-lm(max_length=64)", 64,
    {"sw": {7: DrawnText("sw", "d" * 64, 100), 8: DrawnText("swh", "e" * 64, 128)}}, {"layer": 2, "centre": False},
)  # fmt: skip


@pytest.mark.parametrize("suffix", [".parquet", ".json", ".npz"])
def test_the_record_round_trips(tmp_path: Path, suffix: str) -> None:
    path = write_matrix(replace(made(), record=RECORD), tmp_path / f"m{suffix}")
    assert read_matrix(path).record == RECORD
    assert read_matrix(path, transpose=True).record == RECORD
    assert read_matrix(write_matrix(made(), path)).record is None


@pytest.mark.parametrize(
    "damage",
    [{"model": 5}, {"seeds": ["x"]}, {"texts": [1]}, {"texts": {"sw": {"7": {}}}}, {"examples_asked": -1},
     {"max_length": 1e300}, {"corpus": "x" * 501}, {"settings": {"layer": []}}],
)  # fmt: skip
def test_a_damaged_record_is_reported(tmp_path: Path, damage: dict[str, Any]) -> None:
    path = write_matrix(replace(made(), record=RECORD), tmp_path / "m.json")
    document = json.loads(path.read_text())
    document["record"] |= damage
    path.write_text(json.dumps(document))
    with pytest.raises(XsnsError, match="is damaged"):
        read_matrix(path)


def test_names_in_a_record_are_shown_without_control_characters(tmp_path: Path) -> None:
    record = replace(RECORD, model="\x1b[31mred\u202e\nline")
    path = write_matrix(replace(made(), record=record), tmp_path / "m.parquet")
    read_record = read_matrix(path).record
    assert read_record is not None
    assert read_record.model == "[31mred line"


# ----------------------------------------------------------------------------------- missing labels


@pytest.mark.parametrize("label", [None, NAN, pd.NA, pd.NaT, "", "  "])
def test_a_missing_label_is_an_error(tmp_path: Path, label: Any) -> None:
    """`str(nan)` is the code of Min Nan Chinese."""
    frame = pd.DataFrame([[1, 0.2], [0.2, 1]], index=pd.Index(["en", label], dtype=object), columns=["en", "nan"])
    with pytest.raises(XsnsError, match="row 2 of the table has no label"):
        frame_matrix(frame, coefficient="x")
    with pytest.raises(XsnsError, match="column 2 of the table has no label"):
        frame_matrix(frame.T, coefficient="x")
    frame.index = pd.Index(["en", "nan"])
    assert frame_matrix(frame, coefficient="x").sources == ("en", "nan")


def test_missing_labels_in_files_are_refused(tmp_path: Path, table: Any) -> None:
    frame = pd.DataFrame({"en": [1, 0.2], "nan": [0.2, 1]}, index=["en", None])
    frame.to_parquet(tmp_path / "kept.parquet")
    first = pd.DataFrame({"source": ["en", None, "fi"], "en": [1, 0.2, 0.3], "fi": [0.3, 0.4, 1]})
    first.to_parquet(tmp_path / "first.parquet")
    for name in ("kept.parquet", "first.parquet"):
        with pytest.raises(XsnsError, match=f"row 2 of '{name}' has no label"):
            read_matrix(tmp_path / name)
    with pytest.raises(XsnsError, match=r"row 2 of 'ldnd.csv' has no label"):
        table("source,en,nan\nen,1,.2\n,.2,1\n")
    with pytest.raises(XsnsError, match=r"column 2 of 'ldnd.csv' has no label"):
        table("source,en,\nen,1,.2\n")
    ours = {"sources": ["en", None], "targets": ["en"], "values": [[1], [0.2]], "coefficient": "x"}
    with pytest.raises(XsnsError, match=r"row 2 of 'ours.json' has no label"):
        table(json.dumps(ours), "ours.json")
    assert table("source,en,nan\nen,1,.2\nnan,.2,1\n").sources == ("en", "nan")


# -------------------------------------------------------------------------------------- orientation


@pytest.mark.parametrize("corner", ["target", "target/source", "tgt\\src", "evaluated on"])
def test_lines_that_are_called_targets_are_turned_or_refused(tmp_path: Path, table: Any, corner: str) -> None:
    text = f"{corner},sw,fi\nen,1,2\nde,3,4\n"
    with pytest.raises(UsageError, match="is transposed: its header calls the rows"):
        table(text)
    transposed = table(text, transpose=True)
    assert (transposed.sources, transposed.targets) == (("sw", "fi"), ("en", "de"))
    frame = pd.DataFrame([[1, 2]], index=pd.Index(["en"], name=corner), columns=["sw", "fi"])
    frame.to_parquet(tmp_path / "named.parquet")
    with pytest.raises(UsageError, match="is transposed"):
        read_matrix(tmp_path / "named.parquet")
    assert read_matrix(tmp_path / "named.parquet", transpose=True).targets == ("en",)


SIMILAR = "x,en,fi,sw\nen,1,0.4,0.2\nfi,0.4,1,0.3\nsw,0.2,0.3,1\n"
APART = "x,en,fi,sw\nen,0,0.6,0.8\nfi,0.6,0,0\nsw,0.8,0,0\n"


def test_distances_are_not_read_as_similarities_or_the_reverse(table: Any) -> None:
    with pytest.raises(XsnsError, match="looks like a table of distances") as caught:
        table(APART)
    assert "--distance" in caught.value.hint
    assert "--as-given" in caught.value.hint
    with pytest.raises(XsnsError, match="looks like a table of similarities"):
        table(SIMILAR, distance=True)
    assert table(APART, distance=True).values[0].tolist() == [1, 0.4, 1 - 0.8]
    assert table(APART, as_given=True).values[0].tolist() == [0, 0.6, 0.8]
    assert table(SIMILAR).values[0].tolist() == [1, 0.4, 0.2]
    assert table(SIMILAR, distance=True, as_given=True).values[0, 0] == 0


@pytest.mark.parametrize(
    "text",
    [
        "x,en,fi\nen,5,5\nfi,3,3\n",  # the same for every target
        "x,en,fi\nen,5,3\nfi,5,3\n",  # the same for every source
        "x,en,fi,sw\nen,0,1,2\n",  # one language with itself
        "x,en,fi\nsw,1,2\nde,2,1\n",  # none
        "x,en,fi,sw\nen,1,0,2\nfi,1,0,2\n",  # one row with the own at the end, one without
        "x,en,fi\nen,,1\nfi,2,\n",  # the own is not known
    ],
)
def test_a_table_whose_diagonal_is_not_extreme_is_read_either_way(table: Any, text: str) -> None:
    np.testing.assert_array_equal(table(text, distance=True).values, 1 - table(text).values)


def test_files_of_this_program_are_not_checked_for_distances(tmp_path: Path, table: Any) -> None:
    matrix = table(APART, as_given=True)
    for suffix in (".parquet", ".json", ".npz"):
        same(read_matrix(write_matrix(matrix, tmp_path / f"m{suffix}")), matrix)


# ---------------------------------------------------------------------------------------- summaries


def test_words_for_summaries_are_reported(table: Any) -> None:
    matrix = table("source,en,fi,max\nen,1,.2,1\nfi,.2,1,1\nmax,1,1,1\nSum,1,1,1\n")
    with pytest.raises(XsnsError, match=r"max \(a word for a summary; use --rename max=max for the language") as c:
        known_languages(matrix, "'m.csv'")
    assert "--rename Sum=Sum for the language ulw" in c.value.message
    without = known_languages(matrix, "'m.csv'", skip_unknown=True)
    assert (without.matrix.sources, without.matrix.targets, without.left_out) == (
        ("en", "fi"),
        ("en", "fi"),
        ("max", "Sum"),
    )
    renamed = known_languages(matrix, "'m.csv'", rename={"max": "max", "Sum": "sum"})
    assert (renamed.matrix.sources, renamed.matrix.targets) == (("en", "fi", "max", "ulw"), ("en", "fi", "max"))


def test_languages_of_our_own_matrices_are_no_summaries(tmp_path: Path) -> None:
    ours = SimilarityMatrix(("min", "en"), ("min", "en"), np.eye(2), "jaccard", seeds=(1,))
    path = write_matrix(ours, tmp_path / "m.parquet")
    assert known_languages(read_matrix(path), "m").matrix.sources == ("min", "en")


def test_labels_can_be_renamed(table: Any) -> None:
    matrix = table("source,sw,Finnish 2\nen,1,2\n")
    assert known_languages(matrix, "m", rename={"Finnish 2": "fi", "elsewhere": "de"}).matrix.targets == ("sw", "fi")


def test_two_codes_of_one_language_are_told_apart(table: Any) -> None:
    assert table("x,fi\naka_Latn,1\ntwi_Latn,2\nsw,3\n").sources == ("aka_Latn", "twi_Latn", "sw")
    with pytest.raises(XsnsError, match=r"rows of 'ldnd\.csv' are the same language: sw and swh"):
        table("x,fi\nsw,1\nswh,2\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("x,sw\n", "is empty"),
        ("x/sw\nfi/1\n", "has a single column"),
        ("x,sw,sw\nfi,1,2\n", "has columns with the same label: sw"),
        ("x,sw\nfi,1\nfi,2\n", "has rows with the same label: fi"),
        ("x,sw,de\nfi,high,2\n", "1 cell of 'ldnd.csv' contains no number: fi → sw"),
        ("x,sw,de\nfi,inf,2\n", "1 cell of 'ldnd.csv' is infinite: fi → sw"),
        ("x,the first,the second\nfi,1,2\n", "no column of 'ldnd.csv' is labelled with the code"),
        ("x,sw\nfi,1,2\n", "has 3 fields"),
    ],
)
def test_faults_of_a_table_are_reported(table: Any, text: str, message: str) -> None:
    with pytest.raises(XsnsError, match=message):
        table(text)


def test_a_json_object_of_objects_is_read(table: Any) -> None:
    matrix = table(json.dumps({"en": {"sw": 0.5, "fi": 1}, "de": {"fi": None}}), "m.json")
    assert (matrix.sources, matrix.targets) == (("en", "de"), ("sw", "fi"))
    np.testing.assert_array_equal(matrix.values, [[0.5, 1], [NAN, NAN]])


def test_a_parquet_frame_of_another_program_is_read(tmp_path: Path) -> None:
    frame = pd.DataFrame({"language": ["swh", "fi"], "de": [1, 2], "en": [0.5, None]})
    for index in (None, "language"):
        written = frame if index is None else frame.set_index(index)
        written.to_parquet(tmp_path / "m.parquet")
        matrix = read_matrix(tmp_path / "m.parquet")
        assert (matrix.sources, matrix.targets) == (("sw", "fi"), ("de", "en"))
        np.testing.assert_array_equal(matrix.values, [[1, 0.5], [2, NAN]])


@pytest.mark.parametrize("suffix", MATRIX_FORMATS)
def test_files_that_are_missing_or_damaged_are_refused(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(XsnsError, match="there is no file"):
        read_matrix(tmp_path / f"none{suffix}")
    content = write_matrix(made(), tmp_path / f"m{suffix}").read_bytes()
    for damaged in (b"", content[: len(content) // 2], b"\xff\xfe\x00 no text", b"[1, 2]", b"\x93NUMPY"):
        path = tmp_path / f"damaged{suffix}"
        path.write_bytes(damaged)
        if suffix in {".csv", ".tsv"} and damaged == content[: len(content) // 2]:
            # Half a table is a smaller table, or one with fewer cells.
            continue
        with pytest.raises(XsnsError):
            read_matrix(path)


def test_numbers_that_do_not_fit_their_labels_are_refused(tmp_path: Path) -> None:
    document = json.loads(write_matrix(made(), tmp_path / "m.json").read_text())
    for name, value in (("values", [[1, 2]]), ("per_seed", [[1]]), ("seeds", ["a", "b"]), ("values", "text")):
        (tmp_path / "bad.json").write_text(json.dumps(document | {name: value}))
        with pytest.raises(XsnsError, match="is damaged"):
            read_matrix(tmp_path / "bad.json")


def test_no_pickle_is_ever_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "m.npz", sources=np.array(["sw"], object), targets=np.array(["fi"]), values=np.eye(1))
    with pytest.raises(XsnsError, match="cannot read"):
        read_matrix(tmp_path / "m.npz")


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a file of a matrix") as caught:
        read_matrix(tmp_path / "m.xlsx")
    assert all(suffix in caught.value.hint for suffix in MATRIX_FORMATS)


# ------------------------------------------------------------------------------------------- frames


def test_cells_of_a_frame_may_be_numbers_text_or_missing() -> None:
    index, columns = ["swh", "fi"], ["de", "en"]
    expected = [[1.0, 0.5], [NAN, 2.0]]
    for cells in (
        np.array(expected),
        [["1", "0.5"], ["", "2"]],
        [[1, "0.5"], [None, np.float32(2)]],
        [[1, 0.5], [pd.NA, 2]],
    ):
        frame = pd.DataFrame(cells, index=index, columns=columns)
        matrix = frame_matrix(frame, coefficient="ldnd")
        np.testing.assert_array_equal(matrix.values, expected)
        assert (matrix.sources, matrix.coefficient) == (("sw", "fi"), "ldnd")
    np.testing.assert_array_equal(
        frame_matrix(pd.DataFrame(expected, index=index, columns=columns), coefficient="x", distance=True).values,
        [[0, 0.5], [NAN, -1]],
    )


def test_a_frame_with_wrong_cells_names_the_table() -> None:
    frame = pd.DataFrame([[True, 1]], index=["sw"], columns=["de", "en"])
    with pytest.raises(XsnsError, match="1 cell of the tree contains no number: sw → de"):
        frame_matrix(frame, coefficient="family", what="the tree")
    with pytest.raises(XsnsError, match="the tree has no rows"):
        frame_matrix(frame.iloc[:0], coefficient="family", what="the tree")


# ------------------------------------------------------------------------------------ the real ones


@pytest.mark.skipif(not (SHARED / "typology").is_dir(), reason="the real tables are not here")
@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "side"),
    [("xlm-roberta-base_flores200_layer7", 84), ("glot500-base_flores200_layer5", 178), ("edit_flores200", 203)],
)
def test_the_published_tables_of_mplm_sim_are_read(name: str, side: int) -> None:
    matrix = read_matrix(SHARED / "typology" / "mplm_sim" / f"{name}.tsv")
    assert matrix.values.shape == (side, side)
    assert matrix.sources == matrix.targets
    assert {"af", "sw", "fi", "en"} <= set(matrix.sources)
    # The diagonal is empty, and nothing else.
    np.testing.assert_array_equal(np.isnan(matrix.values), np.eye(side, dtype=bool))


@pytest.mark.parametrize(
    "text",
    [
        "source,en,fi,,\nen,1,.2,,\nfi,.3,1,,\n,,,,\n,,,,\n",
        ",source,en,fi\n,en,1,.2\n,fi,.3,1\n",
        '"POS, transfer",,,\n,,,\nsource,en,fi,\nen,1,.2,\nfi,.3,1,\n',
        "Table 3\nsource,en,fi\nen,1,.2\nfi,.3,1\n",
        ",,,\n,en,fi,\nen,1,.2,\nfi,.3,1,\n",
    ],
    ids=["margins at the end", "margin at the beginning", "title of a spreadsheet", "title", "empty corner"],
)
def test_titles_and_empty_margins_are_left_out(table: Any, text: str) -> None:
    matrix = table(text)
    assert (matrix.sources, matrix.targets) == (("en", "fi"), ("en", "fi"))
    np.testing.assert_array_equal(matrix.values, [[1, 0.2], [0.3, 1]])


def test_a_column_without_a_name_is_no_title(table: Any) -> None:
    assert table(",sw\nfi,1\nde,2\n").targets == ("sw",)
    with pytest.raises(XsnsError, match=r"column 1 of 'ldnd\.csv' has no label"):
        table("name,\nfi,1\nde,2\n")
