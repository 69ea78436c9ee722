"""Labels of files: normalised codes, names as they are given, and labels that a user gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from xsns_stream.corpora import open_corpus, reading_notes
from xsns_stream.corpora.file_names import Naming
from xsns_stream.corpora.open import not_read
from xsns_stream.errors import CorpusError, LanguageError, UsageError, XsnsError


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"{name} eins\n{name} zwei\n", encoding="utf-8")
    return folder


@pytest.fixture
def akan(tmp_path: Path) -> Path:
    """Three languages, two of which have the same code."""
    return write(tmp_path / "codes", "aka_Latn.txt", "swh_Latn.txt", "twi_Latn.txt")


@pytest.mark.parametrize(
    ("one", "other", "code"), [("aka", "twi", "ak"), ("fat", "twi", "ak"), ("daf", "dnj", "dnj"), ("dtp", "kzj", "dtp")]
)
def test_only_languages_with_one_code_cannot_be_read(one: str, other: str, code: str, tmp_path: Path) -> None:
    corpus = open_corpus(str(write(tmp_path, f"{one}_Latn.txt", f"{other}_Latn.txt", "sw.txt")))
    assert corpus.languages() == tuple(sorted((code, "sw")))
    assert len(corpus.sample("sw", 2, 0).examples) == 2
    with pytest.raises(CorpusError) as caught:
        corpus.sample(code, 2, 0)
    assert caught.value.message == f"{one}_Latn.txt and {other}_Latn.txt both mean the language '{code}'."
    labels = f"--label {one}_Latn.txt={one}_Latn --label {other}_Latn.txt={other}_Latn"
    assert labels in caught.value.hint
    # The options in the hint work.
    options = labels.replace("--label ", "").split()
    labelled = open_corpus(str(tmp_path), label=options)
    assert labelled.languages() == tuple(sorted((f"{one}_Latn", f"{other}_Latn", "sw")))
    assert labelled.sample(f"{one}_Latn", 2, 0).examples[0].text.startswith(one)
    # Labels do not change the name of the corpus, so that rows with either label may be in one store.
    assert labelled.name == corpus.name


def test_names_are_kept_as_they_are(akan: Path) -> None:
    corpus = open_corpus(str(akan), labels_as_given=True)
    assert corpus.languages() == ("aka_Latn", "swh_Latn", "twi_Latn")
    assert corpus.sample("aka_Latn", 2, 0).language == "aka_Latn"
    assert reading_notes(corpus) == ()


def test_several_texts_of_one_language_need_labels(tmp_path: Path) -> None:
    folder = write(tmp_path, "sw.txt", "sw.1.txt", "sw_news.txt", "sw-formal.txt", "my file.txt", "..x.txt")
    corpus = open_corpus(str(folder))
    assert corpus.languages() == ("sw",)
    reasons = {each.file: each.reason for each in not_read(corpus)}
    assert reasons["sw_news.txt"] == (
        "'sw_news' is not a language code; if it is text in Swahili, give a label (--label FILE=sw-x-news), or use "
        "the names of all files as labels (--labels-as-given)"
    )
    assert "--label FILE=sw-x-1)" in reasons["sw.1.txt"]
    as_given = open_corpus(str(folder), labels_as_given=True)
    assert as_given.languages() == ("sw", "sw-formal", "sw.1", "sw_news")
    assert reading_notes(as_given) == (
        "labels that are not codes of languages are not normalised: sw-formal, sw.1, sw_news.",
        "1 file is not read: my file.txt (its name cannot be a label, which has at most 64 characters: ASCII letters "
        "and digits, with single '-', '_' or '.' between them).",
    )
    labelled = open_corpus(str(folder), label={"sw_news.txt": "sw-x-news", "my file": "sw-x-mine"})
    assert labelled.languages() == ("sw", "sw-x-mine", "sw-x-news")


def test_a_label_is_given_for_a_file_that_exists(akan: Path) -> None:
    with pytest.raises(CorpusError) as caught:
        open_corpus(str(akan), label=["aka_Latin.txt=ak"])
    assert caught.value.message == f"a label is given for 'aka_Latin.txt', which is not a file of '{akan}'."
    assert caught.value.hint.startswith("did you mean aka_Latn.txt")
    table = akan / "table.csv"
    table.write_text("lang,text\nEstonian,Tere.\n", encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        open_corpus(table, language_column="lang", label={"sw.txt": "sw"})
    assert caught.value.message == "a label is given for 'sw.txt', which is not a language of the table."
    assert caught.value.hint == "there is Estonian."
    with pytest.raises(CorpusError, match="which is not a key of the texts"):
        open_corpus({"et": ["Tere."]}, label={"sw.txt": "sw"})


@pytest.mark.parametrize(
    ("label", "kind", "message"),
    [
        (["aka_Latn.txt"], UsageError, "'aka_Latn.txt' does not give the label of a file."),
        (["aka_Latn.txt=a", "aka_Latn.txt=b"], UsageError, "'aka_Latn.txt' has the labels a and b."),
        (["aka_Latn.txt=../x"], LanguageError, "'../x' cannot be a label."),
        (["aka_Latn.txt="], LanguageError, "'' cannot be a label."),
        ({"aka_Latn.txt": 5}, LanguageError, "5 cannot be a label."),
        (["aka_Latn.txt=a+b"], LanguageError, "'a+b' cannot be a label."),
    ],
)
def test_invalid_labels_are_refused(label: Any, kind: type[XsnsError], message: str, akan: Path) -> None:
    with pytest.raises(kind) as caught:
        open_corpus(str(akan), label=label)
    assert caught.value.message == message


def test_labels_are_for_files_and_texts_in_memory() -> None:
    for spec, options in (("cldr", {}), ("wikiann", {}), ("x", {"task": "ner"})):
        with pytest.raises(UsageError, match="labels of languages can be given only for folders"):
            open_corpus(spec, labels_as_given=True, **options)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="an open corpus"):
        open_corpus(open_corpus({"sw": ["a"]}), label={"sw": "x"})
    assert not Naming()


def test_pairs_keep_their_labels(tmp_path: Path) -> None:
    write(tmp_path, "a.txt", "b.txt")
    pairs = [f"sw_news={tmp_path / 'a.txt'}", f"twi={tmp_path / 'b.txt'}"]
    with pytest.raises(LanguageError) as caught:
        open_corpus(pairs)
    assert caught.value.hint.endswith("To use it as a label, add --labels-as-given.")
    assert open_corpus(pairs, labels_as_given=True).languages() == ("sw_news", "twi")
    corpus = open_corpus([f"iw={tmp_path / 'a.txt'}"])
    assert reading_notes(corpus) == ("'iw' is read as he (Hebrew).",)


def test_treebanks_and_published_files_keep_the_code_in_their_name(tmp_path: Path) -> None:
    folder = write(tmp_path / "flores", "aka_Latn.devtest", "twi_Latn.devtest")
    assert open_corpus(str(folder), labels_as_given=True).languages() == ("aka_Latn", "twi_Latn")
    tree = tmp_path / "ud" / "en_ewt-ud-train.conllu"
    tree.parent.mkdir()
    tree.write_text("# text = Hello.\n1\tHello\t_\tX\t_\t_\t0\troot\t_\t_\n\n", encoding="utf-8")
    assert open_corpus(str(tree.parent), label={tree.name: "en-x-ewt"}).languages() == ("en-x-ewt",)


def test_changed_codes_are_noted_once(tmp_path: Path) -> None:
    codes = {"cnr": "sr-ME", "diq": "zza", "tl": "fil", "iw": "he", "sh": "sr-Latn", "in": "id", "ji": "yi", "mo": "ro"}
    corpus = open_corpus(str(write(tmp_path, *(f"{code}.txt" for code in codes))))
    assert corpus.languages() == tuple(sorted(codes.values()))
    (note,) = reading_notes(corpus)
    for code, now in codes.items():
        assert note.count(f"{code}.txt is read as {now} (") == 1


def test_names_of_files_that_are_codes_by_accident_need_a_label(tmp_path: Path) -> None:
    splits = ("train", "dev", "test", "src", "tgt", "all", "log", "out", "old", "ref", "hyp")
    accidents = (*splits, "tmp", "readme", "data", "raw", "doc", "txt", "max", "sum", "und", "mul")
    write(tmp_path / "a", "sw.txt", *(f"{name}.txt" for name in accidents))
    corpus = open_corpus(str(tmp_path / "a"))
    assert corpus.languages() == ("sw",)
    reasons = {each.file: each.reason for each in not_read(corpus)}
    assert reasons["raw.txt"] == (
        "'raw' is a common name of files, not of a language; if it is Rawang, give the label: --label FILE=raw"
    )
    assert reasons["dev.txt"] == (
        "'dev' is the name of a split or a side, not of a language; if it is Domung, give the label: --label FILE=dev"
    )
    assert open_corpus(str(tmp_path / "a"), label=["dev.txt=dev"]).languages() == ("dev", "sw")
    assert "dev" in open_corpus(str(tmp_path / "a"), labels_as_given=True).languages()


def test_maltese_is_a_language_except_beside_the_sides_of_a_translation(tmp_path: Path) -> None:
    write(tmp_path / "languages", "mt.txt", "new.txt", "sw.txt", "README.txt")
    assert open_corpus(str(tmp_path / "languages")).languages() == ("mt", "new", "sw")
    write(tmp_path / "sides", "mt.txt", "src.txt", "ref.txt", "sw.txt")
    corpus = open_corpus(str(tmp_path / "sides"))
    assert corpus.languages() == ("sw",)
    assert {each.file: each.reason for each in not_read(corpus)}["mt.txt"] == (
        "'mt' is a common name of files in a folder with splits, not of a language; if it is Maltese, give the "
        "label: --label FILE=mt"
    )
    assert open_corpus(str(tmp_path / "sides"), label=["mt.txt=mt"]).languages() == ("mt", "sw")


def test_keys_of_texts_in_memory_are_read_as_labels() -> None:
    texts = {"aka_Latn": ["a", "b"], "twi_Latn": ["c", "d"], "English": ["e", "f"]}
    corpus = open_corpus(texts)
    assert corpus.languages() == ("ak", "en")
    assert corpus.sample("en", 2, 0).language == "en"
    with pytest.raises(CorpusError, match="'aka_Latn' and 'twi_Latn' mean the same language, 'ak'"):
        corpus.sample("ak", 2, 0)
    notes = ("'twi_Latn' is read as ak (Akan).", "'English' is read as en (English).")
    assert reading_notes(corpus) == notes
    as_given = open_corpus(texts, labels_as_given=True)
    assert as_given.languages() == ("English", "aka_Latn", "twi_Latn")
    assert reading_notes(as_given) == ("labels that are not codes of languages are not normalised: English.",)
    assert open_corpus(texts, label={"twi_Latn": "tw", "aka_Latn": "aka"}).languages() == ("aka", "en", "tw")
    frame = pd.DataFrame({"language": ["sw_news", "sw", "sw_news"], "text": ["a", "b", "c"]})
    assert open_corpus(frame, labels_as_given=True).languages() == ("sw", "sw_news")
    with pytest.raises(LanguageError, match="cannot be the language of texts"):
        open_corpus({"a b": ["x"]}, labels_as_given=True)
    with pytest.raises(CorpusError, match="a label is given for 'twi'"):
        open_corpus(texts, label={"twi": "x"})


def test_the_hint_on_files_of_one_name_gives_labels_that_work(tmp_path: Path) -> None:
    for name in ("fi.txt", "fi.tsv", "sw.txt"):
        (tmp_path / name).write_text("text\nHyvää huomenta.\nKaribu sana.\n", encoding="utf-8")
    with pytest.raises(CorpusError) as caught:
        open_corpus(tmp_path).sample("fi", 2, 0)
    assert "--label fi.tsv=fi-x-1 --label fi.txt=fi-x-2" in caught.value.hint
    labels = {"fi.tsv": "fi-x-1", "fi.txt": "fi-x-2"}
    assert open_corpus(tmp_path, label=labels).languages() == ("fi-x-1", "fi-x-2", "sw")


def test_labels_of_a_folder_stay_when_a_pair_is_added(akan: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("Karibu sana.\nHabari gani?\n", encoding="utf-8")
    labels = {"aka_Latn.txt": "aka", "twi_Latn.txt": "twi"}
    corpus = open_corpus([str(akan), f"sw={other}"], label=labels)
    assert {"aka", "twi", "sw"} <= set(corpus.languages())
