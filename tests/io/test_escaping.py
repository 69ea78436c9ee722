"""Invisible characters as escapes in lines, JSON and cells of CSV; and guarded formulas."""

from __future__ import annotations

import io
import json
import unicodedata

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xsns_stream.io.escaping import guarded, visible, visible_json
from xsns_stream.io.frames import guarding_csv, write_csv

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def written(frame: pd.DataFrame, *, guard: bool = False, index: bool = False, separator: str = ",") -> str:
    file = io.BytesIO()
    with guarding_csv(guard):
        write_csv(frame, file, index=index, separator=separator)
    return file.getvalue().decode()


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from(BIDI + "\x1b\x9b\x85\n"))))
def test_no_invisible_character_is_left(text: str) -> None:
    escaped = visible(text)
    assert not any(unicodedata.category(sign) in {"Cc", "Zl", "Zp"} or sign in BIDI for sign in escaped)
    lines = visible(text, lines=True)
    assert lines.count("\n") == text.count("\n")
    if escaped == text:
        assert lines == text


@given(st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_json_means_the_same(value: object) -> None:
    for document in (json.dumps(value, ensure_ascii=False), json.dumps(value, ensure_ascii=False, indent=1)):
        assert json.loads(visible_json(document)) == value


def test_visible_characters_stay() -> None:
    text = "C:\\new Kiswahili, 中文, עברית, فارسی می‌خواهم, é [red]"
    assert visible(text) == text


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("=1+1", "'=1+1"),
        ("+cmd", "'+cmd"),
        ("-x", "'-x"),
        ("@sum", "'@sum"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("-1", "-1"),
        ("-1.5e-3", "-1.5e-3"),
        ("+.5", "+.5"),
        ("-inf", "-inf"),
        ("-1+cmd", "'-1+cmd"),
        ("", ""),
        ("a=b", "a=b"),
    ],
)
def test_formulas_are_guarded(cell: str, expected: str) -> None:
    assert guarded(cell) == expected


def test_formulas_and_invisible_characters_in_cells_of_csv_are_escaped() -> None:
    frame = pd.DataFrame({"name": ["=a", "\x1b[31m", "sw"], "=value": [-1.5, float("nan"), 2.0], "n": [1, 2, 3]})
    assert written(frame) == "name,=value,n\n=a,-1.5,1\n\\x1b[31m,,2\nsw,2.0,3\n"
    assert written(frame, guard=True) == "name,'=value,n\n'=a,-1.5,1\n\\x1b[31m,,2\nsw,2.0,3\n"
    square = pd.DataFrame([[0.5]], index=pd.Index(["-x"], name="source"), columns=pd.Index(["@y"], name="target"))
    assert written(square, guard=True, index=True, separator="\t") == "source\t'@y\n'-x\t0.5\n"


def test_cells_of_several_kinds_stay_what_they_are() -> None:
    frame = pd.DataFrame({"mixed": pd.Series([1, None, "a", -2.5], dtype=object), "yes": [True, False, True, False]})
    assert written(frame, guard=True) == frame.to_csv(index=False, lineterminator="\n")
    empty = pd.DataFrame({"a": [], "b": []})
    assert written(empty) == "a,b\n"


def test_guarding_ends_with_its_block() -> None:
    frame = pd.DataFrame({"name": ["=a"]})
    assert written(frame, guard=True) != written(frame) == "name\n=a\n"
