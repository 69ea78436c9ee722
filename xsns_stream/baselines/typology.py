"""l2v: cosine of typological features, as lang2vec publishes URIEL."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.baselines.language_values import resolve, sides
from xsns_stream.errors import XsnsError
from xsns_stream.io.atomic import unreadable
from xsns_stream.types import Reals, SimilarityMatrix

#: Syntax, phonology, inventory; concatenated in this order.
GROUPS: Final = ("S_", "P_", "INV_")
_HINT: Final = "give lang2vec's feature_predictions.npz, in which all gaps are filled."


@dataclass(frozen=True)
class TypologicalFeatures:
    """Features of languages.

    Attributes:
        languages: L normalised codes.
        values: float64 [L, features], without gaps.
        notes: Sentences on labels that were left out.
    """

    languages: tuple[str, ...]
    values: Reals
    notes: tuple[str, ...] = ()


def read_features(path: str | Path) -> TypologicalFeatures:
    """Read the features of lang2vec's `feature_predictions.npz`.

    The file holds `langs` [L] (ISO 639-3), `feats` [F], `sources` [1] and `data` [L, F, 1]. The features whose names
    begin with `S_`, `P_` and `INV_` are kept: 103, 28 and 158 of URIEL's. Of a macrolanguage and its largest member
    the macrolanguage is taken (`ar` is `ara`, `zh` is `zho`, `sw` is `swa`).

    Raises:
        XsnsError: The file cannot be read, is of another layout, or has gaps.

    Source:
        Littell et al. (EACL 2017), URIEL and lang2vec; Yun et al. (2023), section 4.
    """
    file = Path(path)
    arrays = _arrays(file)
    labels, names, data = arrays["langs"], arrays["feats"], arrays["data"]
    if data.ndim != 3 or data.shape[:2] != (len(labels), len(names)):
        raise XsnsError(f"'{file}' is not laid out as language × feature × source.", _HINT)
    if data.shape[2] != 1:
        raise XsnsError(f"'{file}' holds {data.shape[2]} sources for each feature and leaves gaps.", _HINT)
    chosen = [place for group in GROUPS for place, name in enumerate(names) if str(name).startswith(group)]
    absent = [group for group in GROUPS if not any(str(name).startswith(group) for name in names)]
    if absent:
        raise XsnsError(f"'{file}' has no features called {', '.join(f'{group}…' for group in absent)}.", _HINT)
    if data.dtype.kind not in "fiu":
        raise XsnsError(f"'{file}' holds words where numbers should be.", _HINT)
    values = data[:, chosen, 0].astype(np.float64)
    if not np.isfinite(values).all() or (values < 0).any():
        raise XsnsError(f"'{file}' has gaps.", _HINT)
    found = resolve([str(label) for label in labels], file.name)
    return TypologicalFeatures(found.codes, values[list(found.places)], found.notes)


def l2v(
    features: TypologicalFeatures, sources: Sequence[str] | None = None, targets: Sequence[str] | None = None
) -> SimilarityMatrix:
    """Return the cosine of the languages' features.

        l2v(s, t) = ⟨f_s, f_t⟩ / (|f_s| |f_t|)

    Args:
        features: What :func:`read_features` returns.
        sources: Codes; all languages where left out. What the features lack is left out.
        targets: Likewise.

    Returns:
        Values between 0 and 1, because features are not negative; NaN where a language has none of the features.

    Raises:
        LanguageError: None of the languages is there.
    """
    rows, columns = sides(features.languages, sources, targets, "the table of features")
    place = {code: index for index, code in enumerate(features.languages)}
    down, across = (features.values[[place[code] for code in side.values()]] for side in (rows, columns))
    squares = np.outer((down**2).sum(axis=1), (across**2).sum(axis=1))
    # Features are 0 or 1: products are whole numbers, and equal cosines equal in the last bit, whoever else is there.
    values = np.divide(down @ across.T, np.sqrt(squares), out=np.full(squares.shape, np.nan), where=squares > 0)
    return SimilarityMatrix(tuple(rows), tuple(columns), values, "l2v")


def _arrays(file: Path) -> dict[str, NDArray[Any]]:
    try:
        with file.open("rb") as stream, zipfile.ZipFile(stream):
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as archive:
                found = {name: archive[name] for name in ("langs", "feats", "data")}
    except OSError as error:
        raise unreadable(file, error) from error
    # What is no archive, is damaged, encrypted, enormous, or holds pickles.
    except (LookupError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise XsnsError(f"'{file}' is no archive of features that can be read without running code.", _HINT) from error
    if not all(isinstance(array, np.ndarray) and array.ndim for array in found.values()):
        raise XsnsError(f"'{file}' is not laid out as language × feature × source.", _HINT)
    return found
