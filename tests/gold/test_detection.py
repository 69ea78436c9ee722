"""Format of a file, found from its contents."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gold.test_formats import LANGRANK_MT, LANGRANK_POS, LANGRANK_TABLES, NNRANK, needs_shared, sumeval, write
from tests.support.paths import SHARED_DATA as SHARED
from xsns_stream.errors import XsnsError
from xsns_stream.gold import import_scores
from xsns_stream.gold.detection import find_format
from xsns_stream.pipeline.gold_files import import_gold

RAW = ",task_type,lang_train,lang_pred,score\n0,x,af,af,98.5\n"


@pytest.mark.parametrize(
    ("name", "text", "format_name"),
    [
        ("x.csv", RAW, "xpos"),
        ("matrix-ft-10000.csv", "source,af,kmr\naf,98.5,17.25\n", "xpos"),
        ("x.csv", "source,af,kmr\naf,98.5,17.25\n", "matrix"),
        ("x.csv", NNRANK, "nnrank"),
        ("x.csv", LANGRANK_POS, "langrank"),
        ("x.csv", LANGRANK_MT, "langrank"),
        *(("x.csv", text, "langrank") for text in LANGRANK_TABLES.values()),
        ("x.csv", "train/target,sw,fi\nsw,50,60\n", "matrix"),
        ("x.csv", "source,target,accuracy\nsw,fi,50\n", "long"),
        ("x.csv", "Target lang,Transfer lang,Accuracy\npcm,bxr,25.0\n", "long"),
        ("x.csv", ";Swahili;中文\nDeutsch;55,2;31,2%\n", "matrix"),
    ],
)
def test_formats_are_recognised_and_reported(tmp_path: Path, name: str, text: str, format_name: str) -> None:
    path = write(tmp_path, name, text)
    assert find_format(path)[0] == format_name
    notes = import_scores(path).notes
    assert notes[0].startswith(f"the format of '{name}' is {format_name}: ")
    assert import_scores(path, format_name).notes == notes[1:]


def test_json_files_and_folders_are_recognised(tmp_path: Path) -> None:
    assert find_format(sumeval(tmp_path, [({"en": 5}, {"ar": 0.5})]))[0] == "sumeval"
    assert find_format(tmp_path)[0] == "xpos"


def test_the_hint_names_the_format_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, "x.csv", "source,sw\nen,50\n")
    for wrong in ("nnrank", "langrank", "long"):
        with pytest.raises(XsnsError) as caught:
            import_scores(path, wrong)
        assert caught.value.hint == f"the file looks like the format matrix, not {wrong}: give --format matrix."


def test_a_wrong_format_is_reported_with_the_other_problems(tmp_path: Path) -> None:
    path = write(tmp_path, "x.csv", "source,sw,Swahly,fi\nen,50,x1,3\nfi,20,30,3\n")
    with pytest.raises(XsnsError) as caught:
        import_scores(path, "long")
    with pytest.raises(XsnsError) as right_format:
        import_scores(path)
    error = right_format.value
    assert caught.value.message.endswith(f"In the format matrix, {error.message}")
    assert "Swahly" in error.message
    assert caught.value.hint == (f"the file looks like the format matrix, not long: give --format matrix. {error.hint}")
    with pytest.raises(XsnsError) as caught:
        import_gold([path], "long", str(tmp_path / "g.parquet"), rename={})
    command = caught.value.hint.rpartition(": ")[2]
    assert f"xsns-stream gold import {path} --format matrix " in command
    assert "--format long" not in command


@needs_shared
@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "format_name"),
    [
        ("xpos", "xpos"),
        ("xpos/results/udpos-ft-10000.csv", "xpos"),
        ("xpos/results/matrix-ft-3epoch.csv", "xpos"),
        ("xpos/gold_xlmr_base_pos_matrix.csv", "matrix"),
        ("xpos/gold_xlmr_base_pos_long.csv", "long"),
        ("gold/nnrank_wikiann_ner_xlmr_base.csv", "nnrank"),
    ],
)
def test_formats_of_published_files_are_recognised(name: str, format_name: str) -> None:
    assert find_format(SHARED / name)[0] == format_name
    scores = import_scores(SHARED / name).scores
    assert scores.cells.shape[2:] in {(65, 105), (51, 72)}
