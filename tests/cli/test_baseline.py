"""The verb `baseline`: the group, baselines from tables, matrices from files, and `baseline all`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support.page_blocks import run_page
from tests.support.paths import DOCS
from tests.support.paths import SHARED_DATA as SHARED
from tests.support.streams import json_result
from xsns_stream.cli import baseline_tables, baseline_text
from xsns_stream.errors import LanguageError
from xsns_stream.report import write_matrix
from xsns_stream.similarity.matrix_io import read_matrix
from xsns_stream.types import SimilarityMatrix

LANGUAGES = ("sw", "zu", "fi", "et", "en", "sv", "no")
FAMILIES = ("Bantu", "Bantu", "Uralic", "Uralic", "IE, Germanic", "IE, Germanic", "IE, Germanic")
NAMES = ("Swahili", "Zulu", "Finnish", "Estonian", "English", "Swedish", "Norwegian")

BASELINES = {name: one.short_help or "" for name, one in (baseline_tables.COMMANDS | baseline_text.COMMANDS).items()}


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small file of every layout, and gold scores."""
    folder = tmp_path_factory.mktemp("baselines")
    rng = np.random.default_rng(3)
    three = ("swa", "zul", "fin", "est", "eng", "swe", "nor")
    feats = np.array([f"{group}{number}" for group in ("S_", "P_", "INV_") for number in range(6)])
    data = rng.integers(0, 2, (len(three), len(feats), 1)).astype(np.float32)
    np.savez(folder / "feature_predictions.npz", langs=np.array(three), feats=feats, data=data)
    (folder / "languages.csv").write_text(
        "code,name,family,genus,script,tokens,sentences\n"
        + "".join(
            f'{code},{name},"{family}",x,latin,{10 * index + 1},{index}\n'
            for index, (code, name, family) in enumerate(zip(LANGUAGES, NAMES, FAMILIES, strict=True))
        ),
        encoding="utf-8",
    )
    (folder / "sizes.csv").write_text("code,tokens,sentences\nen,55608,9\nsw,275,4\nfi,6730,7\n", encoding="utf-8")
    (folder / "udpos-langs.csv").write_text(
        "language_id,language\n" + "".join(f"{c},{n}\n" for c, n in zip(LANGUAGES, NAMES, strict=True)),
        encoding="utf-8",
    )
    distances = pd.DataFrame(rng.integers(40, 104, (7, 7)), index=list(NAMES), columns=list(NAMES)).astype(object)
    for index in range(7):
        distances.iloc[index, index] = ""
    distances.to_csv(folder / "ldnd.csv")
    matrix = SimilarityMatrix(("en", "fi", "sw"), ("sw", "fi"), np.array([[0.1, 0.2], [0.3, 1.0], [1.0, 0.4]]), "mine")
    write_matrix(matrix, folder / "similarity.csv")
    (folder / "distances.tsv").write_text("\tsw\tfi\nen\t90\t80\nfi\t70\t0\n", encoding="utf-8")
    return folder


@pytest.fixture
def baseline(in_process: Callable[..., Any], tables: Path) -> Callable[..., Any]:
    return lambda *arguments: in_process(tables, "baseline", *map(str, arguments))


#: The result that the verb printed with `--json`.
result = partial(json_result, "baseline")


# ----------------------------------------------------------------------------------------- the group


def test_the_group_lists_every_baseline_and_its_input(baseline: Callable[..., Any]) -> None:
    completed = baseline("--help")
    assert (completed.code, completed.err) == (0, "")
    flat = " ".join(completed.out.split())
    for name, entry in BASELINES.items():
        assert f"{name} {entry}" in flat
        assert "Needs" in entry


@pytest.mark.parametrize(("word", "hint"), [("l2w", "did you mean `l2v`?"), ("xyz", "the baselines are l2v, ldnd, ")])
def test_an_unknown_baseline_is_an_error(word: str, hint: str, baseline: Callable[..., Any]) -> None:
    completed = baseline(word)
    assert (completed.code, completed.out) == (2, "")
    assert completed.err.startswith(f"error: no baseline '{word}'.\nhint: {hint}")


