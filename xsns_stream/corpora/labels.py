"""Labels of examples: checks for a task, tag schemes of named entities, renaming, and label sets of languages."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from xsns_stream.corpora.examples import Malformed, Unit
from xsns_stream.errors import CorpusError, UsageError
from xsns_stream.tasks import TASKS
from xsns_stream.types import TextExample
from xsns_stream.types.text import SPLITS, AnswerSpan

#: Value of the setting `labels` that selects the labels of the recipe or of the format.
AUTO: Final = "auto"
#: The tag of a word outside every named entity.
OUTSIDE: Final = "O"
#: The mark of an empty column in CoNLL-U.
BLANK: Final = "_"
_PREFIXES: Final = ("B-", "I-")
#: Prefixes of BIOES and BILOU: for the last word of an entity, and for entities of one word.
_LAST: Final = ("E-", "L-")
_SINGLE: Final = ("S-", "U-")
_ALL_PREFIXES: Final = (*_PREFIXES, *_LAST, *_SINGLE)
_LABEL_KINDS: Final = {
    "words": "a label for each word",
    "pair": "a class for each pair of texts",
    "text": "a class for each text",
    "answer": "an answer for each question",
}


def check_split(split: str) -> str:
    """Check and return the name of a split.

    Raises:
        UsageError: There is no split of this name.
    """
    if split not in SPLITS:
        raise UsageError(f"there is no split '{split}'.", f"choose one of {', '.join(SPLITS)}.")
    return split


def check_label(example: TextExample, task: str, where: str) -> TextExample:
    """Check that the label of an example is of the kind that the task needs, and return the example.

    `where` names the example, for messages.

    Raises:
        CorpusError: The label is of another kind, or a tag of named entities is not IOB, BIOES or BILOU.
    """
    kind = TASKS[task].labelled
    label = example.label
    fits = {
        "words": isinstance(label, tuple),
        "pair": isinstance(label, str) and example.pair is not None,
        "text": isinstance(label, str) and example.pair is None,
        "answer": isinstance(label, AnswerSpan),
    }[kind]
    if not fits:
        raise CorpusError(
            f"{where} does not have the label that {task} needs: {_LABEL_KINDS[kind]}.",
            "check --task and the columns of the data.",
        )
    if TASKS[task].entities and isinstance(label, tuple):
        odd = next((tag for tag in label if tag and tag != OUTSIDE and not _is_entity(tag, _ALL_PREFIXES)), None)
        if odd is not None:
            hint = "tags are O, B-TYPE and I-TYPE; in BIOES also E-TYPE and S-TYPE, in BILOU L-TYPE and U-TYPE."
            raise CorpusError(f"{where} has the tag '{odd}', which is not an IOB tag.", hint)
    return example


# ------------------------------------------------------------------------------------ tag schemes


def without_blank_tags(example: TextExample) -> TextExample:
    """Return the example with empty tags instead of `_`, and without a label if all of its tags are then empty."""
    if not isinstance(example.label, tuple) or BLANK not in example.label:
        return example
    label = tuple("" if tag == BLANK else tag for tag in example.label)
    return replace(example, label=label if any(label) else None)


def bioes_to_iob2(examples: Sequence[TextExample]) -> tuple[tuple[TextExample, ...], tuple[str, ...]]:
    """Return examples of named entities with tags in IOB2, and the original prefixes of BIOES or BILOU.

    BIOES marks the last word of an entity by `E-` and an entity of one word by `S-`; BILOU by `L-` and `U-`. Examples
    without any of these prefixes are returned unchanged.
    """
    ends = (*_LAST, *_SINGLE)
    labels = [example.label for example in examples if isinstance(example.label, tuple)]
    prefixes = {tag[:2] for label in labels for tag in label if tag.startswith(ends)}
    if not prefixes:
        return tuple(examples), ()
    return _with_tags(examples, _bioes_tag), tuple(prefix for prefix in ends if prefix in prefixes)


def iob1_to_iob2(examples: Sequence[TextExample]) -> tuple[tuple[TextExample, ...], int]:
    """Return examples of named entities with tags in IOB2, and the number of examples with changed tags.

    In IOB1 an entity begins with `I-`, and with `B-` only directly after an entity of the same type. A file is IOB1 if
    this is true of all its entities. If other entities begin with `B-`, the file is IOB2 and is returned unchanged.
    """
    labels = [example.label for example in examples if isinstance(example.label, tuple)]
    first_letters = {tag[0] for label in labels for tag, before in _with_before(label) if _begins(tag, before)}
    if first_letters != {"I"}:
        return tuple(examples), 0
    changed = _with_tags(examples, lambda tag, before: f"B{tag[1:]}" if _begins(tag, before) else tag)
    return changed, sum(new is not old and new != old for new, old in zip(changed, examples, strict=True))


def _with_tags(examples: Iterable[TextExample], new_tag: Callable[[str, str], str]) -> tuple[TextExample, ...]:
    """Return examples with new tags: `new_tag(tag, preceding tag)` for each old tag."""
    return tuple(
        replace(example, label=tuple(new_tag(tag, before) for tag, before in _with_before(label)))
        if isinstance(label := example.label, tuple)
        else example
        for example in examples
    )


def _bioes_tag(tag: str, before: str) -> str:
    """Return the IOB2 tag for a tag of BIOES or BILOU, given the preceding tag `before`.

    The IOB2 tag begins with `I-` only if the word continues the entity of the preceding word.
    """
    if not _is_entity(tag, _ALL_PREFIXES):
        return tag
    continues = _is_entity(before) and before[2:] == tag[2:] and not tag.startswith(("B-", *_SINGLE))
    return f"{'I' if continues else 'B'}{tag[1:]}"


def _with_before(label: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (tag, preceding tag) for each tag in `label`; the preceding tag of the first tag is `O`."""
    return zip(label, (OUTSIDE, *label), strict=False)


