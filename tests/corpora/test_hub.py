"""Data sets in the Hub's layout, read from local copies with the layout of the originals."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.errors import error_of
from tests.support.hub_copies import Rows, write_copy
from xsns_stream.corpora import Corpus, not_read, open_corpus, reading_notes
from xsns_stream.corpora import hub as hub_module
from xsns_stream.corpora.recipes import RECIPES
from xsns_stream.errors import CorpusError, LanguageError, UsageError
from xsns_stream.languages import normalise
from xsns_stream.types import ReadCounts, TextExample


def words(language: str, count: int) -> Rows:
    return [{"tokens": [language, str(i)], "ner_tags": [0, 1], "langs": [language] * 2} for i in range(count)]


def tree(language: str, mwt: Sequence[str], number: int) -> Mapping[str, Any]:
    return {"sent_id": str(number), "text": "…", "tokens": [language, str(number)], "mwt": list(mwt)}


DATA: dict[str, dict[str, dict[str, Rows]]] = {
    "wikiann": {"sw": {"train": words("sw", 30), "test": words("x", 2)}, "als": {"train": words("als", 3)}},
    "udpos": {"en_ewt": {"train": [tree("en", [], 0), tree("en", ["1-2"], 1), tree("en", [], 2)]}},
    "xnli": {
        "sw": {"train": [{"premise": f"p {i // 3}", "hypothesis": f"h {i}", "label": 0} for i in range(9)]},
        "all_languages": {"train": [{"premise": {"sw": "x"}, "hypothesis": "x"}]},
    },
    "paws-x": {"de": {"train": [{"id": i, "sentence1": f"a {i}", "sentence2": f"b {i}"} for i in range(4)]}},
    "tydiqa": {
        "primary_task": {"train": [{"document_plaintext": "x"}]},
        "secondary_task": {
            "train": [
                {
                    "id": f"{name}-{i}-1",
                    "title": "t",
                    "context": f"{name} passage {i}",
                    "question": f"{name}? {i}",
                }
                for i in range(4)
                for name in ("swahili", "telugu", "arabic")
            ]
        },
    },
    "flores": {
        "default": {"dev": [{"id": 0, "text": "all"}]},
        "swh_Latn": {
            "dev": [{"id": i, "text": f"s {i}"} for i in range(3)],
            "devtest": [{"id": 1, "text": "t"}],
        },
        "cmn_Hant": {"dev": [{"id": 0, "text": "t"}]},
    },
    "wikipedia": {
        "20231101.sw": {"train": [{"id": "1", "url": "u", "title": "t", "text": "makala ndefu"}]},
        "20231101.zh-yue": {"train": [{"id": "1", "url": "u", "title": "t", "text": "文章"}]},
        "20240101.sw": {"train": [{"id": "1", "url": "u", "title": "t", "text": "mpya"}]},
    },
}


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small copy of every recipe's data set."""
    root = tmp_path_factory.mktemp("hub")
    for name, configs in DATA.items():
        write_copy(root / name, configs)
    return root


def texts(corpus: Corpus, language: str, count: int = 100, seed: int = 0) -> set[str | tuple[str, ...]]:
    return {example.text for example in corpus.sample(language, count, seed).examples}


def complaint(corpus: Corpus, language: str) -> CorpusError:
    return error_of(CorpusError, corpus.sample, language, 1, 0)


def test_every_recipe_is_tried() -> None:
    assert set(DATA) == set(RECIPES)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_language_of_a_recipe_has_its_own_code(name: str) -> None:
    recipe = RECIPES[name]
    subsets = recipe.subsets.split()
    assert len(set(subsets)) == len(subsets)
    assert len(recipe.languages) == len(subsets)
    assert all(normalise(code) == code for code in recipe.languages)
    assert recipe.note.endswith(".")


def test_the_pools_of_the_paper_are_there() -> None:
    pools = {
        "wikiann": "ar zh en fi fr el he id it ja ko ru es sv th tr vi af br ckb fy ga hi is kk lb mr sq sw te tt uz",
        "udpos": "bg zh nl en fi fr hi id it ja ko no pl pt ru sk es sv tr uk",
        "xnli": "ar bg zh en fr el de hi ru es sw th tr ur vi",
        "paws-x": "zh en fr de ja ko es",
        "tydiqa": "ar bn en fi id ru sw te",
    }
    for name, pool in pools.items():
        assert set(pool.split()) <= set(RECIPES[name].languages), name


