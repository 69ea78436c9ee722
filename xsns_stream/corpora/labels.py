"""Labels of examples."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from xsns_stream.corpora.examples import Malformed, Unit
from xsns_stream.errors import CorpusError, UsageError
from xsns_stream.types import TextExample
from xsns_stream.types.text import SPLITS, AnswerSpan

#: Takes the labels that the recipe or the format has.
AUTO: Final = "auto"


def label_union(
    languages: Iterable[str], units: Callable[[str], Iterable[Unit]], most: int | None = None
) -> tuple[str, ...]:
    """Return the names of all labels of all languages, sorted; empty where labels are answers.

    A language that cannot be read adds nothing: its own rows will fail and say why.

    Args:
        languages: Codes.
        units: Code → the language's units.
        most: So many classes the task has; None where that is not known.

    Raises:
        CorpusError: No language can be read; or the label sets do not fit together (:func:`check_label_sets`).
    """
    by_language: dict[str, set[str]] = {}
    words = False
    errors = []
    for language in languages:
        found: set[str] = set()
        try:
            for unit in units(language):
                if unit is None or isinstance(unit, Malformed) or unit.label is None:
                    continue
                if isinstance(unit.label, AnswerSpan):
                    return ()
                words = words or not isinstance(unit.label, str)
                found.update((unit.label,) if isinstance(unit.label, str) else filter(None, unit.label))
        except CorpusError as error:
            errors.append(error)
        else:
            by_language[language] = found
    if errors and not by_language:
        raise errors[0]
    check_label_sets(by_language, words=words, most=most)
    return tuple(sorted(set().union(*by_language.values())))


def check_label_sets(found: Mapping[str, Collection[str]], *, words: bool, most: int | None = None) -> None:
    """Refuse labels that cannot be those of one task.

    Args:
        found: {language: its labels}.
        words: Whether they are labels of words. Small data may have different ones in each language.
        most: So many classes the task has; None where that is not known.

    Raises:
        CorpusError: A class has several spellings, a language has no class that another has, or there are too many.
    """
    check_spellings(found, words=words)
    for language, labels in found.items():
        others = set().union(*(other for code, other in found.items() if code != language))
        if not words and labels and others and not others.intersection(labels):
            raise CorpusError(
                f"the labels of '{language}' are none of the other languages': {_some(sorted(labels))}, and "
                f"{_some(sorted(others))}.",
                "give the classes the same names in all languages.",
            )
    every = sorted(set().union(*found.values()))
    if most is not None and len(every) > most:
        told = [f"'{label}' ({_some([code for code, labels in found.items() if label in labels])})" for label in every]
        raise CorpusError(
            f"the task has {most} classes, and the data have {len(every)}: {_some(told)}.",
            "give the classes the same names in all languages.",
        )


def check_spellings(
    found: Mapping[str, Collection[str]], *, words: bool, insisted: Collection[str] = (), hint: str = ""
) -> None:
    """Refuse labels that are one class under several spellings: they differ by case, white space or leading zeros.

    Args:
        found: {language: its labels}.
        words: Whether they are labels of words. These may differ by case within a language: some tag sets use it.
        insisted: Labels that are what they are meant to be.
        hint: How to give a label another name.

    Raises:
        CorpusError: There are some; all of them are named.
    """
    spellings: dict[str, dict[str, list[str]]] = {}
    for language, labels in found.items():
        for label in sorted(set(labels) - set(insisted)):
            spellings.setdefault(_spelt(label), {}).setdefault(label, []).append(language)
    several = [names for names in spellings.values() if len(names) > 1 and not (words and _within_one(names))]
    if several:
        told = "; ".join(" and ".join(f"'{label}' ({_some(where)})" for label, where in one.items()) for one in several)
        raise CorpusError(f"one class has several spellings: {told}.", hint or "write each class in one way.")


def _spelt(label: str) -> str:
    """Return what labels that differ by case, white space or leading zeros have in common."""
    text = " ".join(label.split()).casefold()
    return str(int(text)) if text.isascii() and text.isdecimal() else text


def _within_one(names: Mapping[str, Sequence[str]]) -> bool:
    """Say whether some language has several of these spellings."""
    languages = [language for where in names.values() for language in where]
    return len(set(languages)) < len(languages)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")


#: Names of the tasks, and what a label is in each: one a word, one a text, one a pair of texts, or an answer.
TASK_NAMES: Final[Mapping[str, str]] = {
    "ner": "words",
    "pos": "words",
    "nli": "pair",
    "pi": "pair",
    "qa": "answer",
    "topic": "text",
}
#: How many classes a task has at most, where that is known: XNLI calls one of its three by two names.
MOST_CLASSES: Final[Mapping[str, int]] = {"nli": 3, "pi": 2}
#: Outside every named entity.
OUTSIDE: Final = "O"
#: What CoNLL-U writes where there is nothing.
BLANK: Final = "_"
_PREFIXES: Final = ("B-", "I-")
#: The last word of an entity in BIOES and BILOU, and entities of one word.
_LAST: Final = ("E-", "L-")
_SINGLE: Final = ("S-", "U-")
_ALL_PREFIXES: Final = (*_PREFIXES, *_LAST, *_SINGLE)
_LOOKS: Final = {
    "words": "a label for each word",
    "pair": "a class for each pair of texts",
    "text": "a class for each text",
    "answer": "an answer for each question",
}


def check_task(task: str) -> str:
    """Return the name of a task.

    Raises:
        UsageError: There is none of this name.
    """
    if task not in TASK_NAMES:
        raise UsageError(f"there is no task '{task}'.", f"one of: {', '.join(TASK_NAMES)}.")
    return task


def check_split(split: str) -> str:
    """Return the name of a split.

    Raises:
        UsageError: There is none of this name.
    """
    if split not in SPLITS:
        raise UsageError(f"there is no split '{split}' of a task.", f"one of: {', '.join(SPLITS)}.")
    return split


def checked(example: TextExample, task: str, where: str) -> TextExample:
    """Return an example with a label if the label is one of the task's kind.

    Raises:
        CorpusError: The label is of another kind, or no tag of named entities in IOB, BIOES or BILOU.
    """
    kind = TASK_NAMES[task]
    label = example.label
    fits = {
        "words": isinstance(label, tuple),
        "pair": isinstance(label, str) and example.pair is not None,
        "text": isinstance(label, str) and example.pair is None,
        "answer": isinstance(label, AnswerSpan),
    }[kind]
    if not fits:
        raise CorpusError(f"{where} does not hold what {task} needs: {_LOOKS[kind]}.", "check --task and the columns.")
    if task == "ner" and isinstance(label, tuple):
        odd = next((tag for tag in label if tag and tag != OUTSIDE and not _is_entity(tag, _ALL_PREFIXES)), None)
        if odd is not None:
            hint = "tags are O, B-TYPE and I-TYPE; in BIOES also E-TYPE and S-TYPE, in BILOU L-TYPE and U-TYPE."
            raise CorpusError(f"{where} has the tag '{odd}', which is none of IOB.", hint)
    return example


def unlabelled_where_blank(example: TextExample) -> TextExample:
    """Return the example with `_`, which CoNLL-U writes for nothing, as no label; of no labels, none."""
    if not isinstance(example.label, tuple) or BLANK not in example.label:
        return example
    label = tuple("" if tag == BLANK else tag for tag in example.label)
    return replace(example, label=label if any(label) else None)


def from_bioes(examples: Sequence[TextExample]) -> tuple[tuple[TextExample, ...], tuple[str, ...]]:
    """Return examples of named entities with tags in IOB2, and the prefixes of BIOES and BILOU that they had.

    BIOES marks the last word of an entity by `E-` and an entity of one word by `S-`; BILOU by `L-` and `U-`. Where
    there are none of these, the examples are returned as they are.
    """
    ends = (*_LAST, *_SINGLE)
    labels = [example.label for example in examples if isinstance(example.label, tuple)]
    met_ends = {tag[:2] for label in labels for tag in label if tag.startswith(ends)}
    if not met_ends:
        return tuple(examples), ()
    found = tuple(
        replace(example, label=tuple(_as_iob2(tag, before) for tag, before in _with_before(label)))
        if isinstance(label := example.label, tuple)
        else example
        for example in examples
    )
    return found, tuple(prefix for prefix in ends if prefix in met_ends)


def _as_iob2(tag: str, before: str) -> str:
    """Return the tag of IOB2 for one of BIOES or BILOU: `I-` only where it goes on with the entity before it."""
    if not _is_entity(tag, _ALL_PREFIXES):
        return tag
    goes_on = _is_entity(before) and before[2:] == tag[2:] and not tag.startswith(("B-", *_SINGLE))
    return f"{'I' if goes_on else 'B'}{tag[1:]}"


def in_iob2(examples: Sequence[TextExample]) -> tuple[tuple[TextExample, ...], int]:
    """Return examples of named entities with tags in IOB2, and how many had others.

    In IOB1 an entity begins with `I-`, and with `B-` only where one of the same type goes before it. A file is IOB1
    where that is so of all its entities; where some others begin with `B-`, the file is IOB2, and is left as it is.
    """
    labels = [example.label for example in examples if isinstance(example.label, tuple)]
    begins = {tag[0] for label in labels for tag, before in _with_before(label) if _begins(tag, before)}
    if begins != {"I"}:
        return tuple(examples), 0
    found = tuple(
        replace(
            example, label=tuple(f"B{tag[1:]}" if _begins(tag, before) else tag for tag, before in _with_before(label))
        )
        if isinstance(label := example.label, tuple)
        else example
        for example in examples
    )
    return found, sum(new is not old and new != old for new, old in zip(found, examples, strict=True))


def _with_before(label: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each tag with the one before it; `O` before the first."""
    return zip(label, (OUTSIDE, *label), strict=False)