def _begins(tag: str, before: str) -> bool:
    """Return whether `tag` is in an entity, and the preceding tag `before` is not in an entity of the same type."""
    return _is_entity(tag) and not (_is_entity(before) and before[2:] == tag[2:])


def _is_entity(tag: str, prefixes: tuple[str, ...] = _PREFIXES) -> bool:
    return tag.startswith(prefixes) and len(tag) > len(_PREFIXES[0])


# -------------------------------------------------------------------------------------- new names


def rename_labels(examples: Iterable[TextExample], names: Mapping[str, str], task: str) -> tuple[TextExample, ...]:
    """Return the examples with renamed labels.

    Args:
        examples: Examples with labels.
        names: {old name: new name}. For named entities, these are names of entity types, such as `PER`; the new name
            `O` removes the entities of a type.
        task: Task of the examples.
    """
    return tuple(_renamed(example, names, task) for example in examples) if names else tuple(examples)


def names_in_use(examples: Iterable[TextExample], names: Iterable[str], task: str) -> set[str]:
    """Return the elements of `names` that are labels of the examples or, for named entities, types in their tags."""
    wanted = set(names)
    if not wanted:
        return wanted
    used: set[str] = set()
    for example in examples:
        if isinstance(example.label, str):
            used.add(example.label)
        elif isinstance(example.label, tuple):
            used.update(tag.partition("-")[2] if TASKS[task].entities else tag for tag in example.label)
    return wanted & used


def _renamed(example: TextExample, names: Mapping[str, str], task: str) -> TextExample:
    label = example.label
    if label is None or isinstance(label, AnswerSpan):
        return example
    if isinstance(label, str):
        return replace(example, label=names.get(label, label))
    rename = _renamed_entity if TASKS[task].entities else _renamed_class
    return replace(example, label=tuple(rename(tag, names) for tag in label))


def _renamed_class(tag: str, names: Mapping[str, str]) -> str:
    return names.get(tag, tag)


def _renamed_entity(tag: str, names: Mapping[str, str]) -> str:
    prefix, dash, kind = tag.partition("-")
    if not dash:
        return tag
    new = names.get(kind, kind)
    return OUTSIDE if new == OUTSIDE else f"{prefix}-{new}"


# ------------------------------------------------------------------------ label sets of languages


