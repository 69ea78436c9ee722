"""Tables of languages: columns, names, several labels for one code, and notes about lines that are left out."""

from __future__ import annotations

from pathlib import Path

import pytest

from xsns_stream.baselines import (
    customary_scripts,
    family,
    read_families,
    read_scripts,
    read_sizes,
    script,
    source_size,
)
from xsns_stream.baselines.language_values import match_labels, read_names, read_table, restrict_both
from xsns_stream.errors import LanguageError, UsageError, XsnsError


@pytest.fixture
def write(tmp_path: Path):
    def call(name: str, *lines: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return call


# ----------------------------------------------------------------------------------------------- labels


def test_label_of_the_code_itself_is_preferred() -> None:
    matched = match_labels(["arb", "ara", "swh", "zul", "swa", "en", "eng"], "t.csv")
    assert dict(zip(matched.codes, matched.indices, strict=True)) == {"ar": 1, "sw": 4, "zu": 3, "en": 5}
    assert matched.notes == ()
    assert match_labels(["drw", "prs"], "t.csv").notes == (
        "t.csv has several entries for fa-AF; only the first entry of each language was used.",
    )


def test_invalid_and_repeated_labels_are_noted() -> None:
    matched = match_labels(["sw", "Klingon!", "", "sw"], "t.csv")
    assert (matched.codes, matched.indices) == (("sw",), (0,))
    assert matched.notes == (
        "2 labels of t.csv are not language codes and were left out: Klingon!, an empty label.",
        "t.csv has several entries for sw; only the first entry of each language was used.",
    )


def test_names_are_looked_up_before_codes() -> None:
    # `mon` is the code of Mongolian; Mon is another language.
    assert match_labels(["Mon", "Old_Norse"], "t", {"mon": "mnw", "old norse": "non"}).codes == ("mnw", "non")


def test_restriction_keeps_the_requested_order_and_leaves_out_unknown_languages() -> None:
    assert restrict_both(["en", "sw", "fi"], ["fin", "zu", "sw", "fi"], None, "it") == (
        {"fi": "fi", "sw": "sw"},
        {"en": "en", "sw": "sw", "fi": "fi"},
    )
    # Stores built from the corpus cldr have the label zh-Hans, and few tables have it.
    assert restrict_both(["zh", "en"], ["zh-Hans"], ["en"], "it")[0] == {"zh-Hans": "zh"}
    with pytest.raises(LanguageError, match="it has none of the requested languages: zu, et"):
        restrict_both(["en", "sw", "fi"], ["zu", "et"], None, "it")


# ----------------------------------------------------------------------------------------------- tables


def test_nan_is_the_code_of_min_nan_and_not_a_missing_value(write) -> None:
    sizes = read_sizes(write("sizes.csv", "code,tokens", "nan,3", "en,5", "fi,"))
    assert dict(sizes.values) == {"nan": 3.0, "en": 5.0}


def test_a_text_file_without_a_header_is_read_by_position(write) -> None:
    path = write("sizes.txt", "af Afrikaans 242 1.3", "zh Chinese (Simplified) 259 46.9", "", "en English 55608 300.8")
    assert read_table(path).header == ("label", "text", "1", "2")
    assert dict(read_sizes(path).values) == {"af": 242.0, "zh": 259.0, "en": 55608.0}
    assert dict(read_sizes(path, "2").values)["zh"] == 46.9


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("code,family", 'sv,"IE, Germanic"'),
        (",language_id,language,script,Family", '0,sv,Swedish,latin,"IE, Germanic"'),
        ("Glottocode,Name,ISO639P3code,Family", 'swed1254,Swedish,swe,"IE, Germanic"'),
    ],
)
def test_columns_of_published_tables_are_found(write, header: str, line: str) -> None:
    assert dict(read_families(write("languages.csv", header, line)).values) == {"sv": ("IE", "Germanic")}


