"""Files of results with tables: one set of formats for all of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from xsns_stream.errors import UsageError
from xsns_stream.io.frames import read_parquet
from xsns_stream.report import FORMATS, GROUP_FORMATS, RESULT_FORMATS, ResultFile, write_matrix, write_result
from xsns_stream.report.markup import Sheet
from xsns_stream.types import SimilarityMatrix

FRAME = pd.DataFrame({"source": ["zu", "xh"], "jaccard": [0.5, float("nan")]})
RESULT = ResultFile(
    kind="ranking",
    frame=lambda: FRAME,
    document=lambda: {"target": "sw", "values": [0.5, float("nan")]},
    sheets=lambda: [Sheet("Sources", ("source", "jaccard"), (("zu", "0.500"), ("xh", "–")))],
    draw=Figure,
    notes=("of a toy model.",),
)


@pytest.mark.parametrize(("suffix", "separator"), [(".csv", ","), (".tsv", "\t")])
def test_rows_are_text(tmp_path: Path, suffix: str, separator: str) -> None:
    path = write_result(RESULT, tmp_path / f"a{suffix}")
    assert path.read_text() == "source,jaccard\nzu,0.5\nxh,\n".replace(",", separator)


def test_parquet_has_the_rows_and_the_whole_result(tmp_path: Path) -> None:
    frame, document = read_parquet(write_result(RESULT, tmp_path / "a.parquet"))
    pd.testing.assert_frame_equal(frame, FRAME)
    assert document == {"schema_version": 1, "kind": "ranking", "target": "sw", "values": [0.5, None]}


def test_json_is_the_whole_result(tmp_path: Path) -> None:
    document = json.loads(write_result(RESULT, tmp_path / "a.json").read_text())
    assert document == {"schema_version": 1, "target": "sw", "values": [0.5, None]}


def test_tables_of_text_have_the_notes(tmp_path: Path) -> None:
    text = write_result(RESULT, tmp_path / "a.md").read_text(encoding="utf-8")
    assert text.startswith("**Sources**\n\n| source | jaccard |\n| --- | ---: |\n| zu | 0.500 |\n")
    assert "* of a toy model." in text
    assert "zu & 0.500 \\\\" in write_result(RESULT, tmp_path / "a.tex").read_text(encoding="utf-8")


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_figure_is_drawn(tmp_path: Path, suffix: str) -> None:
    assert write_result(RESULT, tmp_path / f"a{suffix}").stat().st_size > 100


def test_tables_of_all_verbs_have_one_set_of_formats() -> None:
    of_matrices = {".html", ".nwk", ".phy", ".graphml"}
    assert set(FORMATS) == {*RESULT_FORMATS, ".npz", *of_matrices}
    assert set(GROUP_FORMATS) == set(FORMATS) - {".png", ".svg", ".pdf", *of_matrices}
    with pytest.raises(UsageError, match=r"'.*x\.doc' does not end in the suffix of a supported format") as caught:
        write_result(RESULT, "x.doc")
    assert caught.value.hint.endswith(f"{', '.join(RESULT_FORMATS)}.")


def test_a_matrix_is_written_as_a_table_of_text(tmp_path: Path) -> None:
    matrix = SimilarityMatrix(("sw", "fi"), ("sw", "fi"), np.array([[1.0, 0.25], [0.25, 1.0]]), "jaccard")
    text = write_matrix(matrix, tmp_path / "m.md").read_text(encoding="utf-8")
    assert "| sw | 1.000 | 0.250 |" in text
    assert "sw & 1.000 & 0.250 \\\\" in write_matrix(matrix, tmp_path / "m.tex").read_text(encoding="utf-8")
