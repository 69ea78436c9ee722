"""What files call languages → language codes, and which of them were asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from xsns_stream.errors import LanguageError
from xsns_stream.labelled import listed
from xsns_stream.languages import counterparts, normalise


@dataclass(frozen=True)
class Resolved:
    """The languages of a file.

    Attributes:
        codes: Normalised codes, each once, in the order of the file.
        places: Where each stands among the file's labels.
        notes: Sentences on labels that were left out; empty where none was.
    """

    codes: tuple[str, ...]
    places: tuple[int, ...]
    notes: tuple[str, ...] = ()


def resolve(labels: Sequence[str], what: str, names: Mapping[str, str] | None = None) -> Resolved:
    """Return the languages that labels stand for.

    A label is looked up among `names` first, then read as a code. Where several labels come to one code, as `ara` and
    `arb` do, the label of the code itself is taken: the macrolanguage before its largest member.

    Args:
        labels: As the file has them.
        what: Name of the file, for notes.
        names: {name: code}, as :func:`xsns_stream.baselines.tables.read_names` returns it.
    """
    found: dict[str, list[int]] = {}
    unread: dict[str, None] = {}
    for place, label in enumerate(labels):
        code = _code(label, names or {})
        if code is None:
            unread[label or "an empty label"] = None
        else:
            found.setdefault(code, []).append(place)
    best = {code: _best(code, [(place, labels[place]) for place in several]) for code, several in found.items()}
    doubtful = [code for code, places in best.items() if len(places) > 1]
    return Resolved(
        tuple(best), tuple(places[0] for places in best.values()), tuple(_notes(list(unread), doubtful, what))
    )


def sides(
    known: Sequence[str], sources: Sequence[str] | None, targets: Sequence[str] | None, what: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the sources and targets that were asked for and are known.

    Args:
        known: The codes of a table.
        sources: What is asked for; None asks for all.
        targets: Likewise.
        what: The table, for messages.

    Returns:
        For sources and for targets {code as it was asked for: code of the table}; the two differ where one names a
        script and the other does not (:func:`xsns_stream.languages.counterparts`).

    Raises:
        LanguageError: What was asked for is no language code, or none of it is known.
    """
    return side(known, sources, what), side(known, targets, what)


def side(known: Sequence[str], asked: Sequence[str] | None, what: str) -> dict[str, str]:
    """Return what :func:`sides` does, of one side."""
    if asked is None:
        return {code: code for code in known}
    codes = normalised(asked)
    there = counterparts(codes, known)
    if not there:
        raise LanguageError(
            f"{what} has none of the languages that were asked for: {listed(codes)}.", f"it has {listed(known)}."
        )
    return {code: there[code] for code in codes if code in there}


def normalised(codes: Sequence[str]) -> tuple[str, ...]:
    """Return codes as :func:`xsns_stream.languages.normalise` spells them, each once.

    Raises:
        LanguageError: One of them is not the code of a language.
    """
    return tuple(dict.fromkeys(normalise(code) for code in codes))


def spelt(name: str) -> str:
    """Return a name as names are compared: in small letters, with spaces."""
    return name.strip().replace("_", " ").casefold()


def _code(label: str, names: Mapping[str, str]) -> str | None:
    if (name := spelt(label)) in names:
        return names[name]
    try:
        return normalise(label)
    except LanguageError:
        return None


def _best(code: str, candidates: Sequence[tuple[int, str]]) -> list[int]:
    """Return the places of the label that is the code itself, in two letters or in three; else all."""
    if len(candidates) > 1:
        for spelling in (code, _three_letters(code)):
            if own := [place for place, label in candidates if label == spelling]:
                return own
    return [place for place, _ in candidates]


def _three_letters(code: str) -> str:
    import langcodes

    try:
        return str(langcodes.Language.get(code).to_alpha3())
    except LookupError:
        return code


def _notes(unread: Sequence[str], doubtful: Sequence[str], what: str) -> Iterator[str]:
    if unread:
        are = "label is no language code and was" if len(unread) == 1 else "labels are no language codes and were"
        yield f"{len(unread)} {are} left out of {what}: {listed(unread)}."
    if doubtful:
        yield f"{what} has several entries for {listed(doubtful)}; the first was taken."
