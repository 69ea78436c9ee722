"""Files with unexpected contents: mojibake, lists written as text, lists of sentences, tables read as lines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.errors import error_of
from tests.support.text_files import read
from xsns_stream.corpora import open_corpus, open_task, read_text
from xsns_stream.corpora.text_checks import is_mojibake, is_wrong_latin_1, parse_list
from xsns_stream.errors import CorpusError

FRENCH = ["café crème", "déjà vu", "l’été", "où ça ?", "plain words"]
RUSSIAN = ["привет", "как дела", "хорошо", "спасибо", "пожалуйста"]
CHINESE = ["你好", "我用电脑。", "今天天气很好", "谢谢", "再见"]


def complaint(path: Path, content: str) -> CorpusError:
    error = error_of(CorpusError, read, path, content)
    assert error.hint
    return error


def sloppy(text: str, encoding: str) -> str:
    """Return UTF-8 decoded with another encoding as in browsers: undefined bytes become control characters."""
    return "".join(bytes([byte]).decode(encoding, "ignore") or chr(byte) for byte in text.encode())


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
@pytest.mark.parametrize("texts", [FRENCH, RUSSIAN, CHINESE])
def test_mojibake_is_refused(tmp_path: Path, texts: list[str], encoding: str) -> None:
    mangled = [sloppy(text, encoding) for text in texts]
    many = sum(not text.isascii() for text in texts)
    error = complaint(tmp_path / "sw.txt", "\n".join(mangled))
    assert error.message.startswith(
        f"{many} of 5 texts of sw.txt are UTF-8 that was decoded as Windows-1252 or Latin-1 ("
    )
    assert "ftfy" in error.hint
    rows = "".join(json.dumps({"text": text}) + "\n" for text in mangled)
    assert complaint(tmp_path / "sw.jsonl", rows).message.startswith(f"{many} of 5 texts of sw.jsonl are UTF-8")


def test_few_texts_of_mojibake_are_noted(tmp_path: Path) -> None:
    sample = read(tmp_path / "sw.txt", "\n".join([*(f"line {number}" for number in range(20)), "cafÃ©", "été"]))
    assert len(sample) == 22
    assert sample.notes == (
        "1 of 22 texts of sw.txt are UTF-8 that was decoded as Windows-1252 or Latin-1 ('cafÃ©'); they are measured "
        "unchanged.",
    )


@pytest.mark.parametrize(
    "text",
    [
        *FRENCH,
        *RUSSIAN,
        *CHINESE,
        "",
        "Ã",
        "BLÍŽENCI",
        "MÔŽE PÍŠE",
        "NÃO É",
        "© 2024 — ®",
        "A\u0303o",
        "Tiếng Việt",
        "\x85",
        "ÄÖÜß „so“",
    ],
)
def test_correct_text_is_not_mojibake(text: str) -> None:
    assert not is_mojibake(text)


@pytest.mark.parametrize("written", ["['EU', 'rejects']", '["EU", "rejects"]', """['EU', "it's"]""", " ['EU'] "])
def test_lists_of_words_that_are_written_as_text_are_read_as_words(tmp_path: Path, written: str) -> None:
    quoted = '"' + written.replace('"', '""') + '"'
    sample = read(tmp_path / "sw.csv", f"tokens,n\n{quoted},1\nplain text,2\n")
    words = parse_list(written.strip())
    assert words is not None
    assert [example.text for example in sample.examples] == [tuple(map(str, words)), "plain text"]
    assert open_corpus(str(tmp_path)).name.endswith(", words=running)")


@pytest.mark.parametrize("written", ["['EU' 'rejects']", "[3 0 7]", "['EU',\n 'x' 'y']", "[EU, rejects]"])
def test_lists_whose_members_cannot_be_told_apart(tmp_path: Path, written: str) -> None:
    error = complaint(tmp_path / "sw.csv", f'tokens,n\n"{written}",1\n')
    assert error.message.startswith(
        "column 'tokens' of sw.csv contains a list that is written as text, and its items cannot be told apart"
    )


def test_lists_of_labels_that_are_written_as_text_are_read(tmp_path: Path) -> None:
    path = tmp_path / "sw-train.csv"
    path.write_text("tokens,ner_tags\n\"['EU', 'x']\",\"['B-ORG', 'O']\"\n\"['EU', 'y']\",\"['B-ORG' 'O']\"\n")
    with pytest.raises(
        CorpusError, match=r"column 'ner_tags' of sw-train\.csv contains a list that is written as text"
    ):
        open_task(str(tmp_path), "ner").split("sw", "train")
    path.write_text("tokens,ner_tags\n\"['EU', 'x']\",\"['B-ORG', 'O']\"\n" + "\"['a']\",\"['O']\"\n" * 30)
    example = open_task(str(tmp_path), "ner").split("sw", "train").examples[0]
    assert (example.text, example.label) == (("EU", "x"), ("B-ORG", "O"))


def test_lists_written_as_text_in_a_column_of_text_are_refused(tmp_path: Path) -> None:
    rows = [f"['word', '{number}']" for number in range(3)]
    path = tmp_path / "sw.jsonl"
    error = complaint(path, "".join(json.dumps({"text": row}) + "\n" for row in [*rows, "text"]))
    assert error.message == "3 of 4 texts of sw.jsonl are lists written as text (\"['word', '0']\")."
    texts = ["[laughs] Well, [coughs]", "[1]", "[...]", "text", "['x']"]
    assert len(read(path, "".join(json.dumps({"text": row}) + "\n" for row in texts))) == 5


def test_lists_of_sentences_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "sw.jsonl"
    rows = [["The cat sat.", "A dog barked."], ["Is it so?", "It is “so.”", "yes"], ["one", "."]]
    error = complaint(path, "".join(json.dumps({"text": row}) + "\n" for row in rows))
    assert error.message == "2 of 3 lists of sw.jsonl contain sentences, not words ('The cat sat.')."
    assert "one sentence per row" in error.hint
    words = [["cho phép", "Việt Nam", "."], ["New York", "3 000", "z. B.", "etc.", "x"], ["The", "cat", "sat", "."]]
    assert len(read(path, "".join(json.dumps({"tokens": row}) + "\n" for row in words))) == 3


@pytest.mark.parametrize("line", ["a{}\tHello there {}", "a{}\tHello"])
def test_lines_with_identifiers_and_tabs_are_noted(tmp_path: Path, line: str) -> None:
    sample = read(tmp_path / "sw.txt", "\n".join(line.format(number, number) for number in range(5)))
    assert sample.notes == (
        "5 of 5 lines of sw.txt contain a tab, and each line is measured as a whole: if the file is a table, name it "
        ".tsv, give it a header, and choose a column with --text-column.",
    )
    assert len(sample) == 5


def test_numbered_lines_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "sw.txt"
    sample = read(path, "1 Hello there\n2. Good bye\n\n3) More\n4: text\n")
    assert sample.notes == (
        "4 of 4 lines of sw.txt begin with a running number, which is measured as text: remove the numbers if "
        "they are not part of the text.",
    )
    assert read(path, "1990 was good\n2000 was better\n2010 was best\nfour\n").notes == ()
    assert read(path, "a\tb\nplain\nwords\nhere\n").notes == ()
    assert read(path, "1\tHello\n").notes == ()


INVISIBLE = [
    "\u200b",
    "\ufeff\ufeff",
    "\u2060",
    "\u00ad",
    "\u200b\u200c\u00ad \u00a0",
    "\u3000",
    "\x1a",
    "\u200e\u200f",
]


def test_lines_of_invisible_characters_are_empty(tmp_path: Path) -> None:
    right = ["می\u200cخواهم", "co\u00adoperate", "👨\u200d👩", "\u0600\u06f1", "…", "\u200bword"]
    sample = read(tmp_path / "sw.txt", "\n".join([*INVISIBLE, *right * 20]))
    assert sample.counts.empty == len(INVISIBLE)
    assert [example.text for example in sample.examples] == right


def test_words_of_invisible_characters_are_removed_with_their_labels(tmp_path: Path) -> None:
    path = tmp_path / "sw.jsonl"
    rows = [
        {"tokens": ["EU", "\u200b", "x"], "tags": ["B-ORG", "I-ORG", "O"]},
        {"tokens": ["\ufeff", "\u00ad"], "tags": ["O", "O"]},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sample = read_text("sw", path, labels="auto")
    assert [(example.text, example.label) for example in sample.examples] == [(("EU", "x"), ("B-ORG", "O"))]
    assert (sample.counts.empty, sample.counts.control) == (1, 0)
    folder = tmp_path / "task"
    folder.mkdir()
    (folder / "sw-dev.txt").write_text("x O\n\n")
    (folder / "sw-train.txt").write_text(
        "\u200b O\nEU B-ORG\n\n\ufeff O\n\n\ufeffx O\n\n" + "x O\n\n" * 20, encoding="utf-8"
    )
    split = open_task(str(folder), "ner").split("sw", "train")
    assert split.examples[0].text == ("EU",)
    assert [example.text for example in split.examples[1:]] == [("x",)] * 21


def test_a_pair_of_which_one_text_is_invisible_is_empty(tmp_path: Path) -> None:
    path = tmp_path / "sw.csv"
    path.write_text("premise,hypothesis,label\na,b,x\nc,\u200b,x\n\u00ad,d,x\n", encoding="utf-8")
    assert read_text("sw", path, labels="auto").counts.empty == 2


_OTHER_SCRIPTS = {
    "ru": (
        "windows-1251",
        ["Члены Ассамблеи собрались сегодня.", "Доброе утро всем друзьям!", "Мы идём на рынок утром."],
    ),
    "uk": ("koi8-u", ["Доброго ранку всім друзям.", "Ми йдемо на ринок уранці.", "Завтра буде дощ у місті."]),
    "el": (
        "windows-1253",
        ["Καλημέρα σε όλους τους φίλους.", "Πάμε στην αγορά το πρωί.", "Αύριο θα βρέξει στην πόλη."],
    ),
    "he": ("windows-1255", ["בוקר טוב לכל החברים שלי.", "אנחנו הולכים לשוק בבוקר.", "מחר ירד גשם בעיר הגדולה."]),
}


@pytest.mark.parametrize("language", _OTHER_SCRIPTS)
def test_text_that_was_converted_from_latin_1_instead_of_its_encoding_is_refused(language: str, tmp_path: Path) -> None:
    encoding, texts = _OTHER_SCRIPTS[language]
    wrong = [text.encode(encoding).decode("latin-1") for text in texts]
    (tmp_path / f"{language}.txt").write_text("\n".join(wrong), encoding="utf-8")
    with pytest.raises(CorpusError, match=r"3 of 3 texts of .* are text in an encoding of another script") as caught:
        open_corpus(tmp_path).sample(language, 3, 0)
    assert "iconv -f UTF-8 -t ISO-8859-1" in caught.value.hint
    right = [text.encode("latin-1").decode(encoding) for text in wrong]
    (tmp_path / f"{language}.txt").write_text("\n".join(right), encoding="utf-8")
    assert {each.sentence() for each in open_corpus(tmp_path).sample(language, 3, 0).examples} == set(texts)


@pytest.mark.parametrize(
    "text",
    [
        "Rándì Gúúsù Afíríkà, Dírààmù Àmẹ́níà, Léhù Ròméníà",  # names of currencies in Yoruba, with most accents
        "Þórður æðrast ekki þótt ölið sé súrt",
        "Żółć gęślą jaźń",
        "Árvíztűrő tükörfúrógép",
    ],
)
def test_languages_with_many_accents_are_not_wrong_latin_1(text: str) -> None:
    assert not is_wrong_latin_1(text)