def test_several_columns_form_one_path(write) -> None:
    path = write("w.csv", "ISO639P3code,Family,Subfamily,Genus", "swe,IE,,Germanic", "hin,IE,Indo-Iranian,Indic")
    families = read_families(path, ["family", "Subfamily", "Genus"])
    assert dict(families.values) == {"sv": ("IE", "Germanic"), "hi": ("IE", "Indo-Iranian", "Indic")}
    assert families.origin == "w.csv, columns Family, Subfamily, Genus"


def test_isolates_of_glottolog_are_families_of_their_own(write) -> None:
    lines = ("eus,,true", "ain,,true", "fin,Uralic,", "und,Uralic,", "zul,,false")
    families = read_families(write("g.csv", "ISO639P3code,Family,Is_Isolate", *lines))
    assert set(families.values) == {"eu", "ain", "fi"}
    assert families.notes == ("1 label of g.csv is not a language code and was left out: und.",)
    assert family(families).values.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_words_for_a_missing_value_are_not_a_family(write) -> None:
    """Languages with NA, as R writes it, do not belong to one family called NA."""
    words = ("NA", "na", "nan", "-", "?", "None", "unknown", "Unknown", "n/a", "Unclassified")
    codes = ("eu", "ja", "ko", "ain", "sw", "zu", "wo", "ff", "qu", "ka")
    lines = [f"{code},{word}" for code, word in zip(codes, words, strict=True)]
    families = read_families(write("f.csv", "code,family", "en,Indo-European", "na,Austronesian", *lines))
    assert dict(families.values) == {"en": ("Indo-European",), "na": ("Austronesian",)}
    (note,) = families.notes
    assert note.startswith("f.csv has 'NA', 'na', 'nan', '-', '?', 'None', 'unknown', 'Unknown', 'n/a', 'Unclassified'")
    assert note.endswith("left out: eu, ja, ko, ain, sw, zu, wo, ff, qu, ka.")


def test_missing_branch_is_left_out_and_isolates_are_alone(write) -> None:
    lines = ("en,Indo-European,NA", "de,Indo-European,Germanic", "eu,Isolate,", "ain,language isolate,-")
    families = read_families(write("f.csv", "code,family,branch", *lines), ["family", "branch"])
    assert dict(families.values) == {
        "en": ("Indo-European",),
        "de": ("Indo-European", "Germanic"),
        "eu": ("eu",),
        "ain": ("ain",),
    }
    assert families.notes == ()
    assert family(families, ["eu"], ["ain"]).values.tolist() == [[0]]


def test_words_for_a_missing_value_are_not_a_script(write) -> None:
    lines = ("en,Latin", "fi,latin", "eu,NA", "ja,?", "ase,Zxxx", "zu,")
    scripts = read_scripts(write("s.csv", "code,script", *lines))
    assert dict(scripts.values) == {"en": "latin", "fi": "latin"}
    assert scripts.notes == (
        "s.csv has 'NA', '?', 'Zxxx' for a missing value; these languages are left out: eu, ja, ase.",
    )


def test_missing_size_does_not_exclude_the_column(write) -> None:
    sizes = read_sizes(write("s.csv", "code,articles", "en,6000000", "no,NA", "na,10", "nan,400", "sw,0"))
    assert dict(sizes.values) == {"en": 6e6, "na": 10.0, "nan": 400.0, "sw": 0.0}
    assert sizes.notes == ("s.csv has 'NA' for a missing value; these languages are left out: no.",)


@pytest.mark.parametrize("field", ["6,000,000", "1.2GB", "300 M"])
def test_field_that_is_not_a_number_is_named(write, field: str) -> None:
    path = write("s.csv", "code,articles", f'en,"{field}"', "fi,500")
    with pytest.raises(UsageError, match=f"no column of numbers: column 'articles' has '{field}' for en"):
        read_sizes(path)


