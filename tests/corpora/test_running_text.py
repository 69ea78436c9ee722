"""Sentences from their words: CoNLL-U, columns of words, data of tasks; and malformed sentences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.paths import SHARED_CASES as CASES
from xsns_stream.corpora import open_corpus, read_text
from xsns_stream.corpora.running_text import join_words, sentence_as_written
from xsns_stream.errors import CorpusError, UsageError
from xsns_stream.types import LanguageSample, ReadCounts, TextExample


def conllu(*rows: str) -> str:
    """Return a sentence of rows such as `1 Hello NOUN SpaceAfter=No`; a row that begins with `#` is a comment."""
    lines = []
    for row in rows:
        if row.startswith("#"):
            lines.append(row)
            continue
        identifier, word, tag, misc, *_ = [*row.split(" "), "_", "_", "_"]
        lines.append("\t".join((identifier, word, "_", tag, "_", "_", "_", "_", "_", misc)))
    return "\n".join(lines) + "\n\n"


def read(path: Path, *sentences: str, **options: str) -> LanguageSample:
    path.write_text("".join(sentences), encoding="utf-8")
    return read_text("en", path, **options)


def sentences(sample: LanguageSample) -> list[str]:
    return [example.sentence() for example in sample.examples]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "en.conllu"


# ---------------------------------------------------------------------------------- joining words


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("Hello , world", "Hello , world"),
        ("我 爱 你 。", "我爱你。"),
        ("我 用 Python ， 你 呢", "我用 Python，你呢"),
        ("他 说 “ 好 ” 。", "他说“好”。"),
        ("1960 年 代 ( 下 ) 为 $ 5", "1960年代(下)为$ 5"),
        ("今日 は カメラ を 買っ た", "今日はカメラを買った"),
        ("나는 學生 이다 .", "나는 學生 이다 ."),
        ("그 는 《 책 》 을", "그 는 《 책 》 을"),
        ("ฉัน กิน ข้าว กับ John", "ฉันกินข้าวกับ John"),
        ("ຂ້ອຍ ກິນ", "ຂ້ອຍກິນ"),
        ("ខ្ញុំ ញ៉ាំ", "ខ្ញុំញ៉ាំ"),
        ("ကျွန်တော် စား", "ကျွန်တော်စား"),
        ("བོད་ ཡིག", "བོད་ཡིག"),
        ("मैं घर में हूँ", "मैं घर में हूँ"),
        ("好\u200b 吗", "好\u200b吗"),
        ("一", "一"),
    ],
)
def test_the_characters_on_both_sides_decide(words: str, sentence: str) -> None:
    assert join_words(words.split(" ")) == sentence


def test_joining_no_words_gives_the_empty_text() -> None:
    assert join_words([]) == ""


@pytest.mark.parametrize(
    ("text", "after", "sentence"),
    [
        ("ab cd", (None, None, None), "ab cd"),
        (" a\u00a0b  cd ", (None, "", None), "a\u00a0b  cd"),
        ("other words", ("", None, None), "ab cd"),
        (None, ("", None, None), "ab cd"),
        (None, ("", "\u3000", " "), "ab\u3000cd"),
        (None, (None, None, None), "a b cd"),
    ],
)
def test_text_of_the_corpus_takes_precedence(text: str | None, after: tuple[str | None, ...], sentence: str) -> None:
    assert sentence_as_written(text, zip(("a", "b", "cd"), after, strict=True)) == sentence


# ---------------------------------------------------------------------------------------- CoNLL-U


def test_the_sentence_is_read_as_it_is_written(path: Path) -> None:
    sample = read(
        path,
        conllu("# text = Don't  stop.", "1-2 Don't", "1 Do AUX SpaceAfter=No", "2 n't PART", "3 stop", "4 ."),
        conllu("# text = something else", "1 Hello _ SpaceAfter=No", "2 , _ Ref=1|SpaceAfter=No", "3 you"),
        conllu("1-2 au _ SpaceAfter=No", "1 à ADP", "2 le DET", "3 - _ SpacesAfter=\\s\\s", "4 mer _ SpacesAfter=\\n"),
        conllu("1 中文", "2 字"),
        conllu("1 中文 _ SpaceAfter=No", "2 字", "3 好"),
    )
    assert sentences(sample) == ["Don't  stop.", "Hello,you", "au- mer", "中文字", "中文字 好"]
    assert [example.key() for example in sample.examples] == sentences(sample)


def test_lines_and_treebank_are_the_same_sample(tmp_path: Path, path: Path) -> None:
    words = read(
        path, conllu("# text = 我爱你。", "1 我", "2 爱", "3 你 _ SpaceAfter=No", "4 。"), conllu("1 好", "2 吗")
    )
    lines = read(tmp_path / "en.txt", "我爱你。\n好吗\n")
    assert words.digest == lines.digest
    assert words.draw(1, 7).digest == lines.draw(1, 7).digest
    assert read_text("en", path, words="given").digest != words.digest


def test_words_as_given_are_joined_by_spaces(path: Path) -> None:
    sample = read(path, conllu("# text = 我爱", "1 我", "2 爱"), words="given")
    assert sample.examples == (TextExample(("我", "爱")),)
    assert sentences(sample) == ["我 爱"]


def test_labels_are_of_words_as_given(path: Path) -> None:
    (example,) = read(path, conllu("# text = 我爱", "1 我 PRON", "2 爱 VERB"), labels="auto").examples
    assert (example.text, example.label) == (("我", "爱"), ("PRON", "VERB"))
    assert example.sentence() == "我 爱"
    assert example.key() == "我\x1f爱"


def test_words_may_be_numbered_from_zero(path: Path) -> None:
    sample = read(
        path,
        conllu("0 Her PRON", "1 visit NOUN", "2 ends VERB"),
        conllu("0-1 don't", "0 do", "1 n't", "2 go"),
        conllu("0.1 ghost", "1 Her", "1.1 ghost", "2 own"),
    )
    assert [example.text for example in sample.examples] == [("Her", "visit", "ends"), ("don't", "go"), ("Her", "own")]


def test_spaces_within_a_column_do_not_separate_columns(path: Path) -> None:
    (example,) = read(path, "1\t10  000\t10  000\tNUM\t_\t_\t_\t_\t_\tSpaceAfter=No\n2\t%\t_\tSYM\n").examples
    assert (example.text, example.running) == (("10 000", "%"), "10 000%")
    (labelled,) = read_text("en", path, labels="auto").examples
    assert labelled.label == ("NUM", "SYM")


def test_withheld_words_are_not_text(path: Path) -> None:
    withheld = conllu("1 _ NOUN", "2 _ VERB")
    sample = read(path, withheld, conllu("1 use VERB", "2 _ SYM", "3 here ADV"))
    assert sentences(sample) == ["use _ here"]
    assert sample.counts == ReadCounts(read=2, empty=1, usable=1)
    for labels in ({}, {"labels": "auto"}):
        with pytest.raises(CorpusError, match=r"the text of en\.conllu is withheld: all words of its 2 sentences"):
            read(path, withheld, conllu("1 _ X"), **labels)


GOOD = [conllu(f"1 word{number} NOUN") for number in range(40)]


@pytest.mark.parametrize(
    "broken",
    [
        "3\n\n",
        "one\tword\n\n",
        "1\ta\n2\tb\n1\tc\n\n",
        "1-2\tab\n1\ta\n2\tb\n2\tc\n\n",
        "2-1\tx\n\n",
        "_\tx\n\n",
        f"{'9' * 5000}\tx\n\n",
    ],
)
def test_a_malformed_sentence_is_skipped_and_counted(path: Path, broken: str) -> None:
    sample = read(path, *GOOD, broken)
    assert sample.counts == ReadCounts(read=41, usable=40, malformed=1)
    assert read(path, *GOOD, broken, labels="auto").counts.malformed == 1


def test_many_malformed_sentences_are_an_error(path: Path) -> None:
    assert read(path, *GOOD[:38], "3\n\n", "4\n\n").counts.malformed == 2, "one in twenty is allowed"
    with pytest.raises(CorpusError) as caught:
        read(path, *GOOD[:37], "3\n\n", "4\n\n")
    assert caught.value.message.startswith("sentence 38 of en.conllu is not CoNLL-U (")
    assert caught.value.message.endswith("), and 1 more of 39 sentences are malformed.")


# ------------------------------------------------------------------------------------ other readers


def write_rows(path: Path, *rows: list[str]) -> Path:
    path.write_text("".join(json.dumps({"tokens": row}) + "\n" for row in rows), encoding="utf-8")
    return path


def test_words_in_a_column_are_joined_as_the_script_does(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "zh.jsonl", ["我", "爱"], ["Hello", ",", "you"])
    running, as_given = (read_text("zh", path, words=words) for words in ("running", "given"))
    assert sentences(running) == ["我爱", "Hello , you"]
    assert sentences(as_given) == ["我 爱", "Hello , you"]
    # If words are joined by spaces, the key that seeds the masking is the same as in older versions.
    assert [example.key() for example in running.examples] == ["我爱", "Hello\x1f,\x1fyou"]


def test_the_text_of_a_task_is_read_as_running_text(tmp_path: Path) -> None:
    (tmp_path / "zh-train.conllu").write_text(conllu("# text = 我爱你", "1 我 X", "2 爱 X", "3 你 X"), encoding="utf-8")
    (tmp_path / "en-train.txt").write_text("我\tX\n爱\tX\n\nHello\tX\nyou\tX\n", encoding="utf-8")
    for name in ("zh-dev", "en-dev"):
        (tmp_path / f"{name}.conllu").write_text(conllu("1 a X"), encoding="utf-8")
    running, as_given = (open_corpus(str(tmp_path), task="pos", words=words) for words in (None, "given"))
    assert sentences(running.sample("zh", 9, 0)) == ["我爱你"]
    assert sentences(as_given.sample("zh", 9, 0)) == ["我 爱 你"]
    assert sorted(sentences(running.sample("en", 9, 0))) == ["Hello you", "我爱"]
    assert running.name == f"task({tmp_path.name}, task=pos)[train, words=running]"
    assert as_given.name == f"task({tmp_path.name}, task=pos)[train, words=given]"
    labelled = open_corpus(str(tmp_path), task="pos", labels="auto")
    assert sentences(labelled.sample("zh", 9, 0)) == ["我 爱 你"]


# ----------------------------------------------------------------------------- what is recorded of it


def test_name_of_a_corpus_records_how_words_are_read(tmp_path: Path) -> None:
    (tmp_path / "sw.txt").write_text("habari\n", encoding="utf-8")
    name = tmp_path.name
    assert open_corpus(str(tmp_path)).name == f"folder({name})", "stores of plain text can be extended"
    (tmp_path / "fi.jsonl").write_text('{"text": "hei"}\n', encoding="utf-8")
    assert open_corpus(str(tmp_path), words="given").name == f"folder({name})"
    for words in (["a", "b"],), ([], ["a"]):
        path = write_rows(tmp_path / "zh.jsonl", *words)
        assert open_corpus(str(tmp_path)).name == f"folder({name}, words=running)"
        assert open_corpus([f"zh={path}"], words="given").name == "files(words=given)"
    assert open_corpus(f"en={write_rows(tmp_path / 'en.jsonl', ['a'])}", labels="auto").name == "files(labels=auto)"


def test_words_option_is_refused_where_it_has_no_meaning(tmp_path: Path) -> None:
    path = write_rows(tmp_path / "zh.jsonl", ["我"])
    for options in ({"words": "given", "labels": "auto"}, {"words": "both"}):
        with pytest.raises(UsageError):
            open_corpus([f"zh={path}"], **options)
    with pytest.raises(UsageError, match="--words cannot be used with the corpus cldr"):
        open_corpus("cldr", words="given")
    with pytest.raises(UsageError, match="--words cannot be used with topic"):
        open_corpus(str(tmp_path), task="topic", words="given")
    with pytest.raises(UsageError, match="is not split into words"):
        TextExample("a", running="a")


@pytest.mark.shared_data
@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not beside the project")
@pytest.mark.parametrize("name", ["words/en", "sentences/zh"])
def test_treebanks_and_plain_lines_have_the_same_digest(name: str) -> None:
    assert read_text("en", CASES / f"{name}.conllu").digest == read_text("en", CASES / f"{name}.txt").digest
