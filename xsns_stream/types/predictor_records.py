"""Records of the origin of predictors (model, text, examples, seeds), and differences between such records."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from xsns_stream.io.tables import listed

#: Length limit for text in a record that is read from a file; names of models and corpora are shorter.
_LONGEST: Final = 500


@dataclass(frozen=True)
class DrawnText:
    """A record of the text that was sampled for one language with one seed.

    Attributes:
        language: Code of the language in the corpus.
        digest: SHA-256 of the examples in the order of sampling; empty if it is unknown.
        examples: Number of examples that were used.
    """

    language: str
    digest: str
    examples: int


@dataclass(frozen=True)
class PredictorRecord:
    """The origin of a predictor, as far as it is known.

    Attributes:
        predictor: Name of the predictor, such as `emb` or `jaccard`.
        model: Name of the model; empty if no model was used. In that case both digests are empty too.
        weights_digest: SHA-256 of the weights; empty if only the tokenizer was used.
        tokenizer_digest: SHA-256 of the tokenizer.
        corpus: Name and settings of the corpus; empty for a predictor that does not use text.
        examples_asked: Requested number of examples of each language.
        seeds: Seeds for sampling.
        objective: Training objective of the gradients; empty if there is none.
        max_length: Largest length of an example in tokens; 0 if it is unknown.
        texts: {language: {seed: the sampled text}}.
        settings: Further settings of the predictor, such as the layer.
    """

    predictor: str
    model: str = ""
    weights_digest: str = ""
    tokenizer_digest: str = ""
    corpus: str = ""
    examples_asked: int = 0
    seeds: tuple[int, ...] = ()
    objective: str = ""
    max_length: int = 0
    texts: Mapping[str, Mapping[int, DrawnText]] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def from_text(self) -> bool:
        """Whether the predictor uses text."""
        return bool(self.corpus or self.texts)

    def renamed(self, code_of: Mapping[str, str]) -> PredictorRecord:
        """Return a copy of the record with other language codes as keys; `DrawnText.language` does not change.

        Args:
            code_of: {old code: new code}.
        """
        return replace(self, texts={code_of.get(code, code): by_seed for code, by_seed in self.texts.items()})

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that :meth:`from_json` reads."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        texts = {
            code: {
                str(seed): {"language": text.language, "digest": text.digest, "examples": text.examples}
                for seed, text in by_seed.items()
            }
            for code, by_seed in self.texts.items()
        }
        return data | {"seeds": list(self.seeds), "texts": texts, "settings": dict(self.settings)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PredictorRecord:
        """Return the record from a JSON object of :meth:`to_json`; unknown keys of later versions are ignored.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: The data is not such a record.
        """
        names = ("predictor", "model", "weights_digest", "tokenizer_digest", "corpus", "objective")
        texts = {
            _plain(code): {
                int(seed): DrawnText(_plain(text["language"]), _plain(text["digest"]), _count(text["examples"]))
                for seed, text in by_seed.items()
            }
            for code, by_seed in data.get("texts", {}).items()
        }
        settings = {_plain(key): _setting(value) for key, value in data.get("settings", {}).items()}
        return cls(
            **{name: _plain(data.get(name, "")) for name in names},
            examples_asked=_count(data.get("examples_asked", 0)),
            seeds=tuple(_integer(seed) for seed in data.get("seeds", ())),
            max_length=_count(data.get("max_length", 0)),
            texts=texts,
            settings=settings,
        )


def _plain(text: Any) -> str:
    """Return text from a file without control characters, because a terminal would interpret them."""
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise ValueError(f"{str(text)[:20]!r} is not a name")
    spaced = "".join(" " if sign.isspace() else sign for sign in text)
    return "".join(sign for sign in spaced if sign.isprintable())


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{str(value)[:20]!r} is not an integer")
    return value


def _count(value: Any) -> int:
    number = _integer(value)
    if number < 0:
        raise ValueError(f"{number} is not a count")
    return number


def _setting(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    return _plain(value)


Records = Mapping[str, PredictorRecord]


@dataclass(frozen=True)
class Difference:
    """A difference between records of predictors, or a missing record.

    Attributes:
        what: `model`, `tokenizer`, `corpus`, `examples`, `seeds`, `max_length`, `objective`, `text` or `unknown`.
        sentence: The difference as a sentence.
        values: {predictor: its value of the differing property}.
        languages: The languages that the difference concerns; empty if it concerns all languages.
    """

    what: str
    sentence: str
    values: Mapping[str, Any]
    languages: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the difference as a dictionary of JSON types."""
        return {
            "what": self.what,
            "sentence": self.sentence,
            "values": dict(self.values),
            "languages": list(self.languages),
        }


def differences(records: Mapping[str, PredictorRecord | None], languages: Sequence[str]) -> tuple[Difference, ...]:
    """Return the differences between records of predictors.

    Predictors that do not use text, such as typology, are left out. Unknown values are not compared.

    Args:
        records: {predictor: its record}; None if nothing is recorded.
        languages: Codes of the languages to compare.
    """
    known = {name: record for name, record in records.items() if record is not None and record.from_text}
    unknown = [name for name, record in records.items() if record is None]
    return (
        *_value_difference("model", "the models differ", known, lambda r: r.weights_digest, lambda r: r.model),
        *_value_difference(
            "tokenizer", "the tokenizers differ", known, lambda r: r.tokenizer_digest, lambda r: r.model
        ),
        *_value_difference("seeds", "the seeds differ", known, lambda r: tuple(sorted(r.seeds)), _seed_list),
        *_value_difference("objective", "the objectives differ", known, lambda r: r.objective, lambda r: r.objective),
        *_value_difference(
            "max_length",
            "the maximum lengths of examples differ, in tokens",
            known,
            lambda r: r.max_length,
            lambda r: r.max_length,
        ),
        *_count_difference(known, languages),
        *_text_difference(known, languages),
        *_missing_records(unknown, known),
    )