def test_names_are_looked_up_in_a_table_beside_the_file(write) -> None:
    path = write("research/fams.txt", "Swedish IE, Germanic", "Old_French IE, Romance", "Abaza Northwest Caucasian")
    with pytest.raises(XsnsError, match="has no value for any language") as caught:
        read_families(path)
    assert "--names" in caught.value.hint
    names = write("languages.csv", "code,name", "sv,Swedish", "fro,Old French", "!,Abaza")
    assert dict(read_families(path).values) == {"sv": ("IE", "Germanic"), "fro": ("IE", "Romance")}
    assert "Abaza" in read_families(path).notes[0]
    assert read_names(names) == {"swedish": "sv", "old french": "fro"}
    other = write("other.tsv", "language_id\tlanguage", "da\tSwedish")
    assert set(read_families(path, names=other).values) == {"da"}


def test_repeated_lines_are_accepted_and_contradicting_lines_are_noted(write) -> None:
    again = read_scripts(write("s.csv", "code,script", "sr,cyrillic", "sr,cyrillic"))
    assert (dict(again.values), again.notes) == ({"sr": "cyrillic"}, ())
    other = read_scripts(write("s.csv", "code,script", "sr,cyrillic", "sr,latin"))
    assert dict(other.values) == {"sr": "cyrillic"}
    assert other.notes == ("s.csv has several entries for sr; only the first entry of each language was used.",)


def test_the_column_of_sizes_is_found_or_must_be_chosen(write) -> None:
    one = write("one.csv", ",language,size,script", "0,hy,1785,armenian", "1,cy,303,latin")
    assert dict(read_sizes(one).values) == {"hy": 1785.0, "cy": 303.0}
    known = write("known.csv", "code,gold,tokens", "en,1,7", "fi,0,2")
    assert read_sizes(known).origin == "known.csv, column tokens"
    assert dict(read_sizes(known, "GOLD").values) == {"en": 1.0, "fi": 0.0}
    several = write("several.csv", "code,a,b", "en,1,7", "fi,0,2")
    with pytest.raises(UsageError, match="several columns of numbers") as caught:
        read_sizes(several)
    assert caught.value.hint == "choose one with --column: a, b."
    with pytest.raises(UsageError, match="no column of numbers"):
        read_sizes(write("none.csv", "code,name", "en,English"))