def test_wikiann_gives_words(copies: Path) -> None:
    corpus = open_corpus(f"wikiann={copies / 'wikiann'}")
    assert corpus.name == "wikiann(split=train, words=running, copy=wikiann)"
    assert corpus.local
    assert corpus.languages() == ("gsw", "sw")  # Wikipedia's "als" is Alemannic
    assert texts(corpus, "sw") == {("sw", str(i)) for i in range(30)}
    assert texts(corpus, "gsw") == {("als", str(i)) for i in range(3)}
    assert texts(open_corpus(f"wikiann={copies / 'wikiann'}", split="test"), "sw") == {("x", "0"), ("x", "1")}


def test_a_draw_depends_on_the_seed_and_a_larger_one_extends_it(copies: Path) -> None:
    corpus = open_corpus(f"wikiann={copies / 'wikiann'}")
    few, many = corpus.sample("swa", 8, 42), corpus.sample("sw", 16, 42)
    assert len(few) == 8
    assert many.examples[:8] == few.examples
    assert corpus.sample("sw", 8, 42).digest == few.digest
    assert corpus.sample("sw", 8, 16).digest != few.digest
    assert few.source == corpus.name
    with pytest.raises(UsageError, match="at least 1"):
        corpus.sample("sw", 0, 0)


def test_several_files_are_drawn_from_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # `datasets` waits for its threads to end; they have ended before the interpreter does.
    monkeypatch.setattr("datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN", 0)
    root = write_copy(tmp_path / "many", {"sw": {"train": [{"text": f"0 {i}"} for i in range(40)]}})
    for number in (1, 2):
        rows = pd.DataFrame({"text": [f"{number} {i}" for i in range(40)]})
        rows.to_parquet(root / "sw" / f"train-0000{number}-of-00003.parquet")
    corpus = open_corpus(f"hub:{root}")
    few, many = corpus.sample("sw", 30, 7), corpus.sample("sw", 60, 7)
    assert many.examples[:30] == few.examples
    assert corpus.sample("sw", 60, 7).digest == many.digest
    assert {str(example.text)[0] for example in few.examples} == {"0", "1", "2"}
    assert len(corpus.sample("sw", 1000, 7)) == 120


def test_udpos_reads_the_sentence_beside_its_words(tmp_path: Path) -> None:
    rows = [
        {"text": "Hello, you", "tokens": ["Hello", ",", "you"], "upos": ["INTJ", "PUNCT", "PRON"], "mwt": []},
        {"text": "other text", "tokens": ["a", "b"], "upos": ["X", "X"], "mwt": []},
        {"text": None, "tokens": ["我", "爱"], "upos": ["PRON", "VERB"], "mwt": []},
    ]
    copy = write_copy(tmp_path / "udpos", {"en_ewt": {"train": rows}})
    corpus = open_corpus(f"udpos={copy}")
    assert corpus.name == "udpos(split=train, words=running, copy=udpos)"
    assert {example.sentence() for example in corpus.sample("en", 9, 0).examples} == {"Hello, you", "a b", "我爱"}
    as_given = open_corpus(f"udpos={copy}", words="given")
    assert {example.sentence() for example in as_given.sample("en", 9, 0).examples} == {"Hello , you", "a b", "我 爱"}
    text = open_corpus(f"udpos={copy}", task="pos", split="test")
    labelled = open_corpus(f"udpos={copy}", labels="auto")
    assert {example.sentence() for example in labelled.sample("en", 9, 0).examples} == {"Hello , you", "a b", "我 爱"}
    assert text.name.endswith("[test, words=running]")


def test_words_of_a_data_set_without_a_recipe_are_running_text(tmp_path: Path) -> None:
    rows = {"sw": {"train": [{"tokens": []}, {"tokens": ["a", "b"]}]}, "fi": {"train": [{"tokens": ["a"]}]}}
    copy = write_copy(tmp_path / "other", rows)
    assert open_corpus(f"hub:{copy}").name == "hub(other, split=train, words=running)"
    plain = write_copy(tmp_path / "plain", {"sw": {"train": [{"text": "a b"}]}})
    assert open_corpus(f"hub:{plain}").name == "hub(plain, split=train)"


def test_udpos_leaves_sentences_with_multiword_tokens_out(copies: Path) -> None:
    corpus = open_corpus(f"udpos={copies / 'udpos'}")
    sample = corpus.sample("en", 10, 0)
    assert {example.text for example in sample.examples} == {("en", "0"), ("en", "2")}
    assert sample.counts == ReadCounts(read=2, usable=2)


