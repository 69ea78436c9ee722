"""Strings of special tokens within text are read as characters, for every kind of tokenizer and every caller."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import pytest

from tests.support.tokenizers import mini_tokenizer, mini_vocabulary
from xsns_stream.models.tokenizers import reserved_strings, tokenise
from xsns_stream.objectives import (
    CausalLanguageModelling,
    MaskedLanguageModelling,
    QuestionAnswering,
    SequenceClassification,
    SpanCorruption,
    TokenClassification,
)
from xsns_stream.pipeline.baseline_values import encode_plain
from xsns_stream.transfer import PRESETS, TASKS
from xsns_stream.transfer.encoding import encode
from xsns_stream.types import LabelledSplit, LanguageSample, TextExample
from xsns_stream.types.text import AnswerSpan

SPECIAL: Final = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
NAMES: Final = {
    "bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>",
}  # fmt: skip
#: Every printable character of ASCII is known, alone and with the mark of a space.
LETTERS: Final = tuple(map(chr, range(33, 127)))
ORDINARY: Final = (
    "Hello world, 1 < 2 and 3 > 2.",
    "a <b>bold</b> word; x</a> </ s> < mask>",
    "l'été à la mer 中文",
    "  spaces   and\ttabs ",
    "pad mask unk s /s extra_id_0",
)


def framed(tokenizer: Any) -> Any:
    """Wrap a tokenizer of the library `tokenizers`, with <s> and </s> around each text."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    ends = [(name, tokenizer.token_to_id(name)) for name in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=ends
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **NAMES)


def unigram() -> Any:
    return mini_tokenizer()


def word_piece() -> Any:
    from transformers import BertTokenizer

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    return BertTokenizer(vocab={name: number for number, name in enumerate(dict.fromkeys(names))})


