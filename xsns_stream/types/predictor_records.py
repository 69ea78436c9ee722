"""What a predictor was made of: its model, text, number of examples and seeds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

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
