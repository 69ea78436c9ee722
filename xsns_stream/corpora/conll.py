"""Readers for CoNLL formats, which have one word on each line: CoNLL-U, two columns, and numbered words.

A file of CoNLL-U (Universal Dependencies) is read as sentences, with words and running text, and with the UPOS of each
word as label. A sentence that is not valid is skipped and counted; a file with more than one invalid sentence in twenty
is an error. A sentence that contains only `_` is empty, because treebanks write `_` for words that they may not
publish.

Labelled data of a task may also have two columns, a word and its tag, or the columns of Universal NER: the position of
the word, the word, its tag, and two more. In Universal NER, comments (`# text = …`) are before the sentences, as in
CoNLL-U.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from xsns_stream.corpora.decoding import file_text
from xsns_stream.corpora.examples import AddNote, Malformed, Unit, discard_note, encodable
from xsns_stream.corpora.labels import AUTO
from xsns_stream.corpora.running_text import sentence_as_written
from xsns_stream.errors import CorpusError
from xsns_stream.types import TextExample

#: The first field of a line that begins a document, as in CoNLL-2003.
_DOCUMENT: Final = "-DOCSTART-"
#: Placeholder for a word or a tag that is missing.
_BLANK: Final = "_"

# ---------------------------------------------------------------------------------------- CoNLL-U

#: Share of the sentences of a file that may be malformed.
MALFORMED_SHARE: Final = 0.05
_UPOS: Final = "upos"
_CONLLU_HINT: Final = (
    "each word needs an ID and a FORM, separated by a tab; IDs increase by one, and an empty line ends a sentence. "
    "There are 10 columns, or those that `# global.columns` names."
)
#: Names of the columns. Unused columns have numbers as names, because the package conllu parses columns that have the
#: usual names.
_FIELDS: Final = ("id", "form", "lemma", _UPOS, "5", "6", "7", "8", "9", "misc")
# A number has up to nine digits, because no sentence has more words.
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_RANGE: Final = re.compile(r"([0-9]{1,9})-([0-9]{1,9})")
_COLUMNS_COMMENT: Final = re.compile(r"#\s*global\.columns\s*=\s*(.*)")
_EMPTY_NODE: Final = re.compile(r"[0-9]+\.[0-9]+")
#: Escapes of UDPipe in `SpacesAfter`.
_ESCAPES: Final = {"s": " ", "t": "\t", "r": "\r", "n": "\n", "p": "|", "\\": "\\"}


class _Word(NamedTuple):
    """A written word: its form, its tag ("" for none), and the space after it (None if the file does not record it)."""

    form: str
    tag: str
    space_after: str | None


class _NotConlluError(Exception):
    """Raised for a sentence that is not valid CoNLL-U, with the reason."""


def read_conllu(lines: Iterable[bytes], name: str, labels: str | None) -> Iterator[Unit]:
    """Yield the sentences of a CoNLL-U file.

    Args:
        lines: The lines of the file.
        name: Name of the file, for messages.
        labels: None for no labels; `auto` or `upos` for the UPOS of each word.

    Raises:
        CorpusError: Other labels are requested; more than one sentence in twenty is malformed; or the words of all
            sentences are withheld. The last two errors are raised at the end of the file.
    """
    if labels not in (None, AUTO, _UPOS):
        raise CorpusError(f"{name} has no labels '{labels}'.", f"the labels of CoNLL-U are its column {_UPOS}.")
    number = malformed = withheld = usable = 0
    first = ""
    fields: tuple[str, ...] = _FIELDS
    for number, block in enumerate(_blocks(lines), 1):
        fields = _named_columns(block) or fields
        unit, is_withheld = _conllu_sentence(block, fields, labelled=labels is not None)
        withheld += is_withheld
        usable += isinstance(unit, TextExample) and bool(unit.text)
        if isinstance(unit, Malformed):
            malformed += 1
            first = first or f"sentence {number} of {name} is not CoNLL-U ({unit.reason})"
        yield unit
    if malformed > MALFORMED_SHARE * number:
        more = f", and {malformed - 1} more of {number} sentences are malformed" if malformed > 1 else ""
        raise CorpusError(f"{first}{more}.", _CONLLU_HINT)
    if withheld and not usable:
        raise CorpusError(
            f"the text of {name} is withheld: all words of its {withheld} sentences are '{_BLANK}'.",
            "the page of the treebank describes how to add the words from the original corpus.",
        )


def _named_columns(block: bytes) -> tuple[str, ...]:
    """Return the names of the columns that a comment of CoNLL-U Plus lists; empty if `block` has no such comment.

    Names are in lower case. The name of an unused column is replaced by its number, because the package conllu parses
    the values of columns that have the usual names.
    """
    for line in block.decode("utf-8", "replace").splitlines():
        if match := _COLUMNS_COMMENT.match(line):
            names = match[1].lower().split()
            return tuple(name if name in _FIELDS else f"column {index}" for index, name in enumerate(names))
    return ()


def _conllu_sentence(block: bytes, fields: Sequence[str], *, labelled: bool) -> tuple[Unit, bool]:
    """Return the unit of the sentence in `block`, and whether all of its words are withheld (`_`).

    `fields` are the names of the columns. If `labelled` is True, the UPOS of each word is its label.
    """
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
    running = sentence_as_written(text, ((word.form, word.space_after) for word in words))
    forms = tuple(word.form for word in words)
    return encodable(TextExample(forms, None, tags if labelled and any(tags) else None, running)), False


def _blocks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield the bytes of each sentence: the lines between two blank lines."""
    block: list[bytes] = []
    for line in lines:
        if line.strip():
            block.append(line)
        elif block:
            yield b"".join(block)
            block = []
    if block:
        yield b"".join(block)


