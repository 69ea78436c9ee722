"""Files as bug reports of other tools describe them, with the texts and labels that they contain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from xsns_stream.corpora import open_corpus, open_task, opening_notes, read_text, reading_notes
from xsns_stream.errors import CorpusError

CONLLU = "{}\t{}\t_\tX\t_\t_\t0\troot\t_\t_\n"


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def texts(path: Path, content: str) -> list[str]:
    return [each.sentence() for each in read_text("sw", write(path, content)).examples]


@pytest.mark.parametrize(
    "content",
    [
        '[{"text": "a"}, {"text": "b"}]',
        '{"version": "1.0", "data": [{"text": "a"}, {"text": "b"}]}',
        '{\n  "data": [\n    {"text": "a"},\n    {"text": "b"}\n  ]\n}\n',
        '{"text": ["a", "b"], "id": [1, 2]}',
        '{"text": {"0": "a", "1": "b"}}',
        '["a", "b"]',
        '"a"\n"b"\n',
        '{"text": "a", "meta": 1}\n{"text": "b", "meta": ["x"]}\n',
        '{"text": "a"}\n{"text": NaN}\n{"text": "b"}\n',
        '{"Text": "a"}\n{"Text": "b"}\n',
    ],
)
def test_every_common_form_of_json_is_read(tmp_path: Path, content: str) -> None:
    assert texts(tmp_path / "sw.json", content) == ["a", "b"]


def test_an_object_of_nested_columns_is_one_row(tmp_path: Path) -> None:
    path = write(tmp_path / "sw.json", '{"translation": {"sw": "moja", "en": "one"}}')
    assert [each.text for each in read_text("sw", path, "translation.sw").examples] == ["moja"]
    path = write(tmp_path / "sw.jsonl", '{"tokens": ["moja", "mbili"]}\n')
    assert [each.text for each in read_text("sw", path).examples] == [("moja", "mbili")]


def test_a_cut_line_of_json_among_many_is_left_out(tmp_path: Path) -> None:
    rows = "".join(json.dumps({"text": f"t{number}"}) + "\n" for number in range(100))
    sample = read_text("sw", write(tmp_path / "sw.jsonl", f'{rows}{{"text": "cut'))
    assert (sample.counts.usable, sample.counts.malformed) == (100, 1)
    with pytest.raises(CorpusError, match=r"line 11 of sw\.jsonl is not JSON"):
        read_text("sw", write(tmp_path / "sw.jsonl", f'{rows[:150]}{{"text": "cut'))


def test_names_of_columns_in_capitals_are_recognised(tmp_path: Path) -> None:
    assert texts(tmp_path / "sw.csv", "ID,Sentence\n1,a\n2,b\n") == ["a", "b"]
    assert texts(tmp_path / "sw.csv", "Text,text\nx,a\n") == ["a"]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        # A multiword token with one part, as Stanza writes it.
        ("1 sa|2-2 zaň|2 zaň", "sa zaň"),
        ("0.1 Laitoin|1 Sekaan|2 yksi", "Sekaan yksi"),
        ("1-2 ab|1 a|1.1 z|2 b|3 c", "ab c"),
    ],
)
def test_unusual_identifiers_of_conllu_are_read(tmp_path: Path, sentence: str, expected: str) -> None:
    lines = "".join(CONLLU.format(*each.split(" ")) for each in sentence.split("|"))
    assert texts(tmp_path / "sw.conllu", f"{lines}\n") == [expected]


def tagged(folder: Path, name: str, content: str, task: str) -> tuple[tuple[str, ...], str]:
    """Return the words and tags of the first sentence, and the note."""
    folder.mkdir(exist_ok=True)
    write(folder / name, content)
    split = open_task(str(folder), task).split(name.partition("-")[0], "train")
    example = split.examples[0]
    assert isinstance(example.label, tuple)
    return tuple(f"{word}/{tag}" for word, tag in zip(example.text, example.label, strict=True)), split.note


@pytest.mark.parametrize("rest", ["", "\tRG\t_\t2\tadv\t_\t_"], ids=["flair", "CoNLL-X"])
def test_the_lemma_is_not_the_tag(tmp_path: Path, rest: str) -> None:
    lines = f"1\tBare\tbare\tADV{rest}\n2\tåret\tår\tNOUN{rest}\n\n"
    words, note = tagged(tmp_path, "da-train.conll", lines * 9, "pos")
    assert words == ("Bare/ADV", "året/NOUN")
    assert "the tags of da-train.conll are read from column 4." in note
    with pytest.raises(CorpusError, match="has 6 columns, and it is unclear which one contains the tags"):
        tagged(tmp_path / "b", "da-train.conll", "1\tBare\tbare\tADV\tx\ty\n2\tåret\tår\tNOUN\tx\ty\n\n" * 9, "pos")


def test_the_column_of_entities_is_found_beside_other_columns(tmp_path: Path) -> None:
    lines = "#\thttp://example.org [2009]\n1\tSchartau\tB-PER\tO\n2\tsagte\tO\tO\n\n"
    assert tagged(tmp_path, "de-train.tsv", lines * 9, "ner")[0] == ("Schartau/B-PER", "sagte/O")


def test_the_space_after_a_word_is_not_its_tag(tmp_path: Path) -> None:
    words, note = tagged(tmp_path, "en-train.txt", "French B-LOC -\n- O -\nspeaking O +\n\n" * 9, "ner")
    assert words == ("French/B-LOC", "-/O", "speaking/O")
    assert "the last column of en-train.txt contains the space after each word" in note


def test_a_lower_case_o_is_read_as_the_tag_o(tmp_path: Path) -> None:
    words, note = tagged(tmp_path, "hi-train.txt", "एक QC B-COUNT\nसाफ़ JJ o\n\n" * 9, "ner")
    assert words == ("एक/B-COUNT", "साफ़/O")
    assert "the tag 'o' in 9 of the 9 examples of hi-train.txt is read as 'O'." in note


def test_a_malformed_sentence_of_tagged_words_among_many_is_left_out(tmp_path: Path) -> None:
    good = "The DT O\nEU NNP B-ORG\n\n" * 40
    _, note = tagged(tmp_path, "en-train.txt", f"{good}broken\n\n{good}", "ner")
    assert "1 of the 81 examples of en-train.txt is left out: 1 malformed." in note
    numbered = "1\tThe\tO\n2\tEU\tB-ORG\n\n" * 40
    _, note = tagged(tmp_path / "b", "en-train.tsv", f"{numbered}1\tThe\tO\n3\tEU\tO\n\n", "ner")
    assert "1 malformed" in note
    with pytest.raises(CorpusError, match=r"line 4 of en-train\.txt contains one field"):
        tagged(tmp_path / "c", "en-train.txt", "The DT O\nEU NNP B-ORG\n\nbroken\n\nThe DT O\n\n", "ner")


def test_entities_of_html_are_decoded_in_extracted_articles_only(tmp_path: Path) -> None:
    article = '<doc id="1" url="u" title="A &amp; B">\nA &amp; B\n\nx &lt; y &amp; z\n</doc>\n'
    assert texts(tmp_path / "sw.txt", article) == ["x < y & z"]
    assert texts(tmp_path / "sw.txt", "x &lt; y\n") == ["x &lt; y"]


def test_a_nested_column_is_named_with_the_option_that_reads_it(tmp_path: Path) -> None:
    """In files of a web crawl, for example, the text is inside the column `content`."""
    rows = [{"meta": {"id": 1}, "content": {"length": 3, "text": text}} for text in ("Guten Morgen.", "Bis bald.")]
    (tmp_path / "de.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    with pytest.raises(
        CorpusError, match=r"column 'content' of de\.jsonl contains nested columns instead of text"
    ) as caught:
        open_corpus(tmp_path).sample("de", 2, 0)
    assert caught.value.hint == (
        "name one of them, such as `--text-column content.text`; they are content.length, content.text."
    )
    sample = open_corpus(tmp_path, text_column="content.text").sample("de", 2, 0)
    assert {each.sentence() for each in sample.examples} == {"Guten Morgen.", "Bis bald."}


def test_the_text_column_is_named_rather_than_the_first_nested_column_of_strings(tmp_path: Path) -> None:
    write(tmp_path / "ak.jsonl", json.dumps({"content": {"id": "a-1", "url": "http://x", "text": "Maakye."}}) + "\n")
    with pytest.raises(CorpusError) as caught:
        open_corpus(tmp_path).sample("ak", 1, 0)
    assert "such as `--text-column content.text`" in (caught.value.hint or "")
    # If no column has a usual name, the column with the longest values is suggested.
    write(tmp_path / "ak.jsonl", json.dumps({"content": {"id": "a-1", "raw": "Maakye. Wo ho te sɛn?"}}) + "\n")
    with pytest.raises(CorpusError, match="contains nested columns") as caught:
        open_corpus(tmp_path).sample("ak", 1, 0)
    assert "such as `--text-column content.raw`" in (caught.value.hint or "")
    write(tmp_path / "ak.jsonl", json.dumps({"doc": {"id": "a-1", "body": {"text": "Maakye."}}}) + "\n")
    with pytest.raises(CorpusError, match="has a usual name for text") as caught:
        open_corpus(tmp_path).sample("ak", 1, 0)
    assert caught.value.hint == "name the column of the text with --text-column, such as doc.body.text."


def test_a_text_column_applies_to_the_tables_among_files_of_text(tmp_path: Path) -> None:
    write(tmp_path / "sw.txt", "Habari.\nKaribu.\n")
    write(tmp_path / "fi.conllu", CONLLU.format(1, "Huomenta") + "\n")
    write(tmp_path / "ak.jsonl", json.dumps({"content": {"id": "a-1", "text": "Maakye."}}) + "\n")
    corpus = open_corpus(tmp_path, text_column="content.text")
    sentences = {code: {each.sentence() for each in corpus.sample(code, 9, 0).examples} for code in corpus.languages()}
    assert sentences == {"sw": {"Habari.", "Karibu."}, "fi": {"Huomenta"}, "ak": {"Maakye."}}
    note = "--text-column applies to tables only: fi.conllu, sw.txt are files of text, which are read without it."
    assert reading_notes(corpus) == opening_notes(corpus) == (note,)
    pairs = open_corpus(
        [f"{code}={tmp_path / name}" for code, name in (("sw", "sw.txt"), ("ak", "ak.jsonl"))],
        text_column="content.text",
    )
    assert {each.text for each in pairs.sample("sw", 9, 0).examples} == {"Habari.", "Karibu."}
    # A corpus without a table does not have the column.
    with pytest.raises(CorpusError, match=r"sw\.txt has no columns, so it has no column 'content\.text'"):
        open_corpus([f"sw={tmp_path / 'sw.txt'}"], text_column="content.text").sample("sw", 1, 0)


@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_a_missing_value_in_a_table_is_no_text(tmp_path: Path, suffix: str) -> None:
    cells = ["Nilikula nan jana.", "nan", "NaN", "<NA>", "", "Nan", "NA"]
    table = "\n".join(["text\tid", *(f"{cell}\t{number}" for number, cell in enumerate(cells))]) + "\n"
    sample = read_text("sw", write(tmp_path / f"sw.{suffix}", table if suffix == "tsv" else table.replace("\t", ",")))
    assert [each.text for each in sample.examples] == ["Nilikula nan jana.", "Nan", "NA"]
    assert (sample.counts.read, sample.counts.empty, sample.counts.usable) == (7, 4, 3)
    assert sample.notes == (
        f"3 of 7 rows of sw.{suffix} are skipped: 'nan' or 'NaN' or '<NA>' in place of a text is a missing value.",
        f"1 text of sw.{suffix} is 'NA', which is read as text: leave such cells empty if they are missing values.",
    )
    # In a text file, the line `nan` is a text; in a column of languages, it is Min Nan Chinese.
    assert texts(tmp_path / "sw.txt", "nan\nmkate\n") == ["nan", "mkate"]
    write(tmp_path / "all.csv", "lang,text\nnan,Lí hó.\nsw,Habari.\n")
    assert open_corpus(tmp_path / "all.csv", language_column="lang").languages() == ("nan", "sw")
