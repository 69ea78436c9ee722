"""Baseline `l2v`: cosine similarity of the typological features of URIEL, which are published as lang2vec."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.baselines.language_values import match_labels, restrict_both
from xsns_stream.errors import XsnsError
from xsns_stream.io.atomic import unreadable
from xsns_stream.types import Reals, SimilarityMatrix

#: Prefixes of the names of features (syntax, phonology, inventory). The groups are concatenated in this order.
GROUPS: Final = ("S_", "P_", "INV_")
_HINT: Final = "give the file feature_predictions.npz of lang2vec, which has no missing values."


@dataclass(frozen=True)
class TypologicalFeatures:
    """Typological features of languages.

    Attributes:
        languages: L normalised codes.
        values: float64 [L, F], F features of each language, without missing values.
        notes: Sentences about labels that were left out.
    """

    languages: tuple[str, ...]
    values: Reals
    notes: tuple[str, ...] = ()


def read_features(path: str | Path) -> TypologicalFeatures:
    """Read the features of lang2vec's `feature_predictions.npz`.

    The file contains `langs` [L] (ISO 639-3), `feats` [F], `sources` [1] and `data` [L, F, 1]. The features whose names
    begin with `S_`, `P_` and `INV_` are used: 103, 28 and 158 features of URIEL. If the file has both a macrolanguage
    and its largest member, the macrolanguage is used: `ara` for `ar`, `zho` for `zh`, `swa` for `sw`.

    Raises:
        XsnsError: The file cannot be read, has another layout, or has missing values.

    Source:
        Littell et al. (EACL 2017), URIEL and lang2vec; Yun et al. (2023), section 4.
    """
    file = Path(path)
    arrays = _arrays(file)
    labels, names, data = arrays["langs"], arrays["feats"], arrays["data"]
    if data.ndim != 3 or data.shape[:2] != (len(labels), len(names)):
        raise XsnsError(f"'{file}' does not have the layout language × feature × source.", _HINT)
    if data.shape[2] != 1:
        raise XsnsError(
            f"'{file}' has {data.shape[2]} sources for each feature, and values are missing in them.", _HINT
        )
    chosen = [index for group in GROUPS for index, name in enumerate(names) if str(name).startswith(group)]
    absent = [group for group in GROUPS if not any(str(name).startswith(group) for name in names)]
    if absent:
        raise XsnsError(f"'{file}' has no features named {', '.join(f'{group}…' for group in absent)}.", _HINT)
    if data.dtype.kind not in "fiu":
        raise XsnsError(f"'{file}' contains text instead of numbers.", _HINT)
    values = data[:, chosen, 0].astype(np.float64)
    if not np.isfinite(values).all() or (values < 0).any():
        raise XsnsError(f"'{file}' has missing values.", _HINT)
    matched = match_labels([str(label) for label in labels], file.name)
    return TypologicalFeatures(matched.codes, values[list(matched.indices)], matched.notes)


def l2v(
    features: TypologicalFeatures, sources: Sequence[str] | None = None, targets: Sequence[str] | None = None
) -> SimilarityMatrix:
    """Return the cosine similarity of the feature vectors of each pair of languages.

        l2v(s, t) = ⟨f_s, f_t⟩ / (|f_s| |f_t|)

    Args:
        features: The result of :func:`read_features`.
        sources: Codes; all languages by default. Languages without features are left out.
        targets: Codes; all languages by default.

    Returns:
        Values between 0 and 1, because features are not negative; NaN if all features of a language are 0.

    Raises:
        LanguageError: None of the languages has features.
    """
    rows, columns = restrict_both(features.languages, sources, targets, "the table of features")
    index = {code: row for row, code in enumerate(features.languages)}
    down, across = (features.values[[index[code] for code in side.values()]] for side in (rows, columns))
    squares = np.outer((down**2).sum(axis=1), (across**2).sum(axis=1))
    # Features are 0 or 1, and products are integers. Equal cosines are therefore equal bit by bit, independently of
    # the other languages.
    values = np.divide(down @ across.T, np.sqrt(squares), out=np.full(squares.shape, np.nan), where=squares > 0)
    return SimilarityMatrix(tuple(rows), tuple(columns), values, "l2v")


def _arrays(file: Path) -> dict[str, NDArray[Any]]:
    try:
        with file.open("rb") as stream, zipfile.ZipFile(stream):
            stream.seek(0)
            with np.load(stream, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in ("langs", "feats", "data")}
    except OSError as error:
        raise unreadable(file, error) from error
    # The file is not an archive, or the archive is damaged, encrypted, too large for memory, or contains pickles.
    except (LookupError, ValueError, EOFError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise XsnsError(f"'{file}' is not an archive of features, or cannot be read safely.", _HINT) from error
    if not all(isinstance(array, np.ndarray) and array.ndim for array in arrays.values()):
        raise XsnsError(f"'{file}' does not have the layout language × feature × source.", _HINT)
    return arrays