def _parse(sentence: str, fields: Sequence[str]) -> tuple[str | None, list[_Word]]:
    """Return the text of the comment `# text` (None if there is none), and the words of a sentence as they are written.

    A range replaces its parts, and empty nodes are ignored. A range has no tag unless the file contains one, because
    its parts may have different tags ("im" is ADP and DET). Words may be numbered from 0.

    Raises:
        _NotConlluError: A line has no ID or FORM, or too many columns, or a comment is between words.
    """
    _check_lines(sentence, len(fields))
    import conllu
    from conllu.exceptions import ParseException

    try:
        parsed = conllu.parse(_single_spaces(sentence), fields=fields, field_parsers=_PARSERS)
        tokens = [(token["id"], token["form"], token) for token in (parsed[0] if parsed else ())]
    except ParseException as error:
        raise _NotConlluError(str(error).rstrip(".")) from error
    except KeyError as error:
        raise _NotConlluError(f"a line has no {str(error.args[0]).upper()}") from error
    text = parsed[0].metadata.get("text") if parsed else None
    return text, list(_written_words(tokens))


def _check_lines(sentence: str, width: int) -> None:
    """Raise an error if a line has more than `width` columns, or if a comment is between two words.

    A comment between words shows that the empty line between two sentences is missing. CoNLL-2009 has 14 columns, and
    its fourth column is the lemma instead of UPOS. Columns may be missing at the end.
    """
    words = 0
    for line in sentence.rstrip("\n").split("\n"):
        if line.startswith("#") and "\t" not in line:
            if words:
                raise _NotConlluError("a comment is between its words")
            continue
        words += 1
        columns = line.split("\t") if "\t" in line else re.split(" {2,}", line.strip())
        while len(columns) > width and not columns[-1].strip():
            columns.pop()
        if len(columns) > width:
            raise _NotConlluError(f"a line has {len(columns)} columns, more than {width}")


def _single_spaces(sentence: str) -> str:
    """Replace successive spaces within columns by one space; the package conllu would read them as a tab."""
    if "  " not in sentence:
        return sentence
    lines = sentence.split("\n")
    return "\n".join(re.sub(" {2,}", " ", x) if "\t" in x and not x.startswith("#") else x for x in lines)


