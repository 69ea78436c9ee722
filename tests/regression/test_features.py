"""Features from tables of languages and of pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.errors import error_of
from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.regression import KINDS, Feature, feature_matrix, parse_feature, read_features
from xsns_stream.regression.features import script_type

LANGUAGES = """code,family,script,order,size,pretrained
swh,Atlantic-Congo,Latn,SVO,100,yes
deu,"IE, Germanic",latin,Unknown,1000,1
rus,"IE, Slavic",Cyrillic,SVO,10000,TRUE
arb,Afro-Asiatic,Arab,VSO,,no
xx-none,Isolate,Latn,SOV,5,0
"""
PAIRS = "source,target,ldnd\nswa,de,95.5\nde,ru,71\nru,de,71\nde,sw,\n"
SOURCES, TARGETS = ("de", "sw", "fi"), ("sw", "ru", "ar", "de")
NAN = float("nan")


@pytest.fixture
def write(tmp_path: Path):
    def file(text: str, name: str = "languages.csv") -> Path:
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return file


def values(text: str, *paths: Path) -> np.ndarray:
    matrix = feature_matrix(parse_feature(text), read_features(paths), SOURCES, TARGETS)
    assert (matrix.sources, matrix.targets) == (SOURCES, TARGETS)
    return matrix.values


@pytest.mark.parametrize("word", ["NA", "-", "?", "nan", "None", "n/a"])
def test_words_for_a_missing_value_are_not_a_family(word: str, write) -> None:
    """Two languages with NA in a table of R do not belong to one family called NA."""
    path = write(f"code,family,size\nde,IE,7\nsw,{word},{word}\nru,{word},3\n")
    np.testing.assert_array_equal(values("same:family", path), [[NAN, NAN, NAN, 1], [NAN] * 4, [NAN] * 4])
    np.testing.assert_array_equal(values("target:size", path), [[NAN, 3, NAN, 7]] * 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("same:family", [[0, 0, 0, 1], [1, 0, 0, 0], [NAN] * 4]),
        ("same-group:family", [[0, 1, 0, 1], [1, 0, 0, 0], [NAN] * 4]),
        ("same:order", [[NAN] * 4, [1, 1, 0, NAN], [NAN] * 4]),
        ("same-known:order", [[0] * 4, [1, 1, 0, 0], [0] * 4]),
        ("same-script-type:script", [[1, 1, 0, 1], [1, 1, 0, 1], [NAN] * 4]),
        ("source:size", [[1000] * 4, [100] * 4, [NAN] * 4]),
        ("target:size", [[100, 10000, NAN, 1000]] * 3),
        ("log-source:size", [[3] * 4, [2] * 4, [NAN] * 4]),
        ("log-target:size", [[2, 4, NAN, 3]] * 3),
        ("both:pretrained", [[1, 1, 0, 1], [1, 1, 0, 1], [NAN] * 4]),
        ("source:pretrained", [[1] * 4, [1] * 4, [NAN] * 4]),
    ],
)
def test_every_kind_of_feature_is_computed_from_a_language_table(text: str, expected: list[list[float]], write) -> None:
    np.testing.assert_array_equal(values(text, write(LANGUAGES)), expected)


def test_values_of_a_pair_table_are_directed(write) -> None:
    """A pair table is directed: the value of `de → ru` is not used for `ru → de`."""
    expected = [[NAN, 71, NAN, NAN], [NAN, NAN, NAN, 95.5], [NAN] * 4]
    np.testing.assert_array_equal(values("pair:ldnd", write(PAIRS, "pairs.csv")), expected)


def test_every_kind_is_tested_and_documented() -> None:
    import xsns_stream.regression.features as module

    assert all(kind in (module.__doc__ or "") for kind in KINDS)
    assert len(set(KINDS)) == len(KINDS) == 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("same:family", Feature("same_family", "same", "family")),
        ("kin=same:family", Feature("kin", "same", "family")),
        ("log-source:train sents", Feature("log-source_train sents", "log-source", "train sents")),
        ("a=b=same:x:y", Feature("a=b", "same", "x:y")),
    ],
)
def test_features_are_parsed_from_their_spelling(text: str, expected: Feature) -> None:
    assert parse_feature(text) == expected


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("family", "'family' is not a feature.", "write KIND:COLUMN"),
        ("same:", "'same:' is not a feature.", "write KIND:COLUMN"),
        ("=same:family", "'=same:family' is not a feature.", "write KIND:COLUMN"),
        ("sane:family", "there is no kind of feature 'sane'.", "did you mean 'same'?"),
        ("zzz:family", "there is no kind of feature 'zzz'.", "kinds are same, "),
    ],
)
def test_invalid_features_are_errors(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_feature(text)
    assert caught.value.message == message
    assert caught.value.hint.startswith(hint)


def test_labels_that_are_not_codes_are_noted(write) -> None:
    features = read_features([write(LANGUAGES)])
    assert features.notes == ("labels of 'languages.csv' that are not language codes were left out: xx-none.",)


def complaint(text: str, *paths: Path) -> XsnsError:
    return error_of(XsnsError, values, text, *paths)


def test_missing_columns_are_errors(write) -> None:
    languages, pairs = write(LANGUAGES), write(PAIRS, "pairs.csv")
    missing = complaint("same:families", languages)
    assert missing.message == "no table of --features has a column 'families'."
    assert "family" in missing.hint
    assert "needs a table of pairs" in complaint("pair:size", languages, pairs).message
    assert "needs a table of languages" in complaint("same:ldnd", languages, pairs).message
    other = write(LANGUAGES, "again.csv")
    assert complaint("same:family", languages, other).message.startswith("several tables have a column 'family'")
    unlabelled = complaint("same:family", write("name,family\nSwahili,Bantu\n", "names.csv"))
    assert unlabelled.message == "'names.csv' has neither a column 'code' nor columns 'source' and 'target'."


def test_invalid_cells_are_errors(write) -> None:
    assert complaint("source:family", write(LANGUAGES)).message == (
        "4 cells of 'languages.csv' contain no number: de → family ('IE, Germanic'), sw → family ('Atlantic-Congo'), "
        "ru → family ('IE, Slavic'), ar → family ('Afro-Asiatic')."
    )
    zero = complaint("log-source:pretrained", write(LANGUAGES))
    assert zero.message.startswith("'pretrained' of ar in 'languages.csv' must be above zero")
    assert zero.hint == "use source:pretrained, or leave these cells empty."
    twice = complaint("source:size", write(LANGUAGES + 'ger,"IE, Germanic",latin,SOV,7,1\n'))
    assert twice.message == "'languages.csv' has both '1000' and '7' in column 'size' for 'de'."
    assert "has two values in column 'ldnd'" in complaint("pair:ldnd", write(PAIRS + "sw,deu,1\n", "pairs.csv")).message


def test_languages_are_found_by_name_and_under_other_codes_and_notes_say_so(write) -> None:
    path = write("code,size\nEnglish (GB),7\nKiswahili,5\nzh-Hans,9\nKlingonish,1\n", "sizes.csv")
    codes = ("en", "sw", "zh")
    tables = read_features([path], codes)
    matrix = feature_matrix(parse_feature("source:size"), tables, codes, codes)
    np.testing.assert_array_equal(matrix.values[:, 0], [7, 5, 9])
    assert tables.notes == (
        "labels of 'sizes.csv' that are not language codes were left out: Klingonish.",
        "languages of 'sizes.csv' were recognised by name: English (GB) = en-GB, Kiswahili = sw.",
        "'sizes.csv' has other codes for the same languages: en-GB for en, zh-Hans for zh.",
    )


def test_repeated_lines_are_accepted(write) -> None:
    repeated = LANGUAGES + 'ger,"IE, Germanic",latin,Unknown,1000,1\n'
    np.testing.assert_array_equal(values("source:size", write(repeated))[0], [1000] * 4)


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        ("latin", "alphabet"),
        ("Latn", "alphabet"),
        ("Old Turkic", "alphabet"),
        ("Hang", "alphabet"),
        ("arabic", "abjad"),
        ("Deva", "abugida"),
        ("ethiopic", "abugida"),
        ("kana", "syllabary"),
        ("chinese", "logography"),
        ("Jpan", ""),
        ("", ""),
    ],
)
def test_scripts_have_a_type_of_writing_system(script: str, kind: str) -> None:
    assert script_type(script) == kind