def label_union(
    languages: Iterable[str], units: Callable[[str], Iterable[Unit]], most: int | None = None
) -> tuple[str, ...]:
    """Return the names of all labels of all languages, sorted; empty if labels are answers.

    A language that cannot be read adds no labels. The error for it is raised later, when its row is built.

    Args:
        languages: Codes of the languages.
        units: Function that returns the units of a language.
        most: Maximum number of classes of the task; None if unknown.

    Raises:
        CorpusError: No language can be read, or the label sets do not fit together (:func:`check_label_sets`).
    """
    by_language: dict[str, set[str]] = {}
    words = False
    errors = []
    for language in languages:
        labels: set[str] = set()
        try:
            for unit in units(language):
                if unit is None or isinstance(unit, Malformed) or unit.label is None:
                    continue
                if isinstance(unit.label, AnswerSpan):
                    return ()
                words = words or not isinstance(unit.label, str)
                labels.update((unit.label,) if isinstance(unit.label, str) else filter(None, unit.label))
        except CorpusError as error:
            errors.append(error)
        else:
            by_language[language] = labels
    if errors and not by_language:
        raise errors[0]
    check_label_sets(by_language, words=words, most=most)
    return tuple(sorted(set().union(*by_language.values())))


def check_label_sets(by_language: Mapping[str, Collection[str]], *, words: bool, most: int | None = None) -> None:
    """Raise an error if label sets cannot belong to one task.

    Args:
        by_language: {language: its labels}.
        words: Whether the labels are those of words. In small data, a language may then lack some of the classes.
        most: Maximum number of classes of the task; None if unknown.

    Raises:
        CorpusError: A class has several spellings, a language shares no class with the others, or there are too many
            classes.
    """
    check_spellings(by_language, words=words)
    for language, labels in by_language.items():
        others = set().union(*(other for code, other in by_language.items() if code != language))
        if not words and labels and others and not others.intersection(labels):
            raise CorpusError(
                f"'{language}' shares no class with the other languages: it has {_shorten(sorted(labels))}, and they "
                f"have {_shorten(sorted(others))}.",
                "give the classes the same names in all languages.",
            )
    every = sorted(set().union(*by_language.values()))
    if most is not None and len(every) > most:
        found = [
            f"'{label}' ({_shorten([code for code, labels in by_language.items() if label in labels])})"
            for label in every
        ]
        raise CorpusError(
            f"the task has {most} classes, but the data have {len(every)}: {_shorten(found)}.",
            "give the classes the same names in all languages.",
        )


def check_spellings(
    by_language: Mapping[str, Collection[str]], *, words: bool, exempt: Collection[str] = (), hint: str = ""
) -> None:
    """Raise an error for a class with several spellings, which differ only by case, white space or leading zeros.

    Args:
        by_language: {language: its labels}.
        words: Whether the labels are those of words. Within one language, such labels may differ only by case, because
            some tag sets use case to distinguish labels.
        exempt: Labels that are not compared, because the user named them.
        hint: The hint of the error, which says how to rename a class; empty for a general hint.

    Raises:
        CorpusError: A class has several spellings; the message names all of them.
    """
    spellings: dict[str, dict[str, list[str]]] = {}
    for language, labels in by_language.items():
        for label in sorted(set(labels) - set(exempt)):
            spellings.setdefault(_plain_spelling(label), {}).setdefault(label, []).append(language)
    several = [names for names in spellings.values() if len(names) > 1 and not (words and _in_one_language(names))]
    if several:
        found = "; ".join(
            " and ".join(f"'{label}' ({_shorten(languages)})" for label, languages in names.items())
            for names in several
        )
        raise CorpusError(f"one class has several spellings: {found}.", hint or "write each class in one way.")


def _plain_spelling(label: str) -> str:
    """Return the common form of labels that differ only by case, white space or leading zeros."""
    text = " ".join(label.split()).casefold()
    return str(int(text)) if text.isascii() and text.isdecimal() else text


def _in_one_language(names: Mapping[str, Sequence[str]]) -> bool:
    """Return whether one language uses several spellings; `names` is {spelling: languages that use it}."""
    languages = [language for each in names.values() for language in each]
    return len(set(languages)) < len(languages)


def _shorten(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")
