"""Reading CoNLL-U: sentences as their words and as they are written; with labels, the UPOS of each word.

A sentence that is not CoNLL-U is skipped and counted; a file in which more than one in twenty is not is refused.
A sentence of nothing but `_`, with which treebanks stand in for text that they may not publish, is empty.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from xsns_stream.corpora.examples import Malformed, Unit, encodable
from xsns_stream.corpora.labels import AUTO
from xsns_stream.corpora.running_text import as_written
from xsns_stream.errors import CorpusError
from xsns_stream.types import TextExample

#: Share of a file's sentences that may be malformed.
MALFORMED_SHARE: Final = 0.05
_UPOS: Final = "upos"
_HINT: Final = (
    "each word needs an ID and a FORM, with a tab between; IDs rise by one, and an empty line ends a sentence. "
    "There are 10 columns, or those that `# global.columns` names."
)
#: The columns; those without a use here are named so that the library leaves them as text.
_FIELDS: Final = ("id", "form", "lemma", _UPOS, "5", "6", "7", "8", "9", "misc")
#: What stands for a word or a tag that is not given.
_BLANK: Final = "_"
# Of up to nine digits: no sentence has more words.
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_RANGE: Final = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")
_COLUMNS: Final = re.compile(r"#\s*global\.columns\s*=\s*(.*)")
_EMPTY_NODE: Final = re.compile(r"[0-9]+\.[0-9]+")
#: Escapes of `SpacesAfter`, as UDPipe writes them.
_ESCAPES: Final = {"s": " ", "t": "\t", "r": "\r", "n": "\n", "p": "|", "\\": "\\"}


class _Word(NamedTuple):
    """A word as it is written: its form, its tag ("" for none), what follows it (None where nothing is said)."""

    form: str
    tag: str
    after: str | None


def read_conllu(lines: Iterable[bytes], name: str, labels: str | None) -> Iterator[Unit]:
    """Yield the sentences of a CoNLL-U file.

    Args:
        lines: The lines of the file.
        name: The file's name, for messages.
        labels: None reads no labels; `auto` and `upos` read the UPOS of each word.

    Raises:
        CorpusError: Other labels were asked for; more than one sentence in twenty is malformed; or the words of all
            sentences are withheld. The last two are known at the end of the file.
    """
    if labels not in (None, AUTO, _UPOS):
        raise CorpusError(f"{name} has no labels '{labels}'.", f"those of CoNLL-U are its column {_UPOS}.")
    number = malformed = withheld = usable = 0
    first = ""
    fields: tuple[str, ...] = _FIELDS
    for number, block in enumerate(_blocks(lines), 1):
        fields = _named_columns(block) or fields
        unit, hidden = _sentence(block, fields, labelled=labels is not None)
        withheld += hidden
        usable += isinstance(unit, TextExample) and bool(unit.text)
        if isinstance(unit, Malformed):
            malformed += 1
            first = first or f"sentence {number} of {name} is not CoNLL-U ({unit.reason})"
        yield unit
    if malformed > MALFORMED_SHARE * number:
        many = f", and so are {malformed - 1} more of {number}" if malformed > 1 else ""
        raise CorpusError(f"{first}{many}.", _HINT)
    if withheld and not usable:
        raise CorpusError(
            f"the text of {name} is withheld: all words of its {withheld} sentences are '{_BLANK}'.",
            "the treebank's own page says how to merge the words in from the original corpus.",
        )


def _named_columns(block: bytes) -> tuple[str, ...]:
    """Return the columns that CoNLL-U Plus names before the first sentence, for all sentences; none where it does not.

    `FORM` becomes `form`; those of no use here are numbered, so that the library leaves them as text.
    """
    for line in block.decode("utf-8", "replace").splitlines():
        if match := _COLUMNS.match(line):
            named = match[1].lower().split()
            return tuple(name if name in _FIELDS else f"column {place}" for place, name in enumerate(named))
    return ()


def _sentence(block: bytes, fields: Sequence[str], *, labelled: bool) -> tuple[Unit, bool]:
    """Return the unit that a sentence is, and whether its words are withheld."""
    try:
        text, words = _parse(block.decode("utf-8"), fields)
    except UnicodeDecodeError:
        return None, False
    except _NotConlluError as error:
        return Malformed(str(error)), False
    if words and all(word.form == _BLANK for word in words):
        return TextExample(()), True
    if not words:
        return TextExample(()), False
    tags = tuple(word.tag for word in words)
    running = as_written(text, ((word.form, word.after) for word in words))
    forms = tuple(word.form for word in words)
    return encodable(TextExample(forms, None, tags if labelled and any(tags) else None, running)), False


def _blocks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the sentences: runs of lines between blank lines."""
    block: list[bytes] = []
    for line in lines:
        if line.strip():
            block.append(line)
        elif block:
            yield b"".join(block)
            block = []
    if block:
        yield b"".join(block)


class _NotConlluError(Exception):
    """Why a sentence is not CoNLL-U."""