def _written_words(tokens: Iterable[tuple[tuple[int, int] | None, str, Mapping[str, Any]]]) -> Iterator[_Word]:
    """Yield the words as they are written.

    Each token is a tuple of its first and last ID (None for an empty node), its form, and its fields. A range is
    followed by all of its parts, or by none of them.

    Raises:
        _NotConlluError: The IDs do not increase by one: two sentences have no blank line between them; lines are
            missing or out of order; or ranges overlap or end after the last word.
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
            # If the parts of a range are missing, the range stands for all of them.
            before = covered if before == begun - 1 and begun <= covered else before
            _check_follows(first, before, covered)
            begun, covered = first, last
        before = first if first == last else first - 1
        if not is_part and form.strip():
            tag = str(token.get(_UPOS) or "").strip()
            yield _Word(form.strip(), "" if tag == _BLANK else tag, token.get("misc"))
    if before is not None and begun <= before < covered:
        raise _NotConlluError(f"a range of IDs ends at {covered}, but the last ID of the sentence is {before}")


def _check_follows(first: int, before: int, covered: int) -> None:
    if before < covered and first > before + 1:
        raise _NotConlluError(f"the ID {first} follows the ID {before} within a range that ends at {covered}")
    if first <= covered or first != before + 1:
        raise _NotConlluError(f"the ID {first} follows the ID {max(before, covered)}")


def _parse_id(line: Sequence[str], column: int) -> tuple[int, int] | None:
    """Return the first and the last number of the ID in a column; None for an empty node.

    Raises:
        ParseException: The ID is invalid.
    """
    from conllu.exceptions import ParseException

    identifier = line[column]
    if _NUMBER.fullmatch(identifier):
        return int(identifier), int(identifier)
    if match := _RANGE.fullmatch(identifier):
        first, last = int(match[1]), int(match[2])
        if first < last:
            return first, last
        if first == last:
            # Stanza writes a line 2-2 above the word 2, with the same form; this line is ignored.
            return None
    elif _EMPTY_NODE.fullmatch(identifier):
        return None
    raise ParseException(f"'{identifier}' is not a valid ID")


def _parse_space_after(line: Sequence[str], column: int) -> str | None:
    """Return the space after a word from the column MISC; None if it is not recorded there. Line ends become spaces."""
    values = dict(part.strip().partition("=")[::2] for part in line[column].split("|"))
    if values.get("SpaceAfter") == "No":
        return ""
    if "SpacesAfter" not in values:
        return None
    spaces = re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[0]), values["SpacesAfter"])
    return re.sub(r"[ \t\r\n]+", " ", spaces)


_PARSERS: Final[dict[str, Callable[[list[str], int], Any]]] = {"id": _parse_id, "misc": _parse_space_after}


# ------------------------------------------------------------------------------------ two columns


def read_two_columns(path: Path, add_note: AddNote = discard_note) -> Iterator[Unit]:
    """Yield the sentences of a file with a word and its tag on each line, and empty lines between sentences.

    The first field is the word and the last one is the tag; a tab or spaces separate fields. If the last field of
    every line is `+` or `-`, it states whether a space follows the word, as in data of flair, and the field before it
    is the tag. The prefix `de:` of WikiANN is removed if all words of the file have it. A file with numbered words is
    read by :func:`read_numbered`.

    Args:
        path: The file.
        add_note: Called with a sentence about the column of the tags, if it is unusual.

    Raises:
        CorpusError: More than one sentence in twenty is malformed: a line has one field, or another number of fields
            than the lines before it. The error names the first such line, and is raised at the end of the file.
    """
    lines = file_text(path).split("\n")
    if is_numbered(lines):
        yield from read_numbered(lines, path.name, add_note)
        return
    prefix = _language_prefix(lines, path)
    filled = [fields for line in lines if (fields := _split_fields(line)) and fields[0] != _DOCUMENT]
    with_spaces = bool(filled) and all(len(fields) > 2 and fields[-1] in ("+", "-") for fields in filled)
    if with_spaces:
        add_note(
            f"the last column of {path.name} contains the space after each word; the tags are in the column before it."
        )
    tag_at = -2 if with_spaces else -1
    checked = _CheckedSentences()
    width = 0
    for sentence in _numbered_sentences(lines):
        words: list[str] = []
        tags: list[str] = []
        error: CorpusError | None = None
        for number, line in sentence:
            fields = _split_fields(line)
            # A word that contains a space would be cut at the space.
            if len(fields) < 2 or (width and len(fields) != width):
                error = error or _bad_line(line, fields, width, f"line {number} of {path.name}")
                continue
            width = len(fields)
            word = (fields[0].removeprefix(prefix) or fields[0]).strip()
            if word:
                words.append(word)
                tags.append("" if fields[tag_at] == _BLANK else fields[tag_at])
        if error is not None or words:
            yield checked.unit(error, words, tags)
    checked.finish()


def _numbered_sentences(lines: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """Yield each sentence as a list of (line number, line); empty lines and starts of documents end a sentence."""
    sentence: list[tuple[int, str]] = []
    for number, line in enumerate((*lines, ""), 1):
        fields = _split_fields(line)
        if fields and fields[0] != _DOCUMENT:
            sentence.append((number, line))
        elif sentence:
            yield sentence
            sentence = []


class _CheckedSentences:
    """Counts the malformed sentences of a file."""

    def __init__(self) -> None:
        self._read = self._malformed = 0
        self._first: CorpusError | None = None

    def unit(
        self, error: CorpusError | None, words: Sequence[str], tags: Sequence[str], running: str | None = None
    ) -> Unit:
        """Return the unit of the next sentence: its words with their tags, or a malformed unit if it has an error.

        `error` is the first error in the lines of the sentence (None if they are valid), `tags` has one tag for each
        word (empty for a word without a tag), and `running` is the running text (None if the file does not contain it).
        """
        self._read += 1
        if error is None:
            return _tagged_words(words, tags, running)
        self._malformed += 1
        self._first = self._first or error
        return Malformed(error.message.rstrip("."))

    def finish(self) -> None:
        """Raise the error of the first malformed sentence if more than one sentence in twenty is malformed."""
        if self._first is not None and self._malformed > MALFORMED_SHARE * self._read:
            raise self._first


def _split_fields(line: str) -> list[str]:
    """Return the fields of a line, which tabs or spaces separate; an empty list for an empty line."""
    if not line.strip():
        return []
    if "\t" in line:
        return [field.strip() for field in line.split("\t")]
    # No other white space separates fields: words may contain no-break spaces.
    return [field for field in line.split(" ") if field]


def _tagged_words(words: Sequence[str], tags: Sequence[str], running: str | None = None) -> Unit:
    return encodable(TextExample(tuple(words), None, tuple(tags) if any(tags) else None, running))


def _bad_line(line: str, fields: list[str], width: int, where: str) -> CorpusError:
    hint = "separate word and tag by a tab or a space, and sentences by an empty line."
    if len(fields) < 2:
        return CorpusError(f"{where} contains one field, not a word and its tag: {line.strip()[:40]!r}.", hint)
    return CorpusError(
        f"{where} contains {len(fields)} fields, and the lines above have {width}: {line.strip()[:40]!r}.", hint
    )


def _language_prefix(lines: Iterable[str], path: Path) -> str:
    """Return the prefix that all words of a file of WikiANN have, such as `de:`; empty if there is none.

    The prefix must also be the beginning of the file name, or the name of its folder.
    """
    words = [fields[0] for line in lines if (fields := _split_fields(line)) and fields[0] != _DOCUMENT]
    before, colon, _ = (words[0] if words else "").partition(":")
    names_file = path.name.startswith(before) and path.name[len(before) : len(before) + 1] in ("", "-", "_", ".")
    if not before or not colon or not (names_file or before == path.parent.name):
        return ""
    return f"{before}:" if all(word.startswith(f"{before}:") for word in words) else ""


# --------------------------------------------------------------------------------- numbered words

_COMMENT: Final = "#"
_TEXT: Final = re.compile(r"#\s*text\s*=\s*(.*)")
#: Pattern of an ID that is not the ID of a word: a range of the words that follow, or an empty node.
_NO_WORD: Final = re.compile(r"[0-9]{1,9}[-.][0-9]{1,9}")
#: If more than this share of the lines begins with the expected number, the words of the file are numbered.
_NUMBERED_SHARE: Final = 0.5
_COLUMNS: Final = 3
#: Index of the column of tags, as in Universal NER.
_USUAL_TAG: Final = 2
_CONLLX_COLUMNS: Final = 10
_ENTITY: Final = re.compile(r"[Oo_]|[BIESLU]-\S+")


def is_numbered(lines: Sequence[str]) -> bool:
    """Return whether most lines with a word have columns for its position in the sentence, the word and its tag."""
    expected = words = numbered = 0
    for line in lines:
        fields = line.split("\t")
        if not line.strip():
            expected = 0
        elif not (line.startswith(_COMMENT) or _NO_WORD.fullmatch(fields[0])):
            expected += 1
            words += 1
            numbered += len(fields) >= _COLUMNS and fields[0].strip() == str(expected)
    return numbered > _NUMBERED_SHARE * words


def read_numbered(lines: Sequence[str], name: str, add_note: AddNote = discard_note) -> Iterator[Unit]:
    """Yield the sentences of a file with numbered words: the words with their tags, and the text from the comment.

    Args:
        lines: The lines of the file.
        name: Name of the file, for messages.
        add_note: Called with a sentence about the column of the tags, if it is unusual.

    Raises:
        CorpusError: It is unclear which column contains the tags. Or more than one sentence in twenty is malformed: a
            line lacks a column, or its number does not follow the number of the line above. This error names the first
            such line, and is raised at the end of the file.
    """
    tag_at = _tag_column(lines, name)
    if tag_at != _USUAL_TAG:
        add_note(f"the tags of {name} are read from column {tag_at + 1}.")
    checked = _CheckedSentences()
    words: list[str] = []
    tags: list[str] = []
    text: str | None = None
    error: CorpusError | None = None
    expected = 0
    for number, line in enumerate((*lines, ""), 1):
        if not line.strip():
            if words or error is not None:
                running = None if text is None else sentence_as_written(text, ((word, None) for word in words))
                yield checked.unit(error, words, tags, running)
            words, tags, text, error, expected = [], [], None, None, 0
        elif line.startswith(_COMMENT):
            match = _TEXT.match(line)
            text = match[1] if match else text
        elif error is None:
            fields = [field.strip() for field in line.split("\t")]
            if _NO_WORD.fullmatch(fields[0]):
                continue
            expected += 1
            error = _numbering_error(fields, expected, tag_at, f"line {number} of {name}", line)
            if error is None and fields[1]:
                words.append(fields[1])
                tags.append("" if fields[tag_at] == _BLANK else fields[tag_at])
    checked.finish()


def _tag_column(lines: Sequence[str], name: str) -> int:
    """Return the index of the column of tags: the third, as in Universal NER, unless the file has other columns.

    `lines` are the lines of a file with numbered words, and `name` is its name, for messages.

    CoNLL-X and CoNLL-U have the part of speech in the fourth of ten columns, after the lemma. A file of four columns
    has number, word, lemma and tag.

    Raises:
        CorpusError: The third column does not contain tags of entities, and there are more than four columns.
    """
    rows = [fields for line in lines if not line.startswith(_COMMENT) and len(fields := line.split("\t")) >= _COLUMNS]
    width = max(Counter(map(len, rows)).items(), key=lambda each: each[1])[0] if rows else _COLUMNS
    if width == _COLUMNS or all(_ENTITY.fullmatch(fields[_USUAL_TAG].strip()) for fields in rows):
        return _USUAL_TAG
    if width in (_COLUMNS + 1, _CONLLX_COLUMNS):
        return _USUAL_TAG + 1
    raise CorpusError(
        f"{name} has {width} columns, and it is unclear which one contains the tags.",
        "write number, word and tag, separated by tabs; give a file of CoNLL-U with ten columns the suffix .conllu.",
    )


def _numbering_error(fields: Sequence[str], expected: int, tag_at: int, where: str, line: str) -> CorpusError | None:
    if len(fields) > tag_at and _NUMBER.fullmatch(fields[0]) and int(fields[0]) == expected:
        return None
    return CorpusError(
        f"{where} should contain word {expected} of its sentence and a tag, but is {line.strip()[:40]!r}.",
        "each line contains a number, a word and a tag, separated by tabs; an empty line ends a sentence.",
    )
