"""Comparison of the records of predictors; differences are reported."""

from __future__ import annotations

from dataclasses import replace

from xsns_stream.types.predictor_records import DrawnText, PredictorRecord, differences

LANGUAGES = ("sw", "en")


def record(examples: int = 128, digest: str = "a", seeds: tuple[int, ...] = (42,), **more: object) -> PredictorRecord:
    texts = {code: {seed: DrawnText(code, f"{digest}-{code}-{seed}", examples) for seed in seeds} for code in LANGUAGES}
    default = PredictorRecord("emb", "mini", "weights", "tokenizer", "cldr", examples, seeds, "", 128, texts)
    return replace(default, **more)  # type: ignore[arg-type]


def sentences(**records: PredictorRecord | None) -> dict[str, str]:
    return {difference.what: difference.sentence for difference in differences(records, LANGUAGES)}


def test_equal_predictors_do_not_differ() -> None:
    assert sentences(xsns=record(objective="masked-lm(rate=0.15,max_length=128)"), emb=record()) == {}
    lex = record(weights_digest="")
    assert sentences(xsns=record(), lex=lex, sue=replace(lex, model="", tokenizer_digest="", max_length=0)) == {}


def test_different_numbers_of_examples_are_reported() -> None:
    by_field = sentences(xsns=record(), emb=record(64, "b"), lex=record(64, "b"))
    assert by_field == {"examples": "the numbers of examples per language differ: 128 ('xsns'), 64 ('emb', 'lex')."}


def test_fewer_examples_of_one_language_are_reported() -> None:
    few = record()
    few = replace(few, texts={**few.texts, "sw": {42: DrawnText("sw", "b", 20)}})
    assert sentences(xsns=record(), emb=few) == {
        "examples": "the numbers of examples per language differ for sw: 128 ('xsns'), 20 ('emb')."
    }


def test_different_text_of_one_language_is_reported() -> None:
    other = record()
    other = replace(other, texts={**other.texts, "en": {42: DrawnText("en-US", "b", 128)}})
    british = record()
    british = replace(british, texts={**british.texts, "en": {42: DrawnText("en-GB", "a", 128)}})
    text_differences = differences({"xsns": british, "lex": other}, LANGUAGES)
    assert [one.what for one in text_differences] == ["text"]
    assert text_differences[0].sentence == "the text differs for en (en-GB ('xsns'), en-US ('lex'))."
    assert text_differences[0].languages == ("en",)
    assert text_differences[0].to_json()["values"] == {"xsns": {"en": "en-GB"}, "lex": {"en": "en-US"}}
    # Languages that are not compared are ignored.
    assert differences({"xsns": british, "lex": other}, ("sw",)) == ()


def test_models_of_the_same_name_are_distinguished_by_digest() -> None:
    by_field = sentences(xsns=record(weights_digest="1" * 64), emb=record(weights_digest="2" * 64))
    assert by_field == {"model": "the models differ: mini 111111111111 ('xsns'), mini 222222222222 ('emb')."}


def test_different_seeds_lengths_and_tokenizers_are_reported() -> None:
    by_field = sentences(
        xsns=record(seeds=(1, 2), tokenizer_digest="x", model="big"), emb=record(seeds=(1,), max_length=24)
    )
    assert by_field["seeds"] == "the seeds differ: 1, 2 ('xsns'), 1 ('emb')."
    assert by_field["max_length"] == "the maximum lengths of examples differ, in tokens: 128 ('xsns'), 24 ('emb')."
    assert by_field["tokenizer"] == "the tokenizers differ: big ('xsns'), mini ('emb')."


def test_corpora_with_different_names_may_have_the_same_text() -> None:
    by_field = sentences(xsns=record(), emb=record(corpus="folder(copy)"))
    assert by_field == {
        "corpus": "the corpora have different names, but the same text: cldr ('xsns'), folder(copy) ('emb')."
    }


def test_missing_record_is_reported_if_another_predictor_has_one() -> None:
    typology = PredictorRecord("l2v")
    assert sentences(xsns=None, l2v=typology) == {}
    by_field = sentences(xsns=record(), l2v=typology, own=None)
    assert list(by_field) == ["unknown"]
    assert by_field["unknown"].startswith("the text, the model and the number of examples of 'own' were not recorded, ")