def test_xnli_gives_each_premise_once(copies: Path) -> None:
    corpus = open_corpus(f"xnli={copies / 'xnli'}")
    assert corpus.languages() == ("sw",)
    sample = corpus.sample("sw", 10, 0)
    assert {example.text for example in sample.examples} == {"p 0", "p 1", "p 2"}
    assert sample.counts == ReadCounts(read=9, duplicate=6, usable=3)


def test_pawsx_gives_pairs(copies: Path) -> None:
    corpus = open_corpus(f"paws-x={copies / 'paws-x'}")
    assert TextExample("a 1", "b 1") in corpus.sample("de", 9, 0).examples
    single = open_corpus(f"paws-x={copies / 'paws-x'}", text_column="sentence2")
    assert TextExample("b 1") in single.sample("de", 9, 0).examples


def test_tydiqa_tells_the_languages_apart_by_the_identifier(copies: Path) -> None:
    corpus = open_corpus(f"tydiqa={copies / 'tydiqa'}")
    assert texts(corpus, "sw") == {f"swahili passage {i}" for i in range(4)}
    questions = open_corpus(f"tydiqa={copies / 'tydiqa'}", text_column="question")
    assert texts(questions, "te") == {f"telugu? {i}" for i in range(4)}
    assert complaint(corpus, "ko").message.endswith("has no usable text in 'ko': 0 read.")


def test_flores_has_its_own_default_split(copies: Path) -> None:
    corpus = open_corpus(f"flores={copies / 'flores'}")
    assert corpus.name == "flores(split=dev, copy=flores)"
    assert corpus.languages() == ("sw", "zh-Hant")
    assert texts(corpus, "sw") == {"s 0", "s 1", "s 2"}
    assert texts(open_corpus(f"flores={copies / 'flores'}", split="devtest"), "sw") == {"t"}


def test_another_month_of_wikipedia_is_read_with_a_configuration(copies: Path) -> None:
    corpus = open_corpus(f"wikipedia={copies / 'wikipedia'}")
    assert corpus.languages() == ("sw", "yue")
    assert texts(corpus, "yue") == {"文章"}
    newer = open_corpus(f"wikipedia={copies / 'wikipedia'}", config="20240101.{lang}")
    assert newer.name == "wikipedia(split=train, config=20240101.{lang}, copy=wikipedia)"
    assert texts(newer, "sw") == {"mpya"}
    with pytest.raises(UsageError, match="the same text for every language"):
        open_corpus("wikipedia", config="20240101.sw")


def test_a_data_set_without_a_recipe_is_read(copies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copies)
    corpus = open_corpus("hub:./xnli", text_column="hypothesis")
    assert corpus.name == "hub(xnli, split=train, text_column=hypothesis)"
    assert corpus.languages() == ("sw",)
    assert [each.file for each in not_read(corpus)] == ["all_languages"]
    assert texts(corpus, "sw") == {f"h {i}" for i in range(9)}
    assert texts(open_corpus("hub:./wikiann"), "sw", 2) <= {("sw", str(i)) for i in range(30)}
    templated = open_corpus("hub:./wikipedia", config="20240101.{lang}")
    assert templated.languages() == ("sw",)
    assert texts(templated, "sw") == {"mpya"}
    assert open_corpus("hub:./flores", config="cmn_Hant", split="dev").languages() == ("zh-Hant",)


def test_configurations_that_are_no_languages_are_not_read(copies: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError) as caught:
        open_corpus(f"hub:{copies / 'tydiqa'}").languages()
    assert caught.value.message.startswith("no configuration of tydiqa is named by a language: primary_task")
    assert "{lang}" in caught.value.hint
    rows = [{"text": "x"}]
    names = ("sw", "swh_Latn", "en", "primary_task")
    root = write_copy(tmp_path / "twice", {name: {"train": rows} for name in names})
    twice = open_corpus(f"hub:{root}")
    assert twice.languages() == ("en", "sw")
    assert texts(twice, "en") == {"x"}
    with pytest.raises(CorpusError, match=r"the configurations sw and swh_Latn both mean the language 'sw'"):
        twice.sample("sw", 1, 0)
    assert reading_notes(twice) == ("1 configuration is not read: primary_task (its name is not a language).",)
    assert open_corpus(f"hub:{root}", config="swh_Latn").languages() == ("sw",)


