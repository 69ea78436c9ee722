"""Typological features and word-list distances, compared with SciPy, and errors for invalid files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import langcodes
import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import rankdata
from sklearn.metrics import ndcg_score

from tests.support.paths import SHARED_DATA as SHARED
from xsns_stream.baselines import (
    customary_scripts,
    family,
    l2v,
    ldnd,
    read_distances,
    read_families,
    read_features,
    read_sizes,
    script,
    source_size,
)
from xsns_stream.errors import LanguageError, UsageError, XsnsError
from xsns_stream.types import SimilarityMatrix

LANGS = ("ara", "arb", "eng", "fin", "nor", "swa", "zho", "und")
FEATS = ("S_SVO", "INV_P", "P_TONE", "S_SOV", "INV_B", "F_Bantu", "INV_M")
#: The languages of the paper's POS experiments.
POS = ("bg", "zh", "nl", "en", "fi", "fr", "hi", "id", "it", "ja", "ko", "no", "pl", "pt", "ru", "sk", "es", "sv")
POS += ("tr", "uk")


@pytest.fixture
def features(tmp_path: Path) -> Callable[..., Path]:
    """Write an archive with the layout of lang2vec."""

    def write(**changed: object) -> Path:
        data = np.random.default_rng(5).integers(0, 2, (len(LANGS), len(FEATS), 1)).astype(np.float32)
        data[:, 3] = 1.0
        data[3] = 0.0  # Finnish has none of these features
        arrays = {"langs": np.array(LANGS), "feats": np.array(FEATS), "sources": np.array(["predicted"]), "data": data}
        arrays |= changed
        path = tmp_path / "feature_predictions.npz"
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
        return path

    return write


# --------------------------------------------------------------------------------------------------- l2v


def test_l2v_equals_scipy_cosine_of_the_three_groups(features: Callable[..., Path]) -> None:
    path = features()
    table = read_features(path)
    assert table.languages == ("ar", "en", "fi", "no", "sw", "zh")
    assert table.notes == ("1 label of feature_predictions.npz is not a language code and was left out: und.",)
    with np.load(path, allow_pickle=False) as archive:
        data = archive["data"][..., 0].astype(np.float64)
    own = data[[0, 2, 3, 4, 5, 6]][:, [0, 3, 2, 1, 4, 6]]
    matrix = l2v(table)
    defined = [0, 1, 3, 4, 5]
    assert matrix.coefficient == "l2v"
    assert np.allclose(
        matrix.values[np.ix_(defined, defined)], 1 - cdist(own[defined], own[defined], "cosine"), atol=1e-12
    )
    assert np.isnan(matrix.values[2]).all()
    assert np.isnan(matrix.values[:, 2]).all()


def test_l2v_of_some_languages_equals_part_of_the_full_matrix(features: Callable[..., Path]) -> None:
    table = read_features(features())
    part = l2v(table, ["zho", "sw", "is"], ["en"])
    assert (part.sources, part.targets) == (("zh", "sw"), ("en",))
    assert part["sw", "en"] == l2v(table)["sw", "en"]
    with pytest.raises(LanguageError, match="none of the requested languages"):
        l2v(table, ["is"], None)


def test_order_of_the_archive_does_not_matter(features: Callable[..., Path]) -> None:
    codes = ["en", "sw", "zh", "ar", "no"]
    first = l2v(read_features(features()), codes, codes)
    with np.load(features(), allow_pickle=False) as archive:
        langs, feats, data = archive["langs"][::-1], archive["feats"][[6, 2, 1, 5, 0, 4, 3]], archive["data"]
    reordered = features(langs=langs, feats=feats, data=data[::-1][:, [6, 2, 1, 5, 0, 4, 3]])
    assert np.allclose(first.values, l2v(read_features(reordered), codes, codes).values, atol=1e-12)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"data": np.full((8, 7, 1), -1.0, np.float32)}, "has missing values"),
        ({"data": np.full((8, 7, 1), np.nan, np.float32)}, "has missing values"),
        ({"data": np.zeros((8, 7, 3), np.float32)}, "has 3 sources for each feature"),
        ({"data": np.zeros((8, 7), np.float32)}, "does not have the layout"),
        ({"data": np.zeros((7, 8, 1), np.float32)}, "does not have the layout"),
        ({"data": np.full((8, 7, 1), "--")}, "contains text instead of numbers"),
        ({"data": None}, "is not an archive of features"),
        ({"langs": np.array([*LANGS], dtype=object)}, "is not an archive of features"),
        ({"feats": np.array([f"F_{name}" for name in FEATS])}, "has no features named S_…, P_…, INV_…"),
    ],
)
def test_archive_with_another_layout_is_an_error(
    features: Callable[..., Path], changed: dict[str, object], message: str
) -> None:
    with pytest.raises(XsnsError, match=message) as caught:
        read_features(features(**changed))
    assert "feature_predictions.npz" in caught.value.hint


def test_file_that_is_not_an_archive_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    with pytest.raises(XsnsError, match="there is no file"):
        read_features(path)
    for content in (b"", b"PK\x03\x04 nothing", b"langs,feats\n"):
        path.write_bytes(content)
        with pytest.raises(XsnsError, match="is not an archive of features"):
            read_features(path)
    np.save(tmp_path / "x.npy", np.zeros(3))
    with pytest.raises(XsnsError, match="is not an archive of features"):
        read_features(tmp_path / "x.npy")


# -------------------------------------------------------------------------------------------------- ldnd


@pytest.fixture
def distances(tmp_path: Path) -> Callable[..., Path]:
    def write(text: str, name: str = "ldnd.csv") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


SQUARE = ",Swedish,Norwegian Bokmål,Nan\nSwedish,,40.5,99\nNorwegian Bokmål,40.5,0,101.25\nNan,99,101.25,\n"


def test_ldnd_is_one_minus_distance(distances: Callable[..., Path]) -> None:
    path = distances(SQUARE)
    distances("code,name\nsv,Swedish\nno,Norwegian Bokmål\nnan,Nan\n", "languages.csv")
    table = read_distances(path)
    assert (table.languages, table.notes) == (("sv", "no", "nan"), ())
    matrix = ldnd(table, None, ["swe", "fi"])
    assert (matrix.sources, matrix.targets, matrix.coefficient) == (("sv", "no", "nan"), ("sv",), "ldnd")
    assert np.isnan(matrix["sv", "sv"])
    assert matrix["no", "sv"] == pytest.approx(0.595)
    assert ldnd(table)["no", "nan"] == pytest.approx(-0.0125)


def test_labels_that_are_codes_do_not_need_names(distances: Callable[..., Path]) -> None:
    table = read_distances(distances("\tswe\tnor\tx!\nswe\t\t40\t1\nnor\t40\t\t2\nx!\t1\t2\t\n", "d.tsv"))
    assert table.languages == ("sv", "no")
    assert table.notes == ("1 label of d.tsv is not a language code and was left out: x!.",)
    assert table.percent.tolist()[0][1] == 40.0


def test_unknown_names_are_an_error(distances: Callable[..., Path]) -> None:
    text = SQUARE.replace("Nan", "Klingon!").replace("Swedish", "Old_Swedish")
    with pytest.raises(XsnsError, match=r"no label of .* is a language code or a known name") as caught:
        read_distances(distances(text))
    assert "--names" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (",sv,no\nsv,,40\nno,x,\n", "contains no number: no → sv"),
        (",sv,no\nsv,,40\nno,inf,\n", "is infinite: no → sv"),
        (",sv,no\nno,,40\nsv,40,\n", "the labels of its rows and columns differ"),
        (",sv,no\nsv,,40\n", "the labels of its rows and columns differ"),
        (",sv,sv\nsv,,40\nsv,40,\n", "labels that occur more than once are sv"),
        (",sv,no\nsv,,\nno,,\n", "does not contain distances"),
        (",sv,no\nsv,,-4\nno,-4,\n", "does not contain distances"),
        (",sv,no\nsv,,0.4\nno,0.4,\n", "are not in percent: the largest is 0.4"),
        ("", "is empty"),
        ("sv\n", "is empty"),
    ],
)
def test_invalid_matrix_of_distances_is_an_error(distances: Callable[..., Path], text: str, message: str) -> None:
    with pytest.raises(XsnsError, match=message):
        read_distances(distances(text))


def test_other_file_formats_are_an_error(distances: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="is not a table of text"):
        read_distances(distances("x", "asjp-ldnd.txt"))


# --------------------------------------------------------------------------------------- the real tables


def ndcg(matrix: SimilarityMatrix) -> float:
    """Return the mean NDCG@3 over the 20 targets in percent, computed by scikit-learn."""
    import pandas as pd

    gold = pd.read_csv(SHARED / "xpos" / "gold_xlmr_base_pos_matrix.csv", index_col=0, keep_default_na=False)
    scores = []
    for target in POS:
        others = [source for source in POS if source != target]
        predicted = rankdata([matrix[source, target] for source in others])
        relevance = rankdata([gold.loc[source, target] for source in others])
        scores.append(ndcg_score([relevance], [predicted], k=3))
    return 100 * float(np.mean(scores))


@pytest.mark.shared_data
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the real tables")
class TestRealTables:
    def test_l2v_of_the_published_archive_is_the_cosine_of_its_features(self) -> None:
        path = SHARED / "typology" / "uriel" / "feature_predictions.npz"
        table = read_features(path)
        assert table.values.shape[1] == 103 + 28 + 158
        assert "adc" in table.notes[0]
        matrix = l2v(table, POS, POS)
        assert matrix.sources == matrix.targets == POS
        with np.load(path, allow_pickle=False) as archive:
            langs, data = archive["langs"].tolist(), archive["data"][..., 0].astype(np.float64)
        three = [langcodes.Language.get(code).to_alpha3() for code in POS]
        rows = data[[langs.index(code) for code in three]]
        assert np.allclose(matrix.values, 1 - cdist(rows, rows, "cosine"), atol=1e-12)
        assert l2v(table, ["ar", "sw", "fa"], ["en"]).values.shape == (3, 1)
        # Tied values stay tied, whichever languages are requested.
        assert (l2v(table, [*POS, "sw"], ["zu", *POS]).values[:-1, 1:] == matrix.values).all()
        assert ndcg(matrix) == pytest.approx(78.69, abs=0.005)

    def test_ldnd_of_the_published_table_has_its_known_ndcg(self) -> None:
        """The distance of word lists is known to give 84.2 on these 20 languages and scores."""
        distances = read_distances(SHARED / "xpos" / "results" / "ldnd.csv")
        assert (len(distances.languages), distances.notes) == (90, ())
        matrix = ldnd(distances, POS, POS)
        assert ndcg(matrix) == pytest.approx(84.23, abs=0.005)

    def test_published_tables_of_families_sizes_and_scripts_are_read(self) -> None:
        own = read_families(SHARED / "xpos" / "languages.csv")
        of_glottolog = read_families(SHARED / "typology" / "glottolog" / "languages.csv")
        named = read_families(SHARED / "xpos" / "research_udpos" / "fams.txt")
        assert (len(own.values), own.values["hi"]) == (105, ("IE", "Indic"))
        assert {code: path for code, path in named.values.items() if own.values.get(code, path) != path} == {}
        assert of_glottolog.values["hi"] == ("Indo-European",)
        assert of_glottolog.values["eu"] == ("eus",)
        for families in (own, of_glottolog):
            matrix = family(families, POS, POS)
            assert matrix.sources == POS
            assert (matrix["sv", "no"], matrix["fi", "sv"]) == (1.0, 0.0)
        sizes = read_sizes(SHARED / "xpos" / "results" / "wiki-langs.csv")
        assert sizes.values == read_sizes(SHARED / "xpos" / "research_udpos" / "langs-xlmr.txt").values
        assert source_size(sizes, POS, POS)["en", "fi"] == 55608.0
        assert script(customary_scripts(POS), POS, POS)["bg", "ru"] == 1.0