@pytest.mark.parametrize("field", ["many", "-1", "inf", "1 000"])
def test_invalid_amount_is_an_error(write, field: str) -> None:
    with pytest.raises(XsnsError, match="for fi, which is not an amount"):
        read_sizes(write("s.csv", "code,tokens", "en,7", f"fi,{field}"), "tokens")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "", "is empty"),
        ("t.csv", "code,script\n", "is empty"),
        ("t.txt", "\n\n", "is empty"),
        ("t.csv", "code,script\nen,latin,7,8\n", "has 4 fields, but the first has 2"),
        ("t.csv", "word,script\nen,latin\n", "has no column of codes"),
        ("t.csv", "code,word\nen,latin\n", "has no column of scripts"),
        ("t.xlsx", "x", "is a workbook of a spreadsheet program, not a table of text"),
        ("t.csv", "code,script\nEnglisch!,latin\n", "has no value for any language"),
        ("t.csv", "code,script\nen,\n", "has no value for any language"),
    ],
)
def test_invalid_table_is_an_error(tmp_path: Path, name: str, text: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(XsnsError, match=message):
        read_scripts(path)


@pytest.mark.parametrize("name", ["t.csv", "t.txt"])
def test_unreadable_file_is_an_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(XsnsError, match="there is no file"):
        read_scripts(tmp_path / name)
    (tmp_path / name).write_bytes(b"code,script\nen,\xff\xfe\n")
    with pytest.raises(XsnsError, match="as a table"):
        read_scripts(tmp_path / name)


# -------------------------------------------------------------------------------------------- baselines


def test_family_is_the_cosine_of_ancestor_sets(write) -> None:
    lines = ('sv,"IE, Germanic"', 'da,"IE, Germanic"', 'hi,"IE, Indic"', "fi,Uralic", 'xx,"IE, Germanic"', "el,IE")
    families = read_families(write("f.csv", "code,family", *lines))
    matrix = family(families)
    assert matrix.coefficient == "family"
    assert matrix["sv", "da"] == 1.0
    assert matrix["sv", "hi"] == 0.5
    assert matrix["sv", "el"] == pytest.approx(1 / 2**0.5)
    assert matrix["sv", "fi"] == 0.0
    ancestors = {code: {tuple(path[: i + 1]) for i in range(len(path))} for code, path in families.values.items()}
    for one in matrix.sources:
        for other in matrix.targets:
            ours, theirs = ancestors[one], ancestors[other]
            assert matrix[one, other] == pytest.approx(len(ours & theirs) / (len(ours) * len(theirs)) ** 0.5)
    binary = family(families, binary=True)
    assert set(binary.values.ravel()) == {0.0, 1.0}
    assert (binary["sv", "hi"], binary["sv", "da"]) == (0.0, 1.0)


def test_branches_of_the_same_name_in_two_families_are_not_shared(write) -> None:
    lines = ('sv,"IE, Northern"', 'zu,"Bantu, Northern"')
    assert family(read_families(write("f.csv", "code,family", *lines)))["sv", "zu"] == 0.0


def test_languages_with_the_same_customary_script_have_similarity_one() -> None:
    scripts = customary_scripts(["srp-Latn", "sr", "ru", "zh", "zh-TW", "ja", "sw", "ur", "ar", "sw", "aii"])
    matrix = script(scripts)
    assert matrix.sources == ("sr-Latn", "sr", "ru", "zh", "zh-TW", "ja", "sw", "ur", "ar", "aii")
    for pair in (("sr-Latn", "sw"), ("sr", "ru"), ("zh", "zh-TW"), ("ur", "ar")):
        assert matrix[pair] == 1.0, pair
    for pair in (("sr-Latn", "sr"), ("zh", "ja"), ("ru", "sw"), ("aii", "sw")):
        assert matrix[pair] == 0.0, pair
    assert (matrix.values == matrix.values.T).all()


def test_language_without_a_known_script_is_noted() -> None:
    scripts = customary_scripts(["en", "mis"])
    assert set(scripts.values) == {"en"}
    assert scripts.notes == ("CLDR has no script for mis.",)


def test_scripts_of_a_table_are_compared_as_words(write) -> None:
    scripts = read_scripts(write("s.csv", "code,script", "sr,Latin", "ru,cyrillic", "sw,latin "))
    matrix = script(scripts, ["sr"], ["ru", "sw"])
    assert (matrix.sources, matrix.targets, matrix.values.tolist()) == (("sr",), ("ru", "sw"), [[0.0, 1.0]])


def test_source_size_is_the_same_for_every_target(write) -> None:
    sizes = read_sizes(write("s.csv", "code,tokens", "en,999", "sw,0", "fi,9"))
    matrix = source_size(sizes, ["sw", "en"], ["zu", "en", "zul"])
    assert (matrix.sources, matrix.targets) == (("sw", "en"), ("zu", "en"))
    assert matrix.values.tolist() == [[0.0, 0.0], [999.0, 999.0]]
    assert source_size(sizes, log=True).values[:, 0].tolist() == [3.0, 0.0, 1.0]
    assert source_size(sizes).targets == ("en", "sw", "fi")
    with pytest.raises(LanguageError, match="the table of sizes has none"):
        source_size(sizes, ["zu"], ["en"])


def test_order_of_lines_does_not_matter(write) -> None:
    lines = ['sv,"IE, Germanic"', 'hi,"IE, Indic"', "fi,Uralic", "et,Uralic", "zu,Bantu"]
    forth, back = (read_families(write("f.csv", "code,family", *order)) for order in (lines, lines[::-1]))
    codes = ["et", "sv", "fi", "hi"]
    assert (family(forth, codes, codes).values == family(back, codes, codes).values).all()
    frame = family(back).to_frame().loc[list(forth.values), list(forth.values)]
    assert (frame.to_numpy() == family(forth).values).all()
