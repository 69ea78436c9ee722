"""The tokens of words are those of the running text, for every kind of tokenizer.

The tokenizers are tiny, of every kind, and trained on a few sentences. They differ in how they treat spaces.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, Final

import pytest

from tests.support.samples import sample
from xsns_stream.corpora.conll import read_conllu
from xsns_stream.errors import ModelError
from xsns_stream.objectives import CausalLanguageModelling, MaskedLanguageModelling, Objective, TokenClassification
from xsns_stream.pipeline.baseline_values import encode_plain
from xsns_stream.transfer import PRESETS, TASKS
from xsns_stream.transfer.encoding import encode
from xsns_stream.types import LabelledSplit, LanguageSample, TextExample

#: Sentences on which the tokenizers are trained; tests use others as well.
SENTENCES: Final = (
    "Hello world, hello again.",
    "watoto wanasoma kitabu",
    "l'été à la mer",
    "中文句子没有空格",
    "10 000",
)


def _wrapped(tokenizer: Any, **names: str) -> Any:
    from transformers import PreTrainedTokenizerFast

    special = {"pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **(special | names))


_SPECIAL: Final = ["<pad>", "<unk>", "<mask>", "</s>"]


def _trained(tokenizer: Any, kind: str, **options: Any) -> Any:
    from tokenizers import trainers

    size = {"UnigramTrainer": 200, "WordPieceTrainer": 200}.get(kind, 400)
    trainer = getattr(trainers, kind)(vocab_size=size, special_tokens=_SPECIAL, show_progress=False, **options)
    tokenizer.train_from_iterator(list(SENTENCES) * 4, trainer)
    return _wrapped(tokenizer)


def word_piece() -> Any:
    """A tokenizer like that of BERT."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return _trained(tokenizer, "WordPieceTrainer")


