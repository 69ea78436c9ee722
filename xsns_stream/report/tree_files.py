"""Files of trees and distances for other programs: Newick trees, and distance matrices of PHYLIP."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import BinaryIO, Final

import numpy as np

from xsns_stream.errors import UsageError
from xsns_stream.io.tables import all_listed, listed
from xsns_stream.types import Reals, SimilarityMatrix
from xsns_stream.types.language_tree import distances

#: Number of characters of a name in strict PHYLIP files.
STRICT_LENGTH: Final = 10
#: Characters that PHYLIP forbids in names, because they have a meaning in Newick trees; and white space.
_FORBIDDEN: Final = re.compile(r"[\s()\[\]:;,'\x00-\x1f\x7f]")

Note = Callable[[str], object]


def write_newick(matrix: SimilarityMatrix, file: BinaryIO, note: Note) -> None:
    """Write the average-linkage tree of a matrix in the Newick format; see :meth:`LanguageTree.newick`.

    Args:
        matrix: The matrix; sources and targets are the same languages.
        file: The file.
        note: Called with a sentence on each change of the values.

    Raises:
        UsageError: Sources and targets are different languages, or there are fewer than two.
    """
    tree = matrix.tree()
    for sentence in distance_notes(matrix):
        note(sentence)
    file.write(f"{tree.newick()}\n".encode())


def distance_notes(matrix: SimilarityMatrix) -> list[str]:
    """Return sentences on the differences between the distances of a tree and 1 − the similarities of a matrix."""
    values = square_values(matrix)
    pairs = values[~np.eye(len(values), dtype=bool)]
    notes = []
    if undefined := undefined_languages(matrix):
        notes.append(
            f"the similarities of {listed(undefined)} to some languages are undefined; the largest distance is used "
            f"instead."
        )
    if not _is_symmetric(values):
        notes.append(f"{matrix.coefficient} is not symmetric; the distance is the mean of both directions.")
    if np.isfinite(pairs).any() and float(np.nanmax((values + values.T)[~np.eye(len(values), dtype=bool)])) > 2.0:
        notes.append(
            "some similarities are larger than 1; all distances are increased by the same number, and the smallest one "
            "is then 0."
        )
    return notes


def square_values(matrix: SimilarityMatrix) -> Reals:
    """Return float64 [L, L]: the values with the columns in the order of the rows.

    Raises:
        UsageError: Sources and targets are different languages.
    """
    if set(matrix.sources) != set(matrix.targets):
        raise UsageError(
            "distances need the same languages as sources and as targets.",
            "compare all languages with one another, without --sources and --targets.",
        )
    return matrix.values[:, [matrix.targets.index(code) for code in matrix.sources]]


def undefined_languages(matrix: SimilarityMatrix) -> list[str]:
    """Return a small set of languages such that every undefined pair contains one of them.

    Languages are chosen one after the other: each is the one with the most undefined pairs that are left.
    """
    values = square_values(matrix)
    undefined = ~np.isfinite(values) & ~np.eye(len(values), dtype=bool)
    undefined |= undefined.T
    found = []
    while undefined.any():
        worst = int(undefined.sum(axis=1).argmax())
        found.append(matrix.sources[worst])
        undefined[worst] = undefined[:, worst] = False
    return found


def _is_symmetric(values: Reals) -> bool:
    return np.allclose(values, values.T, rtol=1e-12, atol=0.0, equal_nan=True)


# ---------------------------------------------------------------------------------------------- PHYLIP


def write_phylip(matrix: SimilarityMatrix, file: BinaryIO, note: Note, *, strict: bool = False) -> None:
    """Write the distances 1 − similarity as a square matrix of PHYLIP, which programs for trees and networks read.

    The first line is the number of languages. The line of a language has its name, filled with blanks to ten
    characters, and its distances. Programs that read strict files take the first ten characters as the name; programs
    that read relaxed files take the text before the first blank. If all names have at most ten characters, both kinds
    of programs read the file.

    Args:
        matrix: The matrix; sources and targets are the same languages.
        file: The file.
        note: Called with a sentence on each change of values or names.
        strict: Whether longer names are shortened to ten characters.

    Raises:
        UsageError: Sources and targets are different languages, or a similarity is undefined: the format has no mark
            for it.
    """
    values = square_values(matrix)
    if undefined := undefined_languages(matrix):
        raise UsageError(
            f"the similarities of {listed(undefined)} to some languages are undefined, and a .phy file has no mark for "
            "unknown distances.",
            "leave these languages out: --lang names the languages to compare.",
        )
    for sentence in distance_notes(matrix):
        note(sentence)
    names = phylip_names(matrix.sources, strict=strict)
    if changed := [f"{code} → {name}" for code, name in zip(matrix.sources, names, strict=True) if code != name]:
        note(f"names that PHYLIP does not allow were changed: {all_listed(changed)}.")
    if long := [name for name in names if len(name) > STRICT_LENGTH]:
        note(
            f"programs that read strict PHYLIP files use only the first {STRICT_LENGTH} characters of a name; "
            f"these names are longer: {listed(long)}. --strict-names shortens them."
        )
    width = max(STRICT_LENGTH, *map(len, names))
    lines = [
        f"{name:<{width}}  {' '.join(f'{value:.8f}' for value in row)}"
        for name, row in zip(names, distances(values).tolist(), strict=True)
    ]
    file.write("\n".join((f"{len(names):>5}", *lines, "")).encode())


def phylip_names(codes: Sequence[str], *, strict: bool = False) -> list[str]:
    """Return distinct names for PHYLIP files.

    White space and ``( ) [ ] : ; , '`` become underscores. With `strict`, characters outside ASCII do too,
    and names have at most ten characters. Names that are no longer unique end in a number.

    >>> phylip_names(["sw", "my corpus (1)", "my corpus (2)"], strict=True)
    ['sw', 'my_corpus_', 'my_corpu_2']
    """
    names: list[str] = []
    taken: set[str] = set()
    # Names that need no change keep it, even if a changed name before them would be equal.
    kept = {code for code in codes if _phylip_name(code, strict) == code}
    for code in codes:
        name = base = _phylip_name(code, strict)
        number = 1
        while name in taken or (name in kept and name != code):
            number += 1
            ending = f"_{number}"
            name = f"{base[: STRICT_LENGTH - len(ending)] if strict else base}{ending}"
        taken.add(name)
        names.append(name)
    return names


def _phylip_name(code: str, strict: bool) -> str:
    name = _FORBIDDEN.sub("_", code) or "_"
    if not strict:
        return name
    return "".join(sign if sign.isascii() else "_" for sign in name)[:STRICT_LENGTH]
