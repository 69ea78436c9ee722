"""Records of how predictors were made (model, text, examples, seeds), and the differences between such records."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from xsns_stream.io.tables import listed

#: Longest text that is taken from a file's record; names of models and corpora are shorter.
_LONGEST: Final = 500


@dataclass(frozen=True)
class DrawnText:
    """The text of one language under one seed.

    Attributes:
        language: Code of the language in the corpus.
        digest: SHA-256 of the examples in the order in which they were drawn; empty where it is not known.
        examples: How many examples were used.
    """

    language: str
    digest: str
    examples: int


@dataclass(frozen=True)
class PredictorRecord:
    """What a predictor was made of, as far as it is known.

    Attributes:
        predictor: What was computed, as `emb` or `jaccard`.
        model: Name of the model; empty where none was used, and so for the next two.
        weights_digest: SHA-256 of its weights; empty where only its tokenizer was used.
        tokenizer_digest: SHA-256 of its tokenizer.
        corpus: Name and settings of the corpus; empty where the predictor was made from no text.
        examples_asked: Examples asked for, a language.
        seeds: Seeds of the draw.
        objective: What the model was asked; empty where nothing was asked.
        max_length: Longest example in tokens; 0 where it is not known.
        texts: {language: {seed: what was drawn}}.
        settings: Further settings of the predictor, as the layer.
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
        """Whether the predictor was made from text."""
        return bool(self.corpus or self.texts)

    def renamed(self, called: Mapping[str, str]) -> PredictorRecord:
        """Return the record with languages under other codes; each text keeps the code it has in the corpus."""
        return replace(self, texts={called.get(code, code): drawn for code, drawn in self.texts.items()})

    def to_json(self) -> dict[str, Any]:
        """Return what :meth:`from_json` reads."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        texts = {
            code: {
                str(seed): {"language": one.language, "digest": one.digest, "examples": one.examples}
                for seed, one in drawn.items()
            }
            for code, drawn in self.texts.items()
        }
        return data | {"seeds": list(self.seeds), "texts": texts, "settings": dict(self.settings)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PredictorRecord:
        """Rebuild from :meth:`to_json`; unknown keys of later versions are ignored.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: It is no such record.
        """
        names = ("predictor", "model", "weights_digest", "tokenizer_digest", "corpus", "objective")
        texts = {
            _plain(code): {
                int(seed): DrawnText(_plain(one["language"]), _plain(one["digest"]), _count(one["examples"]))
                for seed, one in drawn.items()
            }
            for code, drawn in data.get("texts", {}).items()
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
    """Return text from a file without what a terminal would obey."""
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise ValueError(f"{str(text)[:20]!r} is no name")
    spaced = "".join(" " if sign.isspace() else sign for sign in text)
    return "".join(sign for sign in spaced if sign.isprintable())


def _integer(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{str(value)[:20]!r} is no integer")
    return value


def _count(value: Any) -> int:
    number = _integer(value)
    if number < 0:
        raise ValueError(f"{number} is no count")
    return number


def _setting(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    return _plain(value)


Records = Mapping[str, PredictorRecord]


@dataclass(frozen=True)
class Difference:
    """Something in which predictors differ, or that is not known of them.

    Attributes:
        what: `model`, `tokenizer`, `corpus`, `examples`, `seeds`, `max_length`, `objective`, `text` or `unknown`.
        sentence: The same, to be read.
        values: {predictor: what holds for it}.
        languages: Those that it concerns; empty where it concerns all of them.
    """

    what: str
    sentence: str
    values: Mapping[str, Any]
    languages: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "what": self.what,
            "sentence": self.sentence,
            "values": dict(self.values),
            "languages": list(self.languages),
        }


def differences(records: Mapping[str, PredictorRecord | None], languages: Sequence[str]) -> tuple[Difference, ...]:
    """Compare what predictors were made of.

    Predictors that were made from no text, as typology, are left out. What is not known of a predictor is not compared.

    Args:
        records: {predictor: its record}, None where nothing is recorded.
        languages: Codes of the languages that are compared.
    """
    known = {name: record for name, record in records.items() if record is not None and record.from_text}
    unknown = [name for name, record in records.items() if record is None]
    return (
        *_by_value("model", "the models differ", known, lambda one: one.weights_digest, lambda one: one.model),
        *_by_value(
            "tokenizer", "the tokenizers differ", known, lambda one: one.tokenizer_digest, lambda one: one.model
        ),
        *_by_value("seeds", "the seeds differ", known, lambda one: tuple(sorted(one.seeds)), _seeds),
        *_by_value("objective", "the objectives differ", known, lambda one: one.objective, lambda one: one.objective),
        *_by_value(
            "max_length",
            "the longest examples differ, in tokens",
            known,
            lambda one: one.max_length,
            lambda one: one.max_length,
        ),
        *_examples(known, languages),
        *_texts(known, languages),
        *_unknown(unknown, known),
    )


def _seeds(record: PredictorRecord) -> str:
    return ", ".join(map(str, record.seeds))


def _by_value(
    what: str,
    begins: str,
    known: Records,
    value_of: Callable[[PredictorRecord], Hashable],
    shown: Callable[[PredictorRecord], object],
) -> Iterator[Difference]:
    """Yield the difference of predictors with several values; an empty value is not known."""
    values = {name: value_of(record) for name, record in known.items()}
    if len({value for value in values.values() if value}) < 2:
        return
    names = {name: str(shown(known[name])) for name, value in values.items() if value}
    if len(set(names.values())) < len({value for value in values.values() if value}):
        # Two models of one name: the beginning of the digest tells them apart.
        names = {name: f"{text} {str(values[name])[:12]}" for name, text in names.items()}
    yield Difference(what, f"{begins}: {_grouped(names)}.", names)


def _grouped(values: Mapping[str, str]) -> str:
    """Return `64 ('emb', 'lex'), 128 ('xsns')`."""
    groups: dict[str, list[str]] = {}
    for name, value in values.items():
        groups.setdefault(value, []).append(f"'{name}'")
    return ", ".join(f"{value} ({listed(names)})" for value, names in groups.items())


def _used(record: PredictorRecord, languages: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Return how many examples each language had, for each seed."""
    return {
        code: tuple(one.examples for _, one in sorted(record.texts[code].items()))
        for code in languages
        if code in record.texts
    }