def write_gold(path: Path) -> None:
    from xsns_stream.gold import write_scores
    from xsns_stream.types.transfer_scores import TransferScores

    scores = np.arange(6.0).reshape(1, 1, 3, 2)
    write_scores(
        TransferScores(("en", "fi", "sw"), ("sw", "et"), scores, "pos", "accuracy", "percent", "made up"), path
    )


# -------------------------------------------------------------------------------------------- results


def test_json_and_file_contain_the_same_matrix(baseline: Callable[..., Any], tmp_path: Path) -> None:
    written = tmp_path / "f.parquet"
    document = result(
        baseline("family", "languages.csv", "--sources", "en,sw", "--targets", "sv,zu", "--json", "-o", written)
    )
    assert document["coefficient"] == "family"
    assert (document["sources"], document["targets"]) == (["en", "sw"], ["sv", "zu"])
    assert document["values"] == [[1.0, 0.0], [0.0, 1.0]]
    assert (document["lacking"], document["notes"], document["seeds"], document["per_seed"]) == ([], [], [], None)
    matrix = read_matrix(written)
    assert (matrix.coefficient, matrix.sources, matrix.targets) == ("family", ("en", "sw"), ("sv", "zu"))
    assert matrix.values.tolist() == document["values"]


def test_languages_without_data_are_named(baseline: Callable[..., Any]) -> None:
    completed = baseline("ldnd", "ldnd.csv", "--lang", "sw,is,fi,mt")
    assert completed.code == 0
    assert "note: ldnd has no data on is, mt." in completed.err
    assert result(baseline("ldnd", "ldnd.csv", "--lang", "sw,is,fi", "--json"))["lacking"] == ["is"]
    assert baseline("ldnd", "ldnd.csv", "--lang", "sw,is,fi", "-q").err == ""


def test_distances_are_converted_to_similarities(baseline: Callable[..., Any], tables: Path) -> None:
    document = result(baseline("ldnd", "ldnd.csv", "--lang", "zu,en,sv", "--json"))
    table = pd.read_csv(tables / "ldnd.csv", index_col=0)
    for i, one in enumerate(("Zulu", "English", "Swedish")):
        for j, other in enumerate(("Zulu", "English", "Swedish")):
            value = document["values"][i][j]
            assert (value is None) if i == j else value == pytest.approx(1 - table.loc[one, other] / 100)


def test_sources_and_targets_may_come_from_gold_scores(baseline: Callable[..., Any], tmp_path: Path) -> None:
    write_gold(tmp_path / "g.parquet")
    document = result(baseline("source-size", "sizes.csv", "--gold", tmp_path / "g.parquet", "--json"))
    assert (document["sources"], document["targets"]) == (["en", "fi", "sw"], ["sw", "et"])
    assert document["values"] == [[55608.0] * 2, [6730.0] * 2, [275.0] * 2]
    assert document["notes"] == ["amounts are from sizes.csv, column tokens."]
    some = result(baseline("script", "--gold", tmp_path / "g.parquet", "--targets", "ru", "--json"))
    assert (some["targets"], some["values"]) == (["ru"], [[0.0]] * 3)


def test_each_baseline_has_its_own_options(baseline: Callable[..., Any]) -> None:
    binary = result(
        baseline("family", "languages.csv", "--column", "family", "--column", "genus", "--binary", "--json")
    )
    assert {value for row in binary["values"] for value in row} == {0.0, 1.0}
    log = result(baseline("source-size", "sizes.csv", "--column", "sentences", "--log", "--json"))
    assert log["values"][0][0] == 1.0
    named = result(baseline("ldnd", "ldnd.csv", "--names", "languages.csv", "--json"))
    assert len(named["sources"]) == 7
    table = result(baseline("script", "languages.csv", "--lang", "en,sw", "--json"))
    assert table["values"] == [[1.0, 1.0], [1.0, 1.0]]


def test_many_languages_are_shown_by_their_nearest_neighbours(baseline: Callable[..., Any]) -> None:
    completed = baseline("script", "--lang", "en,de,fr,ru,uk,bg,ar,fa,ur,hi,mr,ne,el,ka")
    assert completed.code == 0
    assert re.search(r"^ru +Russian +bg +1\.000 +uk +1\.000", completed.out, re.MULTILINE)
    assert "-o FILE.parquet writes all values" in completed.err