def _parse(sentence: str, fields: Sequence[str]) -> tuple[str | None, list[_Word]]:
    """Return what the comment `# text` says, and the words as they are written.

    A range stands for its parts, an empty node for nothing. A range has no tag of its own unless the file gives it
    one: its parts may differ ("im" is ADP and DET). Words may be numbered from 0.

    Raises:
        _NotConlluError: A line has no ID and FORM, or too many columns, or a comment follows it.
    """
    _check_lines(sentence, len(fields))
    import conllu
    from conllu.exceptions import ParseException

    try:
        parsed = conllu.parse(_one_space(sentence), fields=fields, field_parsers=_PARSERS)
        tokens = [(token["id"], token["form"], token) for token in (parsed[0] if parsed else ())]
    except ParseException as error:
        raise _NotConlluError(str(error).rstrip(".")) from error
    except KeyError as error:
        raise _NotConlluError(f"a line has no {str(error.args[0]).upper()}") from error
    text = parsed[0].metadata.get("text") if parsed else None
    return text, list(_written(tokens))


def _check_lines(sentence: str, width: int) -> None:
    """Refuse a comment between words, which begins another sentence, and lines of more columns than there should be.

    CoNLL-2009, with 14 columns, has the lemma where CoNLL-U has UPOS. Columns that are left out at the end shift none.
    """
    words = 0
    for line in sentence.rstrip("\n").split("\n"):
        if line.startswith("#") and "\t" not in line:
            if words:
                raise _NotConlluError("a comment stands between its words")
            continue
        words += 1
        columns = line.split("\t") if "\t" in line else re.split(" {2,}", line.strip())
        while len(columns) > width and not columns[-1].strip():
            columns.pop()
        if len(columns) > width:
            raise _NotConlluError(f"a line has {len(columns)} columns, more than {width}")


def _one_space(sentence: str) -> str:
    """Return a sentence without two spaces in a row within its columns: the library would take them for a tab."""
    if "  " not in sentence:
        return sentence
    lines = sentence.split("\n")
    return "\n".join(re.sub(" {2,}", " ", x) if "\t" in x and not x.startswith("#") else x for x in lines)


def _written(tokens: Iterable[tuple[tuple[int, int] | None, str, Mapping[str, Any]]]) -> Iterator[_Word]:
    """Yield the words as they are written, of tokens with the first and the last number that each stands for.

    A range is followed by all of its parts, or by none.

    Raises:
        _NotConlluError: The numbers do not rise by one: two sentences without a blank line between, lines that are
            out of order or missing, or ranges that overlap or reach past the sentence.
    """
    before: int | None = None
    begun = covered = -1
    for numbers, form, token in tokens:
        if numbers is None:
            continue
        first, last = numbers
        if before is None:
            before = covered = first - 1
            if first > 1:
                raise _NotConlluError(f"its first ID is {first}")
        is_part = first == last and first == before + 1 and first <= covered
        if not is_part:
            # A range without any of its parts stands for all of them.
            before = covered if before == begun - 1 and begun <= covered else before
            _check_follows(first, before, covered)
            begun, covered = first, last
        before = first if first == last else first - 1
        if not is_part and form.strip():
            tag = str(token.get(_UPOS) or "").strip()
            yield _Word(form.strip(), "" if tag == _BLANK else tag, token.get("misc"))
    if before is not None and begun <= before < covered:
        raise _NotConlluError(f"a range reaches to {covered}, and the last ID is {before}")


def _check_follows(first: int, before: int, covered: int) -> None:
    if before < covered and first > before + 1:
        raise _NotConlluError(f"the ID {first} stands after {before}, within a range to {covered}")
    if first <= covered or first != before + 1:
        raise _NotConlluError(f"the ID {first} stands after {max(before, covered)}")


def _numbers(line: Sequence[str], column: int) -> tuple[int, int] | None:
    """Return the first and the last number that an ID stands for; None for an empty node.

    Raises:
        ParseException: It is no ID.
    """
    from conllu.exceptions import ParseException

    identifier = line[column]
    if _NUMBER.fullmatch(identifier):
        return int(identifier), int(identifier)
    if match := _RANGE.fullmatch(identifier):
        first, last = int(match[1]), int(match[2])
        if first < last:
            return first, last
    elif _EMPTY_NODE.fullmatch(identifier):
        return None
    raise ParseException(f"'{identifier}' is not a valid ID")


def _after(line: Sequence[str], column: int) -> str | None:
    """Return what follows a word, as MISC says; None where it says nothing. Line ends count as spaces."""
    said = dict(part.strip().partition("=")[::2] for part in line[column].split("|"))
    if said.get("SpaceAfter") == "No":
        return ""
    if "SpacesAfter" not in said:
        return None
    spaces = re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), said["SpacesAfter"])
    return re.sub(r"[ \t\r\n]+", " ", spaces)


_PARSERS: Final[dict[str, Callable[[list[str], int], Any]]] = {"id": _numbers, "misc": _after}
