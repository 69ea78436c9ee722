"""Reading CoNLL-U: sentences as their words, with the UPOS of each where labels are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from xsns_stream.corpora.labels import AUTO
from xsns_stream.corpora.units import Unit, encodable
from xsns_stream.errors import CorpusError
from xsns_stream.types import TextExample

_UPOS: Final = "upos"


def read_conllu(lines: Iterable[bytes], name: str, labels: str | None) -> Iterator[Unit]:
    """Yield the sentences of a CoNLL-U file.

    Args:
        lines: The lines of the file.
        name: The file's name, for messages.
        labels: None reads no labels; `auto` and `upos` read the UPOS of each word.

    Raises:
        CorpusError: The file is malformed, or other labels were asked for.
    """
    if labels not in (None, AUTO, _UPOS):
        raise CorpusError(f"{name} has no labels '{labels}'.", f"those of CoNLL-U are its column {_UPOS}.")
    for number, block in enumerate(_blocks(lines), 1):
        try:
            text = block.decode("utf-8")
        except UnicodeDecodeError:
            yield None
            continue
        words = _words(text, f"sentence {number} of {name}")
        tags = tuple(tag for _, tag in words)
        yield encodable(TextExample(tuple(form for form, _ in words), None, tags if labels and any(tags) else None))


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


def _words(sentence: str, where: str) -> list[tuple[str, str]]:
    """Return (form, UPOS) of the words as they are written, "" where there is no tag.

    A range stands for its parts, an empty node for nothing. A range has no tag of its own unless the file gives it
    one: its parts may differ ("im" is ADP and DET).
    """
    import conllu
    from conllu.exceptions import ParseException

    try:
        parsed = conllu.parse(sentence, fields=("id", "form", "lemma", _UPOS))
        tokens = [(token["id"], token["form"], token.get(_UPOS)) for token in (parsed[0] if parsed else ())]
    except (ParseException, KeyError) as error:
        raise CorpusError(
            f"{where} is not CoNLL-U ({error}).", "each word needs an ID and a FORM, with a tab between."
        ) from error
    words: list[tuple[str, str]] = []
    covered = 0
    for identifier, form, tag in tokens:
        named = tag if tag and tag != "_" else ""
        if isinstance(identifier, tuple):
            if identifier[1] == "-":
                covered = identifier[2]
                words.append((form, named))
        elif identifier is not None and identifier > covered:
            words.append((form, named))
    return [(form.strip(), tag.strip()) for form, tag in words if form.strip()]