def test_a_matrix_is_read_from_a_file(baseline: Callable[..., Any], tmp_path: Path) -> None:
    document = result(baseline("file", "similarity.csv", "--sources", "sw,en", "--json"))
    assert (document["sources"], document["values"]) == (["sw", "en"], [[1.0, 0.4], [0.1, 0.2]])
    transposed = result(baseline("file", "similarity.csv", "--transpose", "--json"))
    assert (transposed["sources"], transposed["targets"]) == (["sw", "fi"], ["en", "fi", "sw"])
    distances = ("file", "distances.tsv", "--distance", "--scale", "100")
    assert np.allclose(result(baseline(*distances, "--json"))["values"], [[0.1, 0.2], [0.3, 1.0]])
    per_seed = np.random.default_rng(1).random((2, 3, 2))
    matrix = SimilarityMatrix(
        ("en", "fi", "sw"), ("sw", "fi"), per_seed.mean(0), "jaccard", seeds=(1, 2), per_seed=per_seed
    )
    write_matrix(matrix, tmp_path / "kept.parquet")
    again = result(baseline("file", tmp_path / "kept.parquet", "--lang", "fi,sw", "--json"))
    assert again["seeds"] == [1, 2]
    assert np.allclose(again["per_seed"], per_seed[:, 1:, ::-1])
    assert again["coefficient"] == "jaccard"


# ------------------------------------------------------------------------------------------ bad input


def test_an_ambiguous_table_needs_an_option(baseline: Callable[..., Any], tables: Path) -> None:
    (tables / "summary.csv").write_text("source,en,fi\nen,1,.2\nfi,.2,1\nmax,1,1\n")
    completed = baseline("file", "summary.csv")
    assert (completed.code, completed.out) == (1, "")
    assert "--rename max=max" in completed.err
    assert result(baseline("file", "summary.csv", "--rename", "max=max", "--json"))["sources"] == ["en", "fi", "max"]
    assert result(baseline("file", "summary.csv", "--skip-unknown", "--json"))["left_out"] == ["max"]
    completed = baseline("file", "summary.csv", "--rename", "Max=max")
    assert completed.code == 2
    assert "no matrix has the label 'Max' to rename" in completed.err
    (tables / "apart.csv").write_text("target/source,en,fi\nen,0,.2\nfi,.3,0\n")
    completed = baseline("file", "apart.csv")
    assert completed.code == 2
    assert "is transposed" in completed.err
    completed = baseline("file", "apart.csv", "--transpose")
    assert completed.code == 1
    assert "looks like a table of distances" in completed.err
    assert result(baseline("file", "apart.csv", "--transpose", "--as-given", "--json"))["values"] == [
        [0, 0.3],
        [0.2, 0],
    ]
    assert result(baseline("file", "apart.csv", "--transpose", "--distance", "--json"))["values"] == [
        [1, 0.7],
        [0.8, 1],
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("l2v",), 2, "Missing argument"),
        (("l2v", "nothing.npz"), 1, "there is no file 'nothing.npz'"),
        (("l2v", "ldnd.csv"), 1, "is not an archive of features"),
        (("l2v", "feature_predictions.npz", "--lang", "is,mt"), 2, "has none of the requested languages"),
        (("l2v", "feature_predictions.npz", "--lang", "swahili!"), 2, "'swahili!' is not a language code"),
        (("ldnd", "sizes.csv"), 1, "is not a square matrix"),
        (("ldnd", "ldnd.csv", "--names", "ldnd.csv"), 2, "has no column of codes"),
        (("family", "sizes.csv"), 2, "has no column of families"),
        (("family", "languages.csv", "--column", "branch"), 2, "has no column of families called branch"),
        (("script",), 2, "no language was given"),
        (("script", "--column", "script", "--lang", "en,sw"), 2, "need a table, which is missing"),
        (("source-size", "ldnd.csv"), 2, "has no column of codes"),
        (("source-size", "sizes.csv", "--column", "code"), 1, "which is not an amount"),
        (("script", "--lang", "en,sw", "--sources", "en"), 2, "--lang was given together with --sources"),
        (("script", "--lang", "en,sw", "-o", "x.xlsx"), 2, "does not end in the suffix of a supported format"),
        (("script", "--lang", "en,sw", "-o", "nowhere/x.csv"), 2, "there is no folder 'nowhere'"),
        (("script", "--gold", "nothing.parquet"), 1, "nothing.parquet"),
        (("file", "sizes.xlsx"), 2, "'sizes.xlsx' is not a file of a matrix"),
        (("file", "similarity.csv", "--lang", "is"), 2, "has none of the requested languages"),
        (("all", "-o", "out"), 2, "no language was given"),
        (("all", "--lang", "all", "-o", "out"), 2, "`baseline all` cannot take all languages"),
        (("all", "--lang", "en,sw"), 2, "Missing option"),
        (("all", "--lang", "en,sw", "-o", "sizes.csv"), 2, "'sizes.csv' is a file"),
        (("all", "--lang", "en,sw", "-o", "out", "--data", "nowhere"), 2, "there is no folder 'nowhere'"),
    ],
)
def test_errors_have_a_message_and_a_hint(
    arguments: tuple[str, ...], code: int, message: str, baseline: Callable[..., Any]
) -> None:
    completed = baseline(*arguments)
    assert (completed.code, completed.out) == (code, "")
    assert completed.err.startswith("error: ")
    assert message in completed.err
    assert "Traceback" not in completed.err


