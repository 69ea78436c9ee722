"""Readers for CoNLL formats, which have one word on each line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from xsns_stream.corpora.decoding import file_text
from xsns_stream.corpora.examples import Malformed, Unit, encodable
from xsns_stream.corpora.labels import AUTO
from xsns_stream.corpora.running_text import as_written
from xsns_stream.errors import CorpusError
from xsns_stream.types import TextExample

#: Share of a file's sentences that may be malformed.
MALFORMED_SHARE: Final = 0.05
_UPOS: Final = "upos"
_CONLLU_HINT: Final = (
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
_COLUMNS_COMMENT: Final = re.compile(r"#\s*global\.columns\s*=\s*(.*)")
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
        unit, hidden = _conllu_sentence(block, fields, labelled=labels is not None)
        withheld += hidden
        usable += isinstance(unit, TextExample) and bool(unit.text)
        if isinstance(unit, Malformed):
            malformed += 1
            first = first or f"sentence {number} of {name} is not CoNLL-U ({unit.reason})"
        yield unit
    if malformed > MALFORMED_SHARE * number:
        many = f", and so are {malformed - 1} more of {number}" if malformed > 1 else ""
        raise CorpusError(f"{first}{many}.", _CONLLU_HINT)
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
        if match := _COLUMNS_COMMENT.match(line):
            named = match[1].lower().split()
            return tuple(name if name in _FIELDS else f"column {place}" for place, name in enumerate(named))
    return ()


def _conllu_sentence(block: bytes, fields: Sequence[str], *, labelled: bool) -> tuple[Unit, bool]:
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
_COMMENT: Final = "#"
_TEXT: Final = re.compile(r"#\s*text\s*=\s*(.*)")
_WORD_NUMBER: Final = re.compile(r"[0-9]{1,9}")
#: A range, which stands for words that follow, or an empty node.
_NO_WORD: Final = re.compile(r"[0-9]{1,9}[-.][0-9]{1,9}")
#: Share of lines that have the number that is their turn, from which a file is numbered.
_NUMBERED_SHARE: Final = 0.5
_COLUMNS: Final = 3


def is_numbered(lines: Sequence[str]) -> bool:
    """Say whether most lines of words begin with their number in the sentence, with word and tag after it."""
    turn = words = fits = 0
    for line in lines:
        fields = line.split("\t")
        if not line.strip():
            turn = 0
        elif not (line.startswith(_COMMENT) or _NO_WORD.fullmatch(fields[0])):
            turn += 1
            words += 1
            fits += len(fields) >= _COLUMNS and fields[0].strip() == str(turn)
    return fits > _NUMBERED_SHARE * words


def read_numbered(lines: Sequence[str], name: str) -> Iterator[Unit]:
    """Yield the sentences: words with their tags, and the running text where a comment has it.

    Args:
        lines: The lines of the file.
        name: Of the file, for messages.

    Raises:
        CorpusError: A line lacks a column, or its number is not the one after that of the line above.
    """
    words: list[str] = []
    tags: list[str] = []
    text: str | None = None
    turn = 0
    for number, line in enumerate((*lines, ""), 1):
        if not line.strip():
            if words:
                yield _numbered_sentence(words, tags, text)
            words, tags, text, turn = [], [], None, 0
        elif line.startswith(_COMMENT):
            match = _TEXT.match(line)
            text = match[1] if match else text
        else:
            fields = [field.strip() for field in line.split("\t")]
            if _NO_WORD.fullmatch(fields[0]):
                continue
            turn += 1
            _check_numbered(fields, turn, f"line {number} of {name}", line)
            if fields[1]:
                words.append(fields[1])
                tags.append("" if fields[2] == "_" else fields[2])


def _check_numbered(fields: Sequence[str], turn: int, where: str, line: str) -> None:
    if len(fields) < _COLUMNS or not _WORD_NUMBER.fullmatch(fields[0]) or int(fields[0]) != turn:
        raise CorpusError(
            f"{where} does not hold the word {turn} of its sentence with a tag: {line.strip()[:40]!r}.",
            "the other lines are number, word and tag with tabs between, and an empty line ends a sentence.",
        )


def _numbered_sentence(words: Sequence[str], tags: Sequence[str], text: str | None) -> Unit:
    running = None if text is None else as_written(text, ((word, None) for word in words))
    return encodable(TextExample(tuple(words), None, tuple(tags) if any(tags) else None, running))


def read_two_columns(path: Path) -> Iterator[Unit]:
    """Yield the sentences of a file with a word and its tag a line, and empty lines between sentences.

    The tag is the last field, the word the first, separated by a tab or by spaces; WikiANN's `de:` before words goes
    where all words of the file have it. Files whose words are numbered have the tag in the third column.
    """
    words: list[str] = []
    tags: list[str] = []
    width = 0
    lines = file_text(path).split("\n")
    if is_numbered(lines):
        yield from read_numbered(lines, path.name)
        return
    prefix = _language_prefix(lines, path)
    for number, line in enumerate(lines, 1):
        fields = _fields(line)
        if not fields or fields[0] == "-DOCSTART-":
            if words:
                yield _tagged_sentence(words, tags)
            words, tags = [], []
            continue
        # A word with a space in it would lose its end.
        if len(fields) < 2 or (width and len(fields) != width):
            raise _bad_line(line, fields, width, f"line {number} of {path.name}")
        width = len(fields)
        word = (fields[0].removeprefix(prefix) or fields[0]).strip()
        if word:
            words.append(word)
            tags.append("" if fields[-1] == "_" else fields[-1])
    if words:
        yield _tagged_sentence(words, tags)


def _fields(line: str) -> list[str]:
    """Return the fields of a line; none where it is empty."""
    if not line.strip():
        return []
    if "\t" in line:
        return [field.strip() for field in line.split("\t")]
    # No other white space separates: a no-break space stands in words.
    return [field for field in line.split(" ") if field]


def _tagged_sentence(words: list[str], tags: list[str]) -> Unit:
    return encodable(TextExample(tuple(words), None, tuple(tags) if any(tags) else None))


def _bad_line(line: str, fields: list[str], width: int, where: str) -> CorpusError:
    hint = "separate word and tag by a tab or a space, and sentences by an empty line."
    if len(fields) < 2:
        return CorpusError(f"{where} holds one field, not a word and its tag: {line.strip()[:40]!r}.", hint)
    held = f"{len(fields)} fields, where the lines above have {width}"
    return CorpusError(f"{where} holds {held}: {line.strip()[:40]!r}.", hint)


def _language_prefix(lines: Iterable[str], path: Path) -> str:
    """Return WikiANN's prefix, which is the name of the language's folder or file, where all words have it."""
    words = [fields[0] for line in lines if (fields := _fields(line)) and fields[0] != "-DOCSTART-"]
    before, colon, _ = (words[0] if words else "").partition(":")
    named = path.name.startswith(before) and path.name[len(before) : len(before) + 1] in ("", "-", "_", ".")
    if not before or not colon or not (named or before == path.parent.name):
        return ""
    return f"{before}:" if all(word.startswith(f"{before}:") for word in words) else ""