def byte_level(*, ignore_merges: bool = False) -> Any:
    """A tokenizer like that of GPT-2, or like that of Llama 3, which first looks for whole words in the vocabulary."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    names = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), "<extra_id_0>"]
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    return framed(tokenizer)


def byte_fallback() -> Any:
    """A tokenizer like that of Llama 2: no pre-tokenizer, and unknown characters become bytes."""
    from tokenizers import Tokenizer, models, normalizers

    names = [*SPECIAL, *(f"<0x{number:02X}>" for number in range(256)), "▁", *LETTERS]
    vocabulary = {name: number for number, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return framed(tokenizer)


def unigram_bytes() -> Any:
    """Unigram without a pre-tokenizer, whose byte tokens have names that text may contain."""
    from tokenizers import Tokenizer, models, normalizers

    tokens = [*SPECIAL, *(f"<0x{number:02X}>" for number in range(256)), "▁", *LETTERS]
    tokenizer = Tokenizer(models.Unigram([(p, 0.0 if len(p) > 1 else -4.0) for p in tokens], 3, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    return framed(tokenizer)


def word_level() -> Any:
    from tokenizers import Tokenizer, models, pre_tokenizers

    names = [*SPECIAL, "Hello", "world", "mask", *LETTERS]
    tokenizer = Tokenizer(models.WordLevel({name: n for n, name in enumerate(names)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return framed(tokenizer)


def t5(mark: str = "") -> Any:
    """A tokenizer like that of T5, or like that of mT5 with the mark of a word before its sentinels."""
    from transformers import T5Tokenizer

    sentinels = [(f"{mark}<extra_id_{number}>", 0.0) for number in reversed(range(100))]
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("<", -9.0), (">", -9.0)]
    return T5Tokenizer(vocab=[*special, *mini_vocabulary(), *sentinels], extra_ids=0 if mark else 100)


KINDS: Final[dict[str, Callable[[], Any]]] = {
    "Unigram (XLM-R)": unigram,
    "WordPiece (BERT)": word_piece,
    "byte-level (GPT-2)": byte_level,
    "byte-level, whole words first (Llama 3)": lambda: byte_level(ignore_merges=True),
    "byte fallback (Llama 2)": byte_fallback,
    "Unigram with bytes": unigram_bytes,
    "WordLevel": word_level,
    "T5": t5,
    "mT5": lambda: t5("▁"),
}


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]()


@pytest.fixture(scope="module")
def mini() -> Any:
    return unigram()


def reserved(tokenizer: Any) -> list[str]:
    """Return special strings of a tokenizer: those of its kind, and a few of the many sentinels and bytes."""
    strings = [string for string in reserved_strings(tokenizer) if len(string) > 1]
    return [string for string in strings if "extra_id" not in string and "0x" not in string] + [
        string for string in strings if string in ("<extra_id_0>", "<extra_id_12>", "<0x0A>")
    ]


def sample(*texts: str | TextExample) -> LanguageSample:
    return LanguageSample("en", tuple(t if isinstance(t, TextExample) else TextExample(t) for t in texts), "a test")


# ------------------------------------------------------------------------------- every kind of tokenizer


def test_ordinary_text_gives_the_same_ids(tokenizer: Any) -> None:
    for text in ORDINARY:
        assert dict(tokenise(tokenizer, text)) == dict(tokenizer(text))
        assert dict(tokenise(tokenizer, text, "a pair")) == dict(tokenizer(text, "a pair"))
    assert dict(tokenise(tokenizer, list(ORDINARY))) == dict(tokenizer(list(ORDINARY)))


@pytest.mark.parametrize("context", ["{}", "Hello {} world", "Hello{}world", "{0}{0}", "{} {}"])
def test_special_strings_are_read_as_characters(tokenizer: Any, context: str) -> None:
    """No token of the text is the special token, and the offsets show that no text is lost."""
    for string in reserved(tokenizer):
        text = context.replace("{0}", "{}").replace("{}", string)
        encoding = tokenise(tokenizer, text, add_special_tokens=False, return_offsets_mapping=True)
        index = reserved_strings(tokenizer)[string]
        if index != tokenizer.unk_token_id:  # the id of characters that the vocabulary does not have
            assert index not in encoding["input_ids"], (string, encoding["input_ids"])
        covered = {position for start, end in encoding["offset_mapping"] for position in range(start, end)}
        assert covered >= {position for position, letter in enumerate(text) if letter != " "}
        first = text.index(string)
        assert (first, first + len(string)) not in encoding["offset_mapping"]


def test_the_tokenizer_is_not_changed(tokenizer: Any) -> None:
    string = next(iter(reserved_strings(tokenizer)))
    before = tokenizer.backend_tokenizer.to_str(), tokenizer(f"a {string} b")["input_ids"]
    with pytest.raises(ValueError, match="text input must be of type"):
        tokenise(tokenizer, object())
    tokenise(tokenizer, f"a {string} b")
    assert (tokenizer.backend_tokenizer.to_str(), tokenizer(f"a {string} b")["input_ids"]) == before


def test_tokens_that_are_added_later_are_characters_as_well() -> None:
    tokenizer = word_level()
    tokenise(tokenizer, "Hello")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<new>"]}, replace_extra_special_tokens=False)
    assert tokenizer.convert_tokens_to_ids("<new>") in tokenizer("a <new> b")["input_ids"]
    assert tokenizer.convert_tokens_to_ids("<new>") not in tokenise(tokenizer, "a <new> b")["input_ids"]


def test_a_special_string_that_normalising_makes_is_characters(mini: Any) -> None:
    """The normaliser of XLM-R converts full-width characters to ASCII before its model looks for tokens."""
    assert mini.mask_token_id in mini("＜mask＞")["input_ids"]
    assert mini.mask_token_id not in tokenise(mini, "＜mask＞")["input_ids"]


def test_a_special_token_of_one_character_is_counted() -> None:
    """A single character cannot be split, so that a build only counts these tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {name: number for number, name in enumerate(["#", "<unk>", "a", "b"])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="#")
    encoded = CausalLanguageModelling().encode(sample("a b", "a # b", "# # a b"), wrapped, seed=0)
    assert encoded.special == 2


# ------------------------------------------------------------------------------------------- every door