def _seed_list(record: PredictorRecord) -> str:
    return ", ".join(map(str, record.seeds))


def _value_difference(
    what: str,
    begins: str,
    known: Records,
    value_of: Callable[[PredictorRecord], Hashable],
    shown: Callable[[PredictorRecord], object],
) -> Iterator[Difference]:
    """Yield a difference if a value of the records of the predictors is not the same in all records.

    Args:
        what: Kind of the difference, such as `model`.
        begins: Beginning of the sentence about it.
        known: {predictor: its record}.
        value_of: Function that returns the value of a record; an empty value means unknown and is not compared.
        shown: Function that returns the value for the sentence.
    """
    values = {name: value for name, record in known.items() if (value := value_of(record))}
    distinct = set(values.values())
    if len(distinct) < 2:
        return
    names = {name: str(shown(known[name])) for name in values}
    if len(set(names.values())) < len(distinct):
        # If two models have the same name, the beginning of the digest distinguishes them.
        names = {name: f"{text} {str(values[name])[:12]}" for name, text in names.items()}
    yield Difference(what, f"{begins}: {_grouped(names)}.", names)


def _grouped(values: Mapping[str, str]) -> str:
    """Return the predictors grouped by value, such as `64 ('emb', 'lex'), 128 ('xsns')`."""
    groups: dict[str, list[str]] = {}
    for name, value in values.items():
        groups.setdefault(value, []).append(f"'{name}'")
    return ", ".join(f"{value} ({listed(names)})" for value, names in groups.items())


def _example_counts(record: PredictorRecord, languages: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return {language: number of examples with each seed}."""
    return {
        code: tuple(text.examples for _, text in sorted(record.texts[code].items()))
        for code in languages
        if code in record.texts
    }


def _count_difference(known: Records, languages: Sequence[str]) -> Iterator[Difference]:
    """Yield a difference if predictors used different numbers of examples of a language.

    `known` is {predictor: its record}.
    """
    counts = {name: _example_counts(record, languages) for name, record in known.items()}
    differing = [
        code for code in languages if len({frozenset(own[code]) for own in counts.values() if code in own}) > 1
    ]
    if differing:
        ranges = {
            name: _range([count for code in differing for count in own.get(code, ())]) for name, own in counts.items()
        }
        values = {name: text for name, text in ranges.items() if text}
        where = "" if len(differing) == len(languages) else f" for {listed(differing)}"
        sentence = f"the numbers of examples per language differ{where}: {_grouped(values)}."
        yield Difference("examples", sentence, values, tuple(differing))


def _range(counts: Sequence[int]) -> str:
    if not counts:
        return ""
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _text_difference(known: Records, languages: Sequence[str]) -> Iterator[Difference]:
    """Yield a difference if predictors used different texts for a language, or if the names of their corpora differ.

    `known` is {predictor: its record}.
    """
    differing: dict[str, dict[str, str]] = {}
    for code in languages:
        texts = {name: record.texts[code] for name, record in known.items() if code in record.texts}
        if _texts_differ(list(texts.values())):
            differing[code] = {name: next(iter(by_seed.values())).language for name, by_seed in texts.items()}
    if differing:
        corpora = {name: record.corpus for name, record in known.items()}
        named = [f"{code} ({_grouped(codes)})" if _varies(codes) else code for code, codes in differing.items()]
        origin = f"; the corpora are {_grouped(corpora)}" if _varies(corpora) else ""
        yield Difference(
            "text",
            f"the text differs for {listed(named)}{origin}.",
            {name: {code: codes[name] for code, codes in differing.items() if name in codes} for name in known},
            tuple(differing),
        )
    elif _varies(corpora := {name: record.corpus for name, record in known.items() if record.corpus}):
        verb = "have different names, but the same text" if _texts_equal(known, languages) else "differ"
        yield Difference("corpus", f"the corpora {verb}: {_grouped(corpora)}.", corpora)


def _varies(values: Mapping[str, str]) -> bool:
    return len(set(values.values())) > 1


def _texts_differ(texts: Sequence[Mapping[int, DrawnText]]) -> bool:
    """Return whether any two predictors used different examples of one language with the same seed.

    Two predictors that used different numbers of examples of the same language code are not compared.

    Args:
        texts: {seed: the sampled text} of each predictor.
    """
    for index, one in enumerate(texts):
        for other in texts[index + 1 :]:
            for seed in one.keys() & other.keys():
                first, second = one[seed], other[seed]
                known = bool(first.digest and second.digest)
                comparable = first.examples == second.examples or first.language != second.language
                if known and comparable and first.digest != second.digest:
                    return True
    return False


def _texts_equal(known: Records, languages: Sequence[str]) -> bool:
    """Return whether the text of every language is known and is the same for all predictors that have the language."""
    for code in languages:
        digests = [
            {seed: text.digest for seed, text in record.texts[code].items()}
            for record in known.values()
            if code in record.texts
        ]
        if any(not digest for one in digests for digest in one.values()) or any(one != digests[0] for one in digests):
            return False
    return True


def _missing_records(unknown: Sequence[str], known: Records) -> Iterator[Difference]:
    if unknown and known:
        names = listed([f"'{name}'" for name in unknown])
        yield Difference(
            "unknown",
            f"the text, the model and the number of examples of {names} were not recorded, and cannot be "
            f"compared with those of the other predictors. Matrices in .parquet, .json and .npz files contain such a "
            "record.",
            dict.fromkeys(unknown),
        )
