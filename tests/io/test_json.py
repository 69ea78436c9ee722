"""JSON files from other programs."""

from __future__ import annotations

from pathlib import Path

import pytest

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.gold import import_scores
from xsns_stream.io.json import read_json
from xsns_stream.similarity.matrix_io import read_matrix

LONG = "9" * 400


def written(tmp_path: Path, text: str, name: str = "x.json") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_an_object_that_names_something_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(XsnsError, match="'sw' occurs twice"):
        read_json(written(tmp_path, '{"en": {"sw": 1, "sw": 2}}'))


def test_integers_that_fit_stay_integers_and_others_are_floats(tmp_path: Path) -> None:
    assert read_json(written(tmp_path, f"[12, -3, {LONG}]")) == [12, -3, float("inf")]


@pytest.mark.parametrize("text", ["", "[", "\x00", "[" * 100_000])
def test_invalid_json_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(XsnsError, match="not valid JSON"):
        read_json(written(tmp_path, text))


@pytest.mark.parametrize("seed", ["Infinity", LONG, "NaN"])
def test_a_matrix_with_an_impossible_seed_is_damaged(tmp_path: Path, seed: str) -> None:
    text = f'{{"sources": ["en"], "targets": ["sw"], "values": [[1]], "coefficient": "x", "seeds": [{seed}]}}'
    with pytest.raises(XsnsError, match="is damaged"):
        read_matrix(written(tmp_path, text))


def test_a_matrix_with_an_impossible_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(XsnsError, match="infinite"):
        read_matrix(written(tmp_path, f'{{"en": {{"sw": {LONG}}}, "fi": {{"sw": 1}}}}'))


def test_a_run_with_too_many_examples_is_refused(tmp_path: Path) -> None:
    text = '[{"train_config": {"en": Infinity}, "eval_results": {"sw": 0.5}}]'
    with pytest.raises(XsnsError):
        import_scores(written(tmp_path, text), "sumeval")


def test_seeds_have_a_largest(tmp_path: Path) -> None:
    table = written(tmp_path, "source,sw,fi\nsw,90,50\nfi,60,80\n", "m.csv")
    with pytest.raises(UsageError, match="too large"):
        import_scores(table, "matrix", unit="percent", seeds=[10**20])
    long = written(tmp_path, "source,target,score,seed\nsw,fi,50,1e300\n", "l.csv")
    with pytest.raises(XsnsError, match="is not an integer"):
        import_scores(long, "long", unit="percent")