TEXT: Final = "Use <mask> here </s> then <pad> or <s>"
FRAME: Final = 2


def specials_in(mini: Any, ids: Any) -> int:
    return int(np.isin(ids, sorted({*mini.all_special_ids} - {mini.unk_token_id})).sum())


@pytest.mark.parametrize(
    "text", [TEXT, TextExample(("<mask>", "</s>", "x")), TextExample("a", pair=TEXT)], ids=["text", "words", "pair"]
)
def test_language_models_see_no_special_token_in_text(text: str | TextExample, mini: Any) -> None:
    (causal,) = CausalLanguageModelling().encode(sample(text), mini, seed=0).examples
    frame = mini.num_special_tokens_to_add(pair=isinstance(text, TextExample) and text.pair is not None)
    assert specials_in(mini, causal.input_ids) == frame
    (masked,) = MaskedLanguageModelling().encode(sample(text), mini, seed=0).examples
    hidden = masked.labels != -100
    assert specials_in(mini, np.where(hidden, masked.labels, masked.input_ids)) == frame
    (plain,) = encode_plain(sample(text), SimpleNamespace(tokenizer=mini), 0, 128).examples  # type: ignore[arg-type]
    assert np.array_equal(plain.input_ids, causal.input_ids)
    (spans,) = SpanCorruption().encode(sample(text), mini, seed=0).examples
    assert specials_in(mini, spans.labels) == frame


def test_a_line_of_special_strings_only_is_text(mini: Any) -> None:
    encoded = MaskedLanguageModelling().encode(sample("<mask>", "<mask> </s>", "<pad><pad>"), mini, seed=0)
    assert (len(encoded.examples), encoded.unusable, encoded.special) == (3, 0, 0)


def test_sentinels_of_a_text_are_characters() -> None:
    tokenizer = t5("▁")
    (example,) = SpanCorruption(rate=0.5).encode(sample("watoto <extra_id_7> kitabu"), tokenizer, 0).examples
    seventh = tokenizer.convert_tokens_to_ids("▁<extra_id_7>")
    assert seventh in tokenizer("watoto <extra_id_7> kitabu")["input_ids"]
    assert seventh not in [*example.input_ids, *example.labels]


def test_tasks_see_no_special_token_in_text(mini: Any) -> None:
    words = TextExample(("Use", "<mask>", "here", "</s>"), label=("A", "B", "A", "B"))
    (tagged,) = TokenClassification(("A", "B")).encode(sample(words), mini, seed=0).examples
    assert specials_in(mini, tagged.input_ids) == FRAME
    assert (tagged.labels != -100).sum() == len(words.text)
    (classed,) = SequenceClassification(("A", "B")).encode(sample(TextExample(TEXT, label="A")), mini, seed=0).examples
    assert specials_in(mini, classed.input_ids) == FRAME
    question = TextExample("What is </s>?", pair=TEXT, label=AnswerSpan(4, "<mask>"))
    (answered,) = QuestionAnswering().encode(sample(question), mini, seed=0).examples
    start, end = int(answered.arrays["start_positions"]), int(answered.arrays["end_positions"])
    assert "".join(mini.convert_ids_to_tokens(answered.input_ids[start : end + 1])).lstrip("▁") == "<mask>"
    assert specials_in(mini, answered.input_ids) == mini.num_special_tokens_to_add(pair=True)


def test_fine_tuning_sees_no_special_token_in_text(mini: Any) -> None:
    doors = {
        "pos": TextExample(("Use", "<mask>", "here", "</s>"), label=("A", "B", "A", "B")),
        "topic": TextExample(TEXT, label="A"),
        "qa": TextExample("What is </s>?", pair=TEXT, label=AnswerSpan(4, "<mask>")),
    }
    for task, example in doors.items():
        split = LabelledSplit("en", "train", (example,), "a test")
        (feature,) = encode(TASKS[task], ("A", "B"), split, mini, PRESETS["quick"])
        frame = mini.num_special_tokens_to_add(pair=example.pair is not None)
        assert specials_in(mini, feature.inputs["input_ids"]) == frame
