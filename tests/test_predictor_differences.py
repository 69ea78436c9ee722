"""What predictors were made of is compared, and what differs is said."""

from __future__ import annotations

from dataclasses import replace

from xsns_stream.types.predictor_records import DrawnText, PredictorRecord, differences

LANGUAGES = ("sw", "en")


def record(examples: int = 128, digest: str = "a", seeds: tuple[int, ...] = (42,), **more: object) -> PredictorRecord:
    texts = {code: {seed: DrawnText(code, f"{digest}-{code}-{seed}", examples) for seed in seeds} for code in LANGUAGES}
    made = PredictorRecord("emb", "mini", "weights", "tokenizer", "cldr", examples, seeds, "", 128, texts)
    return replace(made, **more)  # type: ignore[arg-type]


def said(**records: PredictorRecord | None) -> dict[str, str]:
    return {found.what: found.sentence for found in differences(records, LANGUAGES)}


def test_equal_predictors_do_not_differ() -> None:
    assert said(xsns=record(objective="masked-lm(rate=0.15,max_length=128)"), emb=record()) == {}
    lex = record(weights_digest="")
    assert said(xsns=record(), lex=lex, sue=replace(lex, model="", tokenizer_digest="", max_length=0)) == {}


def test_numbers_of_examples() -> None:
    found = said(xsns=record(), emb=record(64, "b"), lex=record(64, "b"))
    assert found == {"examples": "the examples a language differ: 128 ('xsns'), 64 ('emb', 'lex')."}


def test_of_one_language_alone_fewer_examples_were_there() -> None:
    few = record()
    few = replace(few, texts={**few.texts, "sw": {42: DrawnText("sw", "b", 20)}})
    assert said(xsns=record(), emb=few) == {
        "examples": "the examples a language of sw differ: 128 ('xsns'), 20 ('emb')."
    }


def test_different_text_of_one_language() -> None:
    other = record()
    other = replace(other, texts={**other.texts, "en": {42: DrawnText("en-US", "b", 128)}})
    british = record()
    british = replace(british, texts={**british.texts, "en": {42: DrawnText("en-GB", "a", 128)}})
    found = differences({"xsns": british, "lex": other}, LANGUAGES)
    assert [one.what for one in found] == ["text"]
    assert found[0].sentence == "different text was used for en (en-GB ('xsns'), en-US ('lex'))."
    assert found[0].languages == ("en",)
    assert found[0].to_json()["values"] == {"xsns": {"en": "en-GB"}, "lex": {"en": "en-US"}}
    # Of languages that are not compared nothing is said.
    assert differences({"xsns": british, "lex": other}, ("sw",)) == ()


def test_models_of_one_name_are_told_apart() -> None:
    found = said(xsns=record(weights_digest="1" * 64), emb=record(weights_digest="2" * 64))
    assert found == {"model": "the models differ: mini 111111111111 ('xsns'), mini 222222222222 ('emb')."}


def test_seeds_lengths_and_tokenizers() -> None:
    found = said(xsns=record(seeds=(1, 2), tokenizer_digest="x", model="big"), emb=record(seeds=(1,), max_length=24))
    assert found["seeds"] == "the seeds differ: 1, 2 ('xsns'), 1 ('emb')."
    assert found["max_length"] == "the longest examples differ, in tokens: 128 ('xsns'), 24 ('emb')."
    assert found["tokenizer"] == "the tokenizers differ: big ('xsns'), mini ('emb')."


def test_one_text_under_two_names_of_the_corpus() -> None:
    found = said(xsns=record(), emb=record(corpus="folder(copy)"))
    assert found == {
        "corpus": "the corpora are called differently, and their text is the same: cldr ('xsns'), folder(copy) ('emb')."
    }


def test_what_is_not_recorded_is_said_where_there_is_something_to_compare_it_with() -> None:
    typology = PredictorRecord("l2v")
    assert said(xsns=None, l2v=typology) == {}
    found = said(xsns=record(), l2v=typology, own=None)
    assert list(found) == ["unknown"]
    assert found["unknown"].startswith("no text, model and number of examples are recorded for 'own': ")