def _examples(known: Records, languages: Sequence[str]) -> Iterator[Difference]:
    used = {name: _used(record, languages) for name, record in known.items()}
    differing = [
        code for code in languages if len({frozenset(counts[code]) for counts in used.values() if code in counts}) > 1
    ]
    if differing:
        ranges = {
            name: _range([count for code in differing for count in counts.get(code, ())])
            for name, counts in used.items()
        }
        values = {name: text for name, text in ranges.items() if text}
        where = "" if len(differing) == len(languages) else f" of {listed(differing)}"
        yield Difference(
            "examples", f"the examples a language{where} differ: {_grouped(values)}.", values, tuple(differing)
        )


def _range(counts: Sequence[int]) -> str:
    if not counts:
        return ""
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _texts(known: Records, languages: Sequence[str]) -> Iterator[Difference]:
    """Yield the languages of which several predictors drew as many examples, but not the same."""
    differing: dict[str, dict[str, str]] = {}
    for code in languages:
        drawn = {name: record.texts[code] for name, record in known.items() if code in record.texts}
        if _differ(list(drawn.values())):
            differing[code] = {name: next(iter(one.values())).language for name, one in drawn.items()}
    if differing:
        corpora = {name: record.corpus for name, record in known.items()}
        named = [f"{code} ({_grouped(called)})" if _varies(called) else code for code, called in differing.items()]
        origin = f"; the corpora are {_grouped(corpora)}" if _varies(corpora) else ""
        yield Difference(
            "text",
            f"different text was used for {listed(named)}{origin}.",
            {name: {code: called[name] for code, called in differing.items() if name in called} for name in known},
            tuple(differing),
        )
    elif _varies(corpora := {name: record.corpus for name, record in known.items() if record.corpus}):
        alike = _all_alike(known, languages)
        says = "are called differently, and their text is the same" if alike else "differ"
        yield Difference("corpus", f"the corpora {says}: {_grouped(corpora)}.", corpora)


def _varies(values: Mapping[str, str]) -> bool:
    return len(set(values.values())) > 1


def _differ(drawn: Sequence[Mapping[int, DrawnText]]) -> bool:
    """Say whether two predictors drew as many examples of one seed, but not the same."""
    for place, one in enumerate(drawn):
        for other in drawn[place + 1 :]:
            for seed in one.keys() & other.keys():
                first, second = one[seed], other[seed]
                known = bool(first.digest and second.digest)
                comparable = first.examples == second.examples or first.language != second.language
                if known and comparable and first.digest != second.digest:
                    return True
    return False


def _all_alike(known: Records, languages: Sequence[str]) -> bool:
    """Say whether every language's text is known, and the same, for all predictors that have it."""
    for code in languages:
        digests = [
            {seed: one.digest for seed, one in record.texts[code].items()}
            for record in known.values()
            if code in record.texts
        ]
        if any(not digest for one in digests for digest in one.values()) or any(one != digests[0] for one in digests):
            return False
    return True


def _unknown(unknown: Sequence[str], known: Records) -> Iterator[Difference]:
    if unknown and known:
        names = listed([f"'{name}'" for name in unknown])
        yield Difference(
            "unknown",
            f"no text, model and number of examples are recorded for {names}: whether they are those of the others "
            "cannot be told. Files in .parquet, .json and .npz keep a record.",
            dict.fromkeys(unknown),
        )