def test_a_baseline_of_thousands_of_languages_needs_a_choice(baseline: Callable[..., Any], tmp_path: Path) -> None:
    from xsns_stream.languages import normalise

    codes = []
    for code in map("".join, product(ascii_lowercase, repeat=3)):
        try:
            if normalise(code) == code:
                codes.append(code)
        except LanguageError:
            continue
        if len(codes) > 1001:
            break
    table = tmp_path / "many.csv"
    table.write_text("code,family\n" + "".join(f"{code},x\n" for code in codes), encoding="utf-8")
    completed = baseline("family", table)
    assert completed.code == 2
    assert "has 1,002 languages, and none was chosen" in completed.err
    assert "--lang all" in completed.err
    assert len(result(baseline("family", table, "--lang", "all", "--json"))["sources"]) == 1002


# ------------------------------------------------------------------------------------------------ all


def test_all_lists_written_files_and_missing_input(baseline: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "new" / "out"
    document = result(baseline("all", "--data", ".", "--lang", "sw,fi,en,is", "-o", folder, "--json"))
    written = {entry["baseline"]: entry for entry in document["written"]}
    assert set(written) == {"l2v", "ldnd", "family", "source-size", "script"}
    assert sorted(path.name for path in folder.iterdir()) == sorted(f"{name}.parquet" for name in written)
    for name, entry in written.items():
        matrix = read_matrix(entry["path"])
        assert matrix.coefficient == name
        assert (
            list(matrix.sources)
            == entry["sources"]
            == [c for c in ("sw", "fi", "en", "is") if c not in entry["lacking"]]
        )
    assert written["l2v"]["lacking"] == ["is"]
    assert written["script"]["lacking"] == []
    left_out = {entry["baseline"]: entry["why"] for entry in document["left_out"]}
    assert set(left_out) == {"lex", "emb", "nn-rank", "grad-cosine", "sue"}
    assert all("--model" in why or "--corpus" in why for why in left_out.values())


def test_all_computes_every_baseline_of_text_in_one_pass(
    baseline: Callable[..., Any], tmp_path: Path, texts: Path, tiny_folder: Path
) -> None:
    """One pass gives the results of the single baselines. A language that is not in the corpus is named."""
    text = ("--corpus", texts, "--lang", "sw,fi,got", "--examples", "4", "--max-length", "24")
    model = ("--model", tiny_folder)
    document = result(baseline("all", *text, *model, "-o", tmp_path, "--json", "-q"))
    written = {entry["baseline"]: entry for entry in document["written"]}
    assert set(written) == {"script", "lex", "emb", "nn-rank", "grad-cosine", "sue"}
    assert {entry["baseline"] for entry in document["left_out"]} == {"l2v", "ldnd", "family", "source-size"}
    assert all(written[name]["lacking"] == ["got"] for name in written if name != "script")
    for name in ("lex", "emb"):
        single = result(baseline(name, *text, *model, "--json", "-q"))
        assert np.allclose(read_matrix(tmp_path / f"{name}.parquet").values, single["values"], atol=1e-6)
    without = result(baseline("all", *text, "-o", tmp_path / "sue", "--json", "-q"))
    assert {entry["baseline"] for entry in without["written"]} == {"script", "sue"}


def test_all_ends_with_exit_code_3_if_a_language_failed(
    baseline: Callable[..., Any], tmp_path: Path, write_texts: Callable[..., Path]
) -> None:
    texts = write_texts(tmp_path / "texts", "sw fi")
    (texts / "et.txt").write_text("\n\n", encoding="utf-8")
    completed = baseline("all", "--corpus", texts, "--lang", "sw,fi,et", "--examples", "4", "-o", tmp_path / "out")
    assert completed.code == 3
    assert "error: 1 of 3 rows failed: et." in completed.err
    assert re.search(r"^sue +2 × 2", completed.out, re.MULTILINE)
    assert read_matrix(tmp_path / "out" / "sue.parquet").sources == ("sw", "fi")


def test_all_without_data_is_an_error(baseline: Callable[..., Any], tmp_path: Path) -> None:
    completed = baseline("all", "--lang", "sw,fi", "-o", tmp_path / "out")
    assert completed.code == 0, completed.err
    for name, file in (("l2v", "feature_predictions.npz"), ("ldnd", "ldnd.csv"), ("family", "languages.csv")):
        assert re.search(rf"^{name} +– +left out +needs .*{file}", completed.out, re.MULTILINE)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["script.parquet"]


def test_all_uses_the_file_with_most_languages(baseline: Callable[..., Any], tmp_path: Path) -> None:
    for folder, rows in (("a", "sw,Bantu\n"), ("b", "sw,Bantu\nfi,Uralic\n"), ("c", "fi,Uralic\nsw,Other\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "languages.csv").write_text(f"code,family\n{rows}", encoding="utf-8")
    (tmp_path / "ldnd.csv").write_text("no matrix\n", encoding="utf-8")
    document = result(baseline("all", "--data", tmp_path, "--lang", "sw,fi", "-o", tmp_path / "out", "--json"))
    origins = {entry["baseline"]: entry["from"] for entry in document["written"]}
    assert origins["family"] == str(tmp_path / "b" / "languages.csv")
    left_out = {entry["baseline"]: entry["why"] for entry in document["left_out"]}
    assert "is empty" in left_out["ldnd"]


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real tables")
def test_all_reads_the_real_tables(baseline: Callable[..., Any], tmp_path: Path) -> None:
    codes = "bg,zh,nl,en,fi,fr,hi,id,it,ja,ko,no,pl,pt,ru,sk,es,sv,tr,uk"
    tables = ("--data", SHARED / "typology", "--data", SHARED / "xpos")
    document = result(baseline("all", *tables, "--lang", codes, "-o", tmp_path, "--json", "-q"))
    assert {entry["baseline"]: len(entry["sources"]) for entry in document["written"]} == dict.fromkeys(
        ("l2v", "ldnd", "family", "source-size", "script"), 20
    )


# ------------------------------------------------------------------------------------------- the page

PAGE = (DOCS / "baselines.md").read_text(encoding="utf-8")


def test_every_block_of_the_page_runs(
    tables: Path, xsns: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tables)
    run = run_page("docs/baselines.md", xsns)
    for words, completed in run.commands:
        assert completed.out
        if "-o" in words:
            assert (tables / words[words.index("-o") + 1]).exists()
    # The page ends with a block of Python.
    assert capsys.readouterr().out.splitlines()[-1].split() == ["sw", "1.0", "0.0"]


def test_the_page_documents_every_baseline() -> None:
    for name, entry in BASELINES.items():
        assert f"| `{name}` |" in PAGE
        assert name in ("all", "file") or f"### {name}\n" in PAGE, entry