def test_missing_parts_of_a_data_set_are_named(copies: Path) -> None:
    folder = copies / "xnli"
    error = complaint(open_corpus(f"xnli={folder}", split="dev"), "sw")
    assert error.message == "xnli cannot be read: Bad split: dev. Available splits: ['train']."
    error = complaint(open_corpus(f"xnli={folder}", text_column="body"), "sw")
    assert error.message == "xnli (sw) has no column 'body'."
    assert error.hint == "its columns are premise, hypothesis, label."
    error = complaint(open_corpus(f"xnli={folder}", text_column="label"), "sw")
    assert error.message.startswith("column 'label' of xnli (sw) contains neither text nor lists of words")
    with pytest.raises(LanguageError, match="no language 'th' in xnli"):
        open_corpus(f"xnli={folder}").sample("th", 1, 0)
    (copies / "empty").mkdir(exist_ok=True)
    with pytest.raises(CorpusError, match="empty cannot be read"):
        open_corpus(f"hub:{copies / 'empty'}").languages()


def test_a_loading_script_is_never_run(tmp_path: Path) -> None:
    root = write_copy(tmp_path / "evil", {"sw": {"train": [{"text": "x"}]}})
    mark = tmp_path / "it_ran"
    (root / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="scripts are no longer supported"):
        open_corpus(f"hub:{root}").languages()
    assert not mark.exists()


@pytest.mark.parametrize("dataset", ["", "imdb", "a/b/c", "../x y", "a b/c", "-a/b"])
def test_invalid_names_on_the_hub_are_refused(dataset: str) -> None:
    with pytest.raises(CorpusError) as caught:
        open_corpus(f"hub:{dataset}")
    assert "hub:OWNER/NAME" in caught.value.hint or "there is no folder" in caught.value.message


def test_a_local_copy_must_be_there_and_has_no_revision(copies: Path) -> None:
    with pytest.raises(CorpusError, match="there is no folder 'nowhere'"):
        open_corpus("wikiann=nowhere")
    with pytest.raises(UsageError, match="--revision cannot be used with"):
        open_corpus(f"wikiann={copies / 'wikiann'}", revision="main")


def test_opening_a_recipe_needs_no_network() -> None:
    corpus = open_corpus("xnli", revision="abc", split="validation")
    assert corpus.name == "xnli(split=validation, revision=abc)"
    assert not corpus.local
    assert corpus.languages() == tuple(sorted(RECIPES["xnli"].languages))
    assert open_corpus("hub:me/mine").name == "hub(me/mine, split=train)"


def test_without_a_network_the_hint_names_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "_reachable", lambda endpoint: False)
    error = complaint(open_corpus("xnli"), "sw")
    assert error.message == "the Hugging Face Hub cannot be reached for facebook/xnli."
    assert "hf download --repo-type dataset facebook/xnli" in error.hint
    assert "--corpus xnli=DIR" in error.hint
    assert "HF_HOME" in error.hint
    with pytest.raises(CorpusError) as caught:
        open_corpus("hub:me/mine").languages()
    assert "--corpus hub:./DIR" in caught.value.hint


def test_an_endpoint_that_does_not_answer_is_not_reachable() -> None:
    assert not hub_module._reachable("http://127.0.0.1:9")


def test_offline_mode_says_the_same_at_once(tmp_path: Path) -> None:
    code = (
        "from xsns_stream.corpora import open_corpus\n"
        "try: open_corpus('wikiann').sample('sw', 1, 0)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path)}
    completed = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
        timeout=60,
    )
    sentence = "CorpusError the Hugging Face Hub cannot be reached for unimelb-nlp/wikiann."
    assert completed.stdout.strip() == sentence
    assert completed.stderr == ""


@pytest.fixture
def collected() -> Iterator[None]:
    """Collect the files that `datasets` leaves open, while the warning filter of the test is active."""
    yield
    gc.collect()


leaves_files_open = [pytest.mark.usefixtures("collected"), pytest.mark.filterwarnings("ignore::ResourceWarning")]