def _begins(tag: str, before: str) -> bool:
    """Say whether a tag begins an entity that does not follow one of its own type."""
    return _is_entity(tag) and not (_is_entity(before) and before[2:] == tag[2:])


def relabelled(examples: Iterable[TextExample], names: Mapping[str, str], task: str) -> tuple[TextExample, ...]:
    """Return the examples with other names for their labels.

    Args:
        examples: With labels.
        names: {old: new}; of named entities the types, and `O` as a new name makes them no entities.
        task: Of the examples.
    """
    return tuple(_relabelled(example, names, task) for example in examples) if names else tuple(examples)


def met(examples: Iterable[TextExample], names: Iterable[str], task: str) -> set[str]:
    """Return those of some names that the examples have as labels; of named entities, as types."""
    wanted = set(names)
    if not wanted:
        return wanted
    found: set[str] = set()
    for example in examples:
        if isinstance(example.label, str):
            found.add(example.label)
        elif isinstance(example.label, tuple):
            found.update(tag.partition("-")[2] if task == "ner" else tag for tag in example.label)
    return wanted & found


def _relabelled(example: TextExample, names: Mapping[str, str], task: str) -> TextExample:
    label = example.label
    if label is None or isinstance(label, AnswerSpan):
        return example
    if isinstance(label, str):
        return replace(example, label=names.get(label, label))
    rename = _renamed_entity if task == "ner" else _renamed_class
    return replace(example, label=tuple(rename(tag, names) for tag in label))


def _is_entity(tag: str, prefixes: tuple[str, ...] = _PREFIXES) -> bool:
    return tag.startswith(prefixes) and len(tag) > len(_PREFIXES[0])


def _renamed_class(tag: str, names: Mapping[str, str]) -> str:
    return names.get(tag, tag)


def _renamed_entity(tag: str, names: Mapping[str, str]) -> str:
    prefix, dash, kind = tag.partition("-")
    if not dash:
        return tag
    new = names.get(kind, kind)
    return OUTSIDE if new == OUTSIDE else f"{prefix}-{new}"
