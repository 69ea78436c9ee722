"""Readers of public formats of gold scores, on small files and on the published files where they are available."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.paths import SHARED_DATA as SHARED
from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.gold import import_scores, summarise

needs_shared = pytest.mark.skipif(not (SHARED / "xpos").is_dir(), reason="the real gold scores are not here")


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


# --------------------------------------------------------------------------------------------- xpos

XPOS = {
    "matrix.csv": "source,af,kmr\naf,98.5,17.25\nar,20,30\n",
    "long.csv": "source,target,accuracy,same\naf,af,98.5,1\naf,kmr,17.25,0\nar,af,20,0\nar,kmr,30,0\n",
    "raw.csv": ",task_type,lang_train,lang_pred,score\n0,x,af,af,98.5\n1,x,af,kmr,17.25\n2,x,ar,af,20\n3,x,ar,kmr,30\n",
}


@pytest.mark.parametrize("name", XPOS)
def test_xpos_is_read_in_each_of_its_layouts(tmp_path: Path, name: str) -> None:
    imported = import_scores(write(tmp_path, name, XPOS[name]), "xpos")
    scores = imported.scores
    assert (scores.sources, scores.targets) == (("af", "ar"), ("af", "ku"))
    assert scores.values.tolist() == [[98.5, 17.25], [20, 30]]
    assert (scores.task, scores.metric, scores.unit, scores.regimes) == ("pos", "accuracy", "percent", ("main",))
    assert imported.notes == ()


def test_a_folder_of_xpos_has_training_sizes_as_regimes(tmp_path: Path) -> None:
    for size, score in (("00630", 40), ("10000", 60), ("3epoch", 70), ("02500", 50)):
        write(tmp_path, f"results/matrix-ft-{size}.csv", f"source,sw,fi\nsw,90,{score}\nfi,{score + 1},91\n")
    write(tmp_path, "results/ldnd.csv", "no,matter\n1,2\n")
    for folder in (tmp_path, tmp_path / "results"):
        scores = import_scores(folder, "xpos").scores
        assert scores.regimes == ("10000", "630", "2500", "3epoch")
        assert scores["sw", "fi"] == 60
        assert scores.regime("3epoch")["fi", "sw"] == 71
    write(tmp_path, "results/matrix-ft-10 000.csv", "no,matter\n1,2\n")
    notes = import_scores(tmp_path, "xpos").notes
    assert "files that were not read, because their names have no training size (1): matrix-ft-10 000.csv." in notes
    assert import_scores(tmp_path, "xpos", regime="630").scores.regimes == ("630", "2500", "10000", "3epoch")
    with pytest.raises(UsageError, match="no regime '64'") as caught:
        import_scores(tmp_path, "xpos", regime="64")
    assert "630" in caught.value.hint


def test_folder_or_file_that_is_not_of_xpos_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(XsnsError, match="has no file such as matrix-ft-10000"):
        import_scores(tmp_path, "xpos")
    with pytest.raises(XsnsError, match="is not a file of xpos"):
        import_scores(write(tmp_path, "x.csv", "a,b\n1,2\n"), "xpos")
    with pytest.raises(UsageError, match="no metric 'f1'"):
        import_scores(write(tmp_path, "y.csv", XPOS["matrix.csv"]), "xpos", metric="f1")


# ------------------------------------------------------------------------------------------- nnrank

NNRANK = """source,target,accuracy,f1,num_eval_examples
af,af,96.7,87.2,1000
af,am,74.7,38.5,100
fi,af,90,60,1000
fi,am,70,30,100
"""


def test_nnrank_has_two_metrics_and_names_small_test_sets(tmp_path: Path) -> None:
    path = write(tmp_path, "ner.csv", NNRANK)
    imported = import_scores(path, "nnrank")
    assert (imported.scores.metric, imported.scores["af", "am"]) == ("f1", 38.5)
    assert any("am (100)" in note for note in imported.notes)
    assert import_scores(path, "nnrank", metric="accuracy").scores["af", "am"] == 74.7


def test_nnrank_leaves_out_small_test_sets_on_request(tmp_path: Path) -> None:
    path = write(tmp_path, "ner.csv", NNRANK)
    imported = import_scores(path, "nnrank", min_examples=500)
    assert imported.scores.targets == ("af",)
    assert any("too few examples: am (100); they have 2 scores." in note for note in imported.notes)
    with pytest.raises(UsageError, match="no target was tested on 2000") as caught:
        import_scores(path, "nnrank", min_examples=2000)
    assert "1000" in caught.value.hint


# ----------------------------------------------------------------------------------------- langrank

LANGRANK_POS = """train/target,pcm,amh
bxr,0.2588,0.134
kmr,0.2825,0.1353
amh,0.2,0.9
,,
#1,0.2825,0.9
#2,0.2588,0.1353
,,
#1,kmr,amh
#2,bxr,kmr
"""
LANGRANK_MT = "v extra v \\ trg >>,ara,aze\nara,0.2838,0.0645\naze,0.286,0.031\n,,\n#1,0.286,0.0645\n#1,aze,ara\n"
LANGRANK_TABLES = {
    "pos": "Task lang,Aux lang,Accuracy,Rank,Accuracy level\npcm,bxr,0.25,2,1\npcm,kmr,0.28,1,2\n",
    "dep": "Target lang,Transfer lang,Accuracy,Rank\npcm,bxr,25.0,2\npcm,kmr,28.0,1\n",
    "mt": "Target lang,Source lang,Transfer lang,BLEU,Rank\neng,pcm,bxr,0.25,2\neng,pcm,kmr,0.28,1\n",
}


def test_langrank_raw_results_are_read_without_the_lines_of_the_best_three(tmp_path: Path) -> None:
    imported = import_scores(write(tmp_path, "LangRank Raw Data - POS Results.csv", LANGRANK_POS), "langrank")
    scores = imported.scores
    assert (scores.sources, scores.targets) == (("bua", "ku", "am"), ("pcm", "am"))
    assert (scores.task, scores.metric, scores.unit) == ("pos", "accuracy", "fraction")
    assert scores["ku", "pcm"] == 0.2825
    assert (
        "4 lines below the scores are left out, because they name the best three sources of each column."
        in imported.notes
    )
    translation = import_scores(write(tmp_path, "mt.csv", LANGRANK_MT), "langrank").scores
    assert (translation.task, translation.metric, translation["az", "ar"]) == ("mt", "BLEU", 0.286)


@pytest.mark.parametrize("task", LANGRANK_TABLES)
def test_langrank_training_tables_are_read(tmp_path: Path, task: str) -> None:
    scores = import_scores(write(tmp_path, f"{task}.csv", LANGRANK_TABLES[task]), "langrank").scores
    assert (scores.sources, scores.targets, scores.task) == (("bua", "ku"), ("pcm",), task)
    assert (scores.metric, scores.unit) == (
        "BLEU" if task == "mt" else "accuracy",
        "percent" if task == "dep" else "fraction",
    )
    assert scores["ku", "pcm"] == (28.0 if task == "dep" else 0.28)


def test_other_tables_are_not_of_langrank(tmp_path: Path) -> None:
    with pytest.raises(XsnsError, match="is not a table of LangRank"):
        import_scores(write(tmp_path, "x.csv", "source,sw\nfi,1\n"), "langrank")


# ------------------------------------------------------------------------------------------ sumeval


def sumeval(folder: Path, runs: list[tuple[dict[str, int], dict[str, Any]]]) -> Path:
    document = [{"train_config": trained, "eval_results": results} for trained, results in runs]
    return write(folder, "TyDiQA_XLMR_ID.json", json.dumps(document))


def test_sumeval_keeps_runs_on_one_language(tmp_path: Path) -> None:
    path = sumeval(
        tmp_path,
        [
            ({"ar": 14805, "en": 10, "fi": 0}, {"ar": 0.83, "en": 0.75, "fi": 0.77}),
            ({"ar": 0, "en": 3696, "fi": 0}, {"ar": 0.71, "en": 0.72, "fi": 0.69}),
            ({"ar": 0, "en": 100, "fi": 0}, {"ar": 0.41, "en": 0.42, "fi": 0.39}),
            ({"ar": 0, "en": 0, "fi": 6855}, {"ar": 0.6, "en": 0.61, "fi": 0.8}),
            ({"ar": 0, "en": 0, "fi": 0}, {"ar": 0.1, "en": 0.1, "fi": 0.1}),
        ],
    )
    imported = import_scores(path, "sumeval")
    scores = imported.scores
    assert (scores.sources, scores.targets) == (("en", "fi"), ("ar", "en", "fi"))
    assert (scores.task, scores.unit) == ("tydiqa", "fraction")
    assert scores.regimes == ("largest", "6855", "3696", "100")
    assert (scores["en", "ar"], scores["fi", "ar"], scores.regime("100")["en", "ar"]) == (0.71, 0.6, 0.41)
    assert "1 of 5 runs are left out, because they were trained on several languages." in imported.notes
    assert "1 of 5 runs are left out, because they have no training examples." in imported.notes
    assert any("--metric" in note for note in imported.notes)


def test_invalid_files_of_sumeval_are_errors(tmp_path: Path) -> None:
    with pytest.raises(XsnsError, match="has placeholders instead of scores"):
        import_scores(sumeval(tmp_path, [({"en": 5}, {"ar": "x", "sw": "x"})]), "sumeval")
    with pytest.raises(XsnsError, match="trained on several languages"):
        import_scores(sumeval(tmp_path, [({"en": 5, "ar": 1}, {"ar": 0.5})]), "sumeval")
    for count in (-1, float("nan"), float("inf")):
        with pytest.raises(XsnsError, match="is not a file of SumEval"):
            import_scores(sumeval(tmp_path, [({"en": 5, "ar": count}, {"ar": 0.5})]), "sumeval")
    for text in ("{}", "[1]", '[{"train_config": {"en": "many"}, "eval_results": {}}]', "[", '{"a": 1}'):
        with pytest.raises(XsnsError):
            import_scores(write(tmp_path, "x.json", text), "sumeval")


# ------------------------------------------------------------------------------------ matrix and long


def test_a_long_table_with_regimes_and_seeds_is_read(tmp_path: Path) -> None:
    text = "source,target,regime,seed,score\nsw,fi,big,42,50\nsw,fi,big,16,52\nsw,fi,small,42,40\nfi,sw,big,42.0,60\n"
    imported = import_scores(write(tmp_path, "x.csv", text), "long", task="pos", metric="accuracy", unit="percent")
    scores = imported.scores
    assert (scores.regimes, scores.seeds) == (("big", "small"), (42, 16))
    np.testing.assert_array_equal(scores.per_seed[:, 0, :], [[50, np.nan], [52, np.nan]])
    assert scores["sw", "fi"] == 51
    assert any("no score on their own language: sw, fi." in note for note in imported.notes)


def test_the_metric_names_the_column_of_a_long_table(tmp_path: Path) -> None:
    path = write(tmp_path, "x.tsv", "source\ttarget\tf1\taccuracy\nsw\tfi\t50\t70\n")
    imported = import_scores(path, "long", metric="f1", unit="percent", task="ner").scores
    assert (imported.metric, imported["sw", "fi"]) == ("f1", 50)
    with pytest.raises(XsnsError, match="no column 'score'") as caught:
        import_scores(path, "long")
    assert "f1, accuracy" in caught.value.hint


def test_a_matrix_of_a_user_is_read(tmp_path: Path) -> None:
    path = write(tmp_path, "x.csv", "\ufeff,swh_Latn,fin\neng,50,\nSW,55.5,60\n")
    imported = import_scores(path, "matrix", task="pos", metric="accuracy", unit="percent")
    assert (imported.scores.sources, imported.scores.targets) == (("en", "sw"), ("sw", "fi"))
    assert imported.notes == ("1 of 3 pairs of different languages has no score: en → fi.",)


def test_several_files_are_runs_of_several_seeds(tmp_path: Path) -> None:
    one = write(tmp_path, "one.csv", "source,sw,fi\nsw,80,50\n")
    two = write(tmp_path, "two.csv", "source,fi,sw\nsw,54,82\n")
    scores = import_scores([one, two], "matrix", seeds=(42, 16), unit="percent").scores
    assert scores.seeds == (42, 16)
    assert scores.per_seed[:, 0].tolist() == [[80, 50], [82, 54]]
    for seeds in ((), (42,), (42, 42)):
        with pytest.raises(UsageError, match="2 files and"):
            import_scores([one, two], "matrix", seeds=seeds)
    seeded = write(tmp_path, "long.csv", "source,target,seed,score\nsw,fi,1,50\n")
    with pytest.raises(UsageError, match="the file already contains seeds"):
        import_scores(seeded, "long", seeds=(42,))


def test_unknown_format_is_an_error_with_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no format 'xpso'") as caught:
        import_scores(tmp_path, "xpso")
    assert caught.value.hint == "did you mean 'xpos'?"
    with pytest.raises(UsageError, match="is a folder"):
        import_scores(tmp_path, "long")
    with pytest.raises(XsnsError, match="there is no file"):
        import_scores(tmp_path / "none.csv", "long")


# ------------------------------------------------------------------------------------ the real ones


@needs_shared
@pytest.mark.shared_data
def test_published_xpos_is_the_same_in_every_layout() -> None:
    folder = import_scores(SHARED / "xpos", "xpos").scores
    assert folder.cells.shape == (9, 1, 65, 105)
    assert folder.regimes[0] == "10000"
    for name in ("gold_xlmr_base_pos_matrix.csv", "gold_xlmr_base_pos_long.csv", "results/udpos-ft-10000.csv"):
        imported = import_scores(SHARED / "xpos" / name, "xpos")
        assert not imported.notes
        scores = imported.scores.restricted(folder.sources, folder.targets)
        # The two derived files are rounded to four decimals.
        np.testing.assert_allclose(scores.values, folder.values, atol=5.1e-5)
    summary = summarise(folder)
    assert (round(summary.mean, 1), round(summary.mean_own, 1)) == (57.4, 94.1)


@needs_shared
@pytest.mark.shared_data
def test_the_published_nnrank_scores_are_read() -> None:
    imported = import_scores(SHARED / "gold" / "nnrank_wikiann_ner_xlmr_base.csv", "nnrank")
    assert imported.scores.cells.shape == (1, 1, 51, 72)
    assert np.isfinite(imported.scores.cells).all()
    # Three accuracies are compared with the first lines of the file.
    accuracy = import_scores(
        SHARED / "gold" / "nnrank_wikiann_ner_xlmr_base.csv", "nnrank", metric="accuracy", min_examples=500
    )
    assert accuracy.scores["af", "af"] == 96.7154
    assert "am" not in accuracy.scores.targets


CASES = SHARED.parent / "cases" / "names"


@pytest.mark.skipif(not CASES.is_dir(), reason="the tables of people are not here")
@pytest.mark.shared_data
@pytest.mark.parametrize("name", ["scores.csv", "semicolons.csv"])
def test_tables_from_spreadsheets_are_read(name: str) -> None:
    scores = import_scores(CASES / name, "matrix").scores
    assert (scores.sources, scores.targets) == (("sw", "yo", "en"), ("en", "wo", "zh", "nb"))
    np.testing.assert_array_equal(scores.values, [[55.2, 31.2, np.nan, 40], [50, 29, 33.1, np.nan], [90, 28, 44, 70]])
    assert scores.unit == "percent"