def leaving_files_open(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that reads tables through `datasets`, which does not close them."""
    for mark in leaves_files_open:
        test = mark(test)
    return test


def write_tables(root: Path, tables: Mapping[str, str]) -> str:
    """Write {config: table as CSV} with a card that lists them, and return a function that opens them."""
    card = ["---", "configs:"]
    for config, table in tables.items():
        folder = root / config.strip('"')
        folder.mkdir(parents=True)
        (folder / "train.csv").write_text(table, encoding="utf-8")
        files = ["  data_files:", "  - split: train", f"    path: {folder.name}/train.csv"]
        card += [f"- config_name: {config}", *files]
    (root / "README.md").write_text("\n".join([*card, "---", ""]), encoding="utf-8")
    return f"hub:{root}"


@leaving_files_open
def test_words_for_missing_values_are_texts_in_tables(tmp_path: Path) -> None:
    texts = ["Kissa istui.", "None", "NA", "null", "nan on leipä.", "Koira haukkui."]
    corpus = open_corpus(write_tables(tmp_path, {"fi": "\n".join(["text", *texts, "nan", '""', ""])}))
    sample = corpus.sample("fi", 8, 42)
    assert {example.text for example in sample.examples} == set(texts)
    assert sample.counts == ReadCounts(read=8, empty=2, usable=6)
    missing, perhaps = sorted(sample.notes)
    assert missing.startswith("1 of 8 rows of ")
    assert missing.endswith(" is skipped: 'nan' in place of a text is a missing value.")
    assert perhaps.startswith("3 texts of ")
    assert perhaps.endswith("read as text: leave such cells empty if they are missing values.")


@pytest.mark.parametrize("word", ["no", "NO", "off", "null", "yes", "~"])
def test_a_configuration_that_yaml_does_not_read_as_text_is_refused(tmp_path: Path, word: str) -> None:
    with pytest.raises(CorpusError) as caught:
        open_corpus(write_tables(tmp_path, {"fi": "text\na\n", word: "text\na\n"})).languages()
    assert f"names a configuration {word} without quotation marks, which YAML reads as" in caught.value.message
    assert caught.value.hint == f'write it as `config_name: "{word}"`.'


@leaving_files_open
def test_a_configuration_in_quotation_marks_is_read(tmp_path: Path) -> None:
    corpus = open_corpus(write_tables(tmp_path, {"fi": "text\na\n", '"no"': "text\nb\n", "nob": "text\nc\n"}))
    assert "nb" in corpus.languages()
    assert corpus.sample("no", 1, 0).examples[0].text == "b"


@leaving_files_open
def test_texts_of_a_data_set_are_checked_and_noted(tmp_path: Path) -> None:
    tables = {
        "fi": "text,sentence\n" + "".join(f"cafÃ© {number},x\n" for number in range(3)),
        "sw": "text,sentence\nhabari,x\n",
    }
    corpus = open_corpus(write_tables(tmp_path, tables))
    with pytest.raises(CorpusError, match=r"^3 of 3 texts of .* \(fi\) are UTF-8 that was decoded as Windows-1252"):
        corpus.sample("fi", 8, 42)
    (note,) = corpus.sample("sw", 8, 42).notes
    assert note.startswith("the text of ")
    assert note.endswith(
        "(sw) is read from the column 'text', not from 'sentence': --text-column chooses another column."
    )


@leaving_files_open
def test_a_column_of_languages_divides_the_rows(tmp_path: Path) -> None:
    table = "lang,sentence\nswh,Habari.\nsw,Karibu.\nnan,Lí hó.\nEstonian,Tere.\nxx-yy,?\n,?\n"
    spec = write_tables(tmp_path, {"default": table})
    corpus = open_corpus(spec, language_column="lang")
    assert corpus.languages() == ("et", "nan", "sw")
    assert corpus.name == f"hub({tmp_path.name}, split=train, language_column=lang)"
    sentences = {code: {each.text for each in corpus.sample(code, 9, 0).examples} for code in corpus.languages()}
    assert sentences == {"et": {"Tere."}, "nan": {"Lí hó."}, "sw": {"Habari.", "Karibu."}}
    left_out = {each.file: (each.kind, each.reason) for each in not_read(corpus)}
    assert left_out["(empty)"] == ("value", "no language (1 row)")
    assert left_out.keys() == {"(empty)", "xx-yy"}
    notes = reading_notes(corpus)
    assert notes[0] == "several values are read as one language: swh, sw as sw."
    with pytest.raises(CorpusError, match=f"{tmp_path.name} has no column 'language'") as caught:
        open_corpus(spec, language_column="language").languages()
    assert caught.value.hint == "its columns are lang, sentence."


@leaving_files_open
def test_a_column_of_languages_needs_one_configuration(tmp_path: Path) -> None:
    spec = write_tables(tmp_path, {"news": "lang,text\nsw,a\n", "web": "lang,text\nfi,b\n"})
    with pytest.raises(CorpusError, match="has several configurations: news, web") as caught:
        open_corpus(spec, language_column="lang").languages()
    assert caught.value.hint == "choose one of them with --config NAME."
    assert open_corpus(spec, language_column="lang", config="web").languages() == ("fi",)
    with pytest.raises(UsageError, match=r"--language-column and \{lang\} in --config were both given"):
        open_corpus(spec, language_column="lang", config="{lang}")
    with pytest.raises(UsageError, match="--language-column cannot be used with the corpus wikiann"):
        open_corpus(f"wikiann={tmp_path}", language_column="lang")