def metaspace(scheme: str) -> Any:
    """Unigram with `▁` for spaces: before every word (XLM-R), before the first word (T5, new Llama), or never."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    return _trained(tokenizer, "UnigramTrainer", unk_token="<unk>")


def byte_level(prefix: bool, trim: bool = True) -> Any:
    """A tokenizer like those of GPT-2 and RoBERTa: a space belongs to the word after it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=trim)
    return _trained(tokenizer, "BpeTrainer", initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def gemma() -> Any:
    """A normaliser writes `▁` for each space, and nothing before a text; unknown characters are bytes."""
    return _spaces_replaced("")


def llama() -> Any:
    """A tokenizer like that of Gemma, with `▁` before every text that it gets."""
    return _spaces_replaced("▁")


def _spaces_replaced(before: str) -> Any:
    from tokenizers import Tokenizer, models, normalizers, trainers

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    replaced = normalizers.Replace(" ", "▁")
    tokenizer.normalizer = (
        normalizers.Sequence([normalizers.Prepend(before), replaced]) if before else normalizers.Sequence([replaced])
    )
    fallback = [f"<0x{number:02X}>" for number in range(256)]
    trainer = trainers.BpeTrainer(
        vocab_size=700, special_tokens=[*_SPECIAL, *fallback], limit_alphabet=30, show_progress=False
    )
    # Merges within words alone: the words are trained on one by one, each with its mark.
    words = [f"▁{word}" for sentence in SENTENCES for word in sentence.split()]
    tokenizer.train_from_iterator(words * 4, trainer)
    return _wrapped(tokenizer)


def tiktoken() -> Any:
    """A tokenizer like those of Llama 3 and GPT-4: a regular expression splits the text, then bytes are merged."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors

    # A space before a word is a part of it; three digits at most are one part; line ends are apart.
    pattern = (
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+(?!\S)|\s+"
    )
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    parts = [
        pre_tokenizers.Split(Regex(pattern), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    return _trained(tokenizer, "BpeTrainer", initial_alphabet=pre_tokenizers.ByteLevel.alphabet())


def words_then_metaspace() -> Any:
    """A tokenizer like that of XLM-R: NFKC, then white space splits the text, then each word gets a `▁`."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    parts = [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(parts)
    return _trained(tokenizer, "UnigramTrainer", unk_token="<unk>")


def characters() -> Any:
    """One token for each character, including spaces."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    letters = sorted({letter for sentence in SENTENCES for letter in sentence})
    vocabulary = {name: number for number, name in enumerate([*_SPECIAL, *letters])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    return _wrapped(tokenizer)


KINDS: Final[dict[str, Callable[[], Any]]] = {
    "WordPiece": word_piece,
    "Metaspace always": lambda: metaspace("always"),
    "Metaspace first": lambda: metaspace("first"),
    "Metaspace never": lambda: metaspace("never"),
    "byte-level with prefix": lambda: byte_level(prefix=True),
    "byte-level without prefix": lambda: byte_level(prefix=False),
    "byte-level untrimmed": lambda: byte_level(prefix=False, trim=False),
    "Llama 3": tiktoken,
    "XLM-R": words_then_metaspace,
    "Gemma": gemma,
    "Llama": llama,
    "characters": characters,
}
#: Tokenizers with which older versions, which tokenized words one by one, had the same tokens. They must not change.
RIGHT_BEFORE: Final = ("WordPiece", "Metaspace always", "byte-level with prefix")


WORDS: Final = (
    ("Hello", "world", ",", "hello", "l'été"),
    ("watoto", "wanasoma", "kitabu", "中文", "x", "10 000", "a"),
    ("hello",),
    ("中", "文", "句子"),
)
TAGS: Final = ("ADJ", "NOUN", "VERB")


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tokenizer(kind: str) -> Any:
    return KINDS[kind]()


def unmasked(objective: Objective, text: LanguageSample, tokenizer: Any) -> list[list[int]]:
    """Return the tokens before masking."""
    return [
        [int(label) if label != -100 else int(token) for token, label in zip(each.input_ids, each.labels, strict=True)]
        for each in objective.encode(text, tokenizer, 0).examples
    ]


@pytest.mark.parametrize("objective", [MaskedLanguageModelling(), CausalLanguageModelling()], ids=["masked", "causal"])
def test_language_models_read_the_running_text(objective: Objective, tokenizer: Any) -> None:
    examples = [TextExample(words) for words in WORDS if len(words) > 1]
    assert unmasked(objective, sample(*examples), tokenizer) == [
        tokenizer(" ".join(example.text))["input_ids"] for example in examples
    ]
    written = TextExample(("Hello", "world", "."), running="Hello world.")
    assert unmasked(objective, sample(written), tokenizer) == [tokenizer("Hello world.")["input_ids"]]


#: Sentences, and their CoNLL-U lines (ID, form, MISC) without the comment `# text`.
TREEBANK: Final = {
    "Hello, l'été!": ("1 Hello SpaceAfter=No", "2 , _", "3 l' SpaceAfter=No", "4 été SpaceAfter=No", "5 ! _"),
    "vámonos al mar": ("1-2 vámonos _", "1 vamos _", "2 nos _", "3-4 al _", "3 a _", "4 el _", "4.1 x _", "5 mar _"),
    "10 000 kitabu.": ("1 10_000 _", "2 kitabu SpaceAfter=No", "3 . _"),
    "中文句子没有空格。": (
        *(f"{number} {word} SpaceAfter=No" for number, word in enumerate(("中文", "句子", "没有", "空格"), 1)),
        "5 。 SpaceAfter=No",
    ),
    "ภาษาไทยไม่มี ช่องว่าง": ("1 ภาษา SpaceAfter=No", "2 ไทย SpaceAfter=No", "3 ไม่มี _", "4 ช่องว่าง _"),
    # White space of any length is read as one space.
    "hello world": (r"1 hello SpacesAfter=\s\s", "2 world _"),
}


def treebank_sentence(lines: tuple[str, ...], labels: str | None = None) -> TextExample:
    block = []
    for line in lines:
        number, token, misc = line.split(" ")
        block.append("\t".join((number, token.replace("_", " "), "_", "NOUN", *("_" * 5), misc)) + "\n")
    (example,) = read_conllu([*(line.encode() for line in block), b"\n"], "a test", labels)
    assert isinstance(example, TextExample)
    return example


def test_a_treebank_gives_the_tokens_of_its_sentences(tokenizer: Any) -> None:
    for sentence, lines in TREEBANK.items():
        example = treebank_sentence(lines)
        assert example.sentence() == sentence
        ids = tokenizer(sentence)["input_ids"]
        if set(ids) != {tokenizer.unk_token_id}:
            assert unmasked(CausalLanguageModelling(), sample(example), tokenizer) == [ids]


@pytest.mark.parametrize("label_at", ["first", "last"])
def test_labels_are_at_the_tokens_that_contain_the_words_of_running_text(label_at: str, tokenizer: Any) -> None:
    """A token belongs to a word if it contains its first (last) character; words may share a token."""
    settings = replace(PRESETS["quick"], words="running")
    for sentence, lines in TREEBANK.items():
        example = treebank_sentence(lines, "upos")
        split = LabelledSplit("sw", "train", (example,), "a test")
        (feature,) = encode(TASKS["pos"], ("NOUN", "VERB"), split, tokenizer, settings, label_at)
        expected = tokenizer(sentence, return_offsets_mapping=True)
        assert feature.inputs["input_ids"] == expected["input_ids"]
        positions, end = dict(feature.words), 0
        for number, word in enumerate(example.text):
            start = sentence.index(word, end)
            end = start + len(word)
            if number in positions:
                begin, stop = expected["offset_mapping"][positions[number]]
                assert (begin <= start < stop or stop == start) if label_at == "first" else begin < end <= stop
        # A range, such as 1-2, has no part of speech of their own.
        scored = {positions[number] for number, tag in enumerate(example.label or ()) if tag and number in positions}
        assert {position for position, label in enumerate(feature.targets["labels"]) if label != -100} == scored


def test_words_and_lines_have_the_same_targets(tokenizer: Any) -> None:
    """A sentence of a treebank and the same sentence as a line have the same tokens, masks, keys and digest."""
    lines = sample(TextExample("Hello world."), TextExample("中文句子没有空格"))
    words = sample(
        TextExample(("Hello", "world", "."), running="Hello world."),
        TextExample(("中文", "句子", "没有", "空格"), running="中文句子没有空格"),
    )
    assert words.digest == lines.digest
    objective = MaskedLanguageModelling(rate=0.4)
    result, expected = (objective.encode(each, tokenizer, 3).examples for each in (words, lines))
    for one, other in zip(result, expected, strict=True):
        assert one.key == other.key
        assert {name: array.tolist() for name, array in one.arrays.items()} == {
            name: array.tolist() for name, array in other.arrays.items()
        }


def test_baselines_read_the_running_text(tokenizer: Any) -> None:
    loaded: Any = SimpleNamespace(tokenizer=tokenizer, objective="masked-lm")
    encoded = encode_plain(sample(TextExample(("Hello", "world"))), loaded, 0, 64)
    assert [each.input_ids.tolist() for each in encoded.examples] == [tokenizer("Hello world")["input_ids"]]


def first_tokens(words: tuple[str, ...], tokenizer: Any) -> list[int]:
    """Return the first token of each word: the one after the tokens of the text before the word.

    The function tokenizes the beginnings of the text, which is slow and needs no offsets.
    """
    tokens = tokenizer(" ".join(words))["input_ids"]
    result = [0]
    for word in range(1, len(words)):
        before = tokenizer(" ".join(words[:word]))["input_ids"]
        assert tokens[: len(before)] == before, "the words of the tests have this property"
        result.append(len(before))
    return result


@pytest.mark.parametrize("words", WORDS)
def test_labels_are_at_the_first_token_of_their_word(words: tuple[str, ...], tokenizer: Any) -> None:
    label = tuple(TAGS[len(word) % 3] for word in words)
    example = TextExample(words, label=label, running="".join(words))
    (result,) = TokenClassification(TAGS).encode(sample(example), tokenizer, 0).examples
    assert result.input_ids.tolist() == tokenizer(" ".join(words))["input_ids"]
    expected = dict(zip(first_tokens(words, tokenizer), (TAGS.index(name) for name in label), strict=True))
    assert {position: int(tag) for position, tag in enumerate(result.labels) if tag != -100} == expected
    task, settings = replace(TASKS["pos"], classes=TAGS), PRESETS["quick"]
    (feature,) = encode(task, TAGS, LabelledSplit("sw", "train", (example,), "a test"), tokenizer, settings)
    assert feature.inputs["input_ids"] == result.input_ids.tolist()
    assert {position: tag for position, tag in enumerate(feature.targets["labels"]) if tag != -100} == expected


@pytest.mark.parametrize("kind", RIGHT_BEFORE, indirect=True)
@pytest.mark.parametrize("words", [words for words in WORDS if "10 000" not in words])
def test_exact_parameters_keep_their_rules(words: tuple[str, ...], tokenizer: Any) -> None:
    """Words in scripts with spaces have the tokens of words given one by one, and the same key for masking."""
    example = TextExample(words)
    encoded = MaskedLanguageModelling().encode(sample(example), tokenizer, 0)
    assert example.key() == "\x1f".join(words)
    assert encoded.examples[0].labels.size == len(tokenizer(list(words), is_split_into_words=True)["input_ids"])
    assert unmasked(MaskedLanguageModelling(), sample(example), tokenizer) == [
        tokenizer(list(words), is_split_into_words=True)["input_ids"]
    ]


def test_words_that_a_tokenizer_would_join() -> None:
    """If the words are given one by one, this tokenizer has no space between them."""
    tokenizer = byte_level(prefix=False)
    glued = tokenizer(["Hello", "world"], is_split_into_words=True)["input_ids"]
    assert "".join(tokenizer.convert_ids_to_tokens(glued)) == "Helloworld"
    (tokens,) = unmasked(MaskedLanguageModelling(), sample(TextExample(("Hello", "world"))), tokenizer)
    assert tokenizer.convert_ids_to_tokens(tokens) == ["Hello", "Ġworld"]


def test_a_tokenizer_without_offsets_cannot_label_words() -> None:
    """A tokenizer like that of ByT5, with one token for each byte: it is refused for labels of words."""
    from transformers import ByT5Tokenizer

    slow = ByT5Tokenizer()
    assert not slow.is_fast
    words = TextExample(("Hello", "world"))
    assert unmasked(CausalLanguageModelling(), sample(words), slow) == [slow("Hello world")["input_ids"]]
    example = replace(words, label=("NOUN", "VERB"))
    with pytest.raises(ModelError, match="does not provide the character range of each token"):
        TokenClassification(TAGS).encode(sample(example), slow, 0)
    task, settings = replace(TASKS["pos"], classes=TAGS), PRESETS["quick"]
    with pytest.raises(ModelError, match="does not provide the character range of each token"):
        encode(task, TAGS, LabelledSplit("sw", "train", (example,), "a test"), slow, settings)
