"""Alignment of gold scores and predictions by label, and notes about everything that is left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xsns_stream.align_scores import join
from xsns_stream.errors import LanguageError, UsageError
from xsns_stream.types import SimilarityMatrix
from xsns_stream.types.transfer_scores import JoinedScores, TransferScores

NAN = float("nan")
CODES = ("sw", "fi", "et", "de", "en", "zu")


def gold(sources: tuple[str, ...] = CODES[:4], targets: tuple[str, ...] = CODES, seed: int = 1) -> TransferScores:
    cells = np.random.default_rng(seed).uniform(20, 90, (1, 2, len(sources), len(targets)))
    return TransferScores(sources, targets, cells, "pos", "accuracy", "percent", "made up", seeds=(1, 2))


def matrix(
    sources: tuple[str, ...] = CODES, targets: tuple[str, ...] = CODES, seeds: tuple[int, ...] = (), seed: int = 2
) -> SimilarityMatrix:
    per_seed = np.random.default_rng(seed).uniform(0, 1, (max(1, len(seeds)), len(sources), len(targets)))
    return SimilarityMatrix(
        sources, targets, per_seed.mean(axis=0), "jaccard", seeds=seeds, per_seed=per_seed if seeds else None
    )


def by_pair(joined: JoinedScores) -> dict[tuple[str, str], tuple[float, ...]]:
    """Return {candidate pair: its score and the value of each predictor}."""
    return {
        (joined.sources[row], joined.targets[column]): (
            float(joined.gold.values[row, column]),
            *(float(prediction.values[row, column]) for prediction in joined.predictions),
        )
        for row, column in np.argwhere(joined.candidates)
    }


def shuffled(table: Any, rows: list[int], columns: list[int]) -> Any:
    """Return the same scores or similarities with their languages in another order."""
    more = {
        name: None if (array := getattr(table, name)) is None else array[..., rows, :][..., columns]
        for name in (("cells",) if isinstance(table, TransferScores) else ("values", "per_seed"))
    }
    return replace(
        table,
        sources=tuple(table.sources[row] for row in rows),
        targets=tuple(table.targets[column] for column in columns),
        **more,
    )


# --------------------------------------------------------------------------------------- properties


@given(data=st.data())
def test_order_of_languages_does_not_matter(data: st.DataObject) -> None:
    scores, similarities = gold(), matrix(seeds=(7, 8))
    expected = by_pair(join(scores, {"x": similarities}))
    assert len(expected) == 4 * 6 - 4
    orders = [data.draw(st.permutations(range(len(axis)))) for axis in (scores.sources, scores.targets)]
    others = [data.draw(st.permutations(range(len(CODES)))) for _ in range(2)]
    cells = by_pair(join(shuffled(scores, *orders), {"x": shuffled(similarities, *others)}))
    assert cells == expected


@given(data=st.data())
def test_languages_without_gold_scores_do_not_matter(data: st.DataObject) -> None:
    scores, similarities = gold(), matrix()
    expected = by_pair(join(scores, {"x": similarities}))
    extra = ("yo", "ru", "ja")[: data.draw(st.integers(1, 3))]
    order = data.draw(st.permutations((*CODES, *extra)))
    wide = np.full((len(order), len(order)), -5.0)
    positions = [order.index(code) for code in CODES]
    wide[np.ix_(positions, positions)] = similarities.values
    joined = join(scores, {"x": SimilarityMatrix(tuple(order), tuple(order), wide, "jaccard")})
    assert by_pair(joined) == expected
    assert all(any(code in note for note in joined.notes) for code in extra)


def test_renaming_languages_changes_only_their_names() -> None:
    names = dict(zip(CODES, ("ca", "ro", "lv", "uk", "bg", "el"), strict=True))

    def renamed(found: Any) -> Any:
        return replace(
            found,
            sources=tuple(names[code] for code in found.sources),
            targets=tuple(names[code] for code in found.targets),
        )

    expected = by_pair(join(gold(), {"x": matrix()}))
    found = by_pair(join(renamed(gold()), {"x": renamed(matrix())}))
    assert found == {(names[source], names[target]): cell for (source, target), cell in expected.items()}


def test_transposed_square_matrix_is_another_prediction() -> None:
    similarities = matrix()
    transposed = replace(similarities, values=similarities.values.T)
    one, two = (by_pair(join(gold(), {"x": prediction})) for prediction in (similarities, transposed))
    assert one.keys() == two.keys()
    assert one["sw", "fi"] != two["sw", "fi"]
    assert two["sw", "fi"][1] == one["fi", "sw"][1]


# ----------------------------------------------------------------------------------------- contract


def test_pool_is_the_intersection_of_all_predictors() -> None:
    narrow = matrix(sources=("sw", "fi"), targets=CODES[:5])
    joined = join(gold(), {"wide": matrix(sources=CODES[:3]), "narrow": narrow})
    assert joined.sources == ("sw", "fi")
    assert joined.targets == CODES[:5]
    assert {source for source, _ in by_pair(joined)} == {"sw", "fi"}
    assert "zu" not in {target for _, target in by_pair(joined)}
    for name, code in (("narrow", "zu"), ("wide", "de")):
        assert any(f"'{name}'" in note and code in note for note in joined.notes)


def test_there_are_no_notes_if_everything_matches() -> None:
    assert join(gold(), {"x": matrix(sources=CODES[:4])}).notes == ()


def test_missing_cells_on_either_side_are_not_candidates() -> None:
    scores, similarities = gold(), matrix(seeds=(7, 8))
    scores.cells[0, :, 0, 1] = NAN  # sw → fi, with either seed
    scores.cells[0, 0, 1, 0] = NAN  # fi → sw, with one of two
    assert similarities.per_seed is not None
    similarities.per_seed[1, 2, 3] = NAN  # et → de, with one of two
    cells = by_pair(join(scores, {"x": similarities}))
    assert ("sw", "fi") not in cells
    assert ("fi", "sw") in cells
    assert ("et", "de") not in cells
    assert not any(source == target for source, target in cells)


def test_seeds_of_scores_and_predictions_are_kept() -> None:
    joined = join(gold(), {"seeded": matrix(seeds=(7, 8, 9)), "plain": matrix()})
    seeded, plain = joined.predictions
    assert (seeded.seeds, seeded.per_seed.shape, plain.seeds, plain.per_seed.shape) == (
        (7, 8, 9),
        (3, 4, 6),
        (),
        (1, 4, 6),
    )
    assert joined.gold.per_seed.shape == (2, 4, 6)
    np.testing.assert_array_equal(seeded.values, seeded.per_seed.mean(axis=0))


def test_requested_pool_keeps_its_order() -> None:
    joined = join(gold(), {"x": matrix()}, sources=["et,sw"], targets=["zu", "swh,fi"])
    assert (joined.sources, joined.targets) == (("et", "sw"), ("zu", "sw", "fi"))
    with pytest.raises(LanguageError, match="no language 'ru' in the source axis of the gold scores"):
        join(gold(), {"x": matrix()}, sources=["ru"])


def test_other_codes_of_a_language_are_matched_and_noted() -> None:
    chinese = (*CODES[:3], "zh")
    hani = (*CODES[:3], "zh-Hani")
    joined = join(gold(sources=chinese, targets=chinese), {"emb": matrix(sources=hani, targets=hani)})
    assert ("zh", "sw") in by_pair(joined)
    assert joined.notes == ("'emb' has other codes than the gold scores: zh-Hani for zh.",)


# ------------------------------------------------------------------------------------------- errors


def test_requested_languages_are_found_under_their_only_other_code_and_a_note_says_so() -> None:
    scores = gold(("en", "sw"), ("en", "sw", "fi"))
    one = matrix(("en-GB", "sw", "fi"), ("en-GB", "sw", "fi"))
    joined = join(scores, {"one": one}, sources=["en-GB", "swh_Latn"], targets=["eng", "fi-FI"])
    assert (joined.sources, joined.targets) == (("en", "sw"), ("en", "fi"))
    assert joined.notes[:2] == (
        "the source axis of the gold scores has no 'en-GB': 'en' (English) is used instead.",
        "the target axis of the gold scores has no 'fi-FI': 'fi' (Finnish) is used instead.",
    )
    assert "'one' has other codes than the gold scores: en-GB for en." in " ".join(joined.notes)


def test_a_note_says_if_most_gold_scores_are_not_above_the_trivial_answer() -> None:
    codes = CODES[:3]
    cells = np.full((1, 1, 3, 3), 50.0)
    for floor, noted in ((50.0, True), (49.0, False)):
        scores = TransferScores(
            codes, codes, cells, "pos", "accuracy", "percent", "made up", trivial=dict.fromkeys(codes, floor)
        )
        notes = join(scores, {"one": matrix(codes, codes)}).notes
        has_note = "6 of 6 gold scores on other languages are not above the score of the trivial answer" in " ".join(
            notes
        )
        assert has_note == noted


def test_disjoint_languages_are_an_error() -> None:
    for side, lost in (("source", {"sources": ("ru", "ja")}), ("target", {"targets": ("ru", "ja")})):
        with pytest.raises(UsageError, match=f"'x' and the gold scores have no {side} in common") as caught:
            join(gold(), {"fine": matrix(), "x": matrix(**lost)})  # type: ignore[arg-type]
        assert "ru, ja" in caught.value.hint


def test_transposed_rectangle_is_an_error() -> None:
    transposed = matrix(sources=CODES, targets=CODES[:4])
    with pytest.raises(UsageError, match="the matrix 'x' looks transposed"):
        join(gold(), {"x": transposed})


def test_missing_predictors_and_missing_pairs_are_errors() -> None:
    with pytest.raises(UsageError, match="there is no predictor to compare"):
        join(gold(), {})
    empty = replace(matrix(), values=np.full((6, 6), NAN))
    with pytest.raises(UsageError, match="no pair of two different languages"):
        join(gold(), {"x": matrix(), "empty": empty})


def test_language_with_two_codes_is_not_a_candidate_for_itself() -> None:
    values = np.arange(6.0).reshape(1, 1, 3, 2)
    gold = TransferScores(("zh", "sr", "en"), ("zh-Hans", "sr-Latn"), values, "pos", "accuracy", "percent", "made up")
    matrix = SimilarityMatrix(("zh", "sr", "en"), ("zh-Hans", "sr-Latn"), np.ones((3, 2)), "x")
    joined = join(gold, {"x": matrix})
    # A language in another script is another target.
    np.testing.assert_array_equal(joined.candidates, [[False, True], [True, True], [True, True]])
    assert any("one language: zh for zh-Hans." in sentence for sentence in joined.notes)


def test_language_without_pairs_is_left_out_and_noted() -> None:
    scores = gold()
    scores.cells[:, :, :, 1] = NAN
    joined = join(scores, {"x": matrix()})
    assert scores.targets[1] not in joined.targets
    assert (
        "these targets are left out, because they have no pair with a score and a value from every predictor: "
        f"{scores.targets[1]}." in joined.notes
    )
    assert join(scores, {"x": matrix()}, targets=["all"]).targets == scores.targets


def test_pairs_without_a_score_or_a_prediction_are_counted() -> None:
    scores, similarities = gold(), matrix()
    scores.cells[:, :, 0, 1] = NAN
    similarities.values[2, 3] = NAN
    notes = join(scores, {"x": similarities, "y": matrix()}).notes
    own = sum(code in scores.targets for code in scores.sources)
    pairs = len(scores.sources) * len(scores.targets) - own
    assert f"1 of {pairs} pairs of the pool have no score." in notes
    assert any(f"'x' has no value for 1 of {pairs - 1} pairs" in note for note in notes)
    assert not any("'y'" in note for note in notes)


def test_pairs_that_only_one_predictor_lacks_are_counted() -> None:
    full, few = matrix(), matrix(sources=CODES[:3])
    joined = join(gold(), {"whole": full, "few": few})
    first, second = joined.costs
    assert (first.predictor, first.targets, first.sources, first.pairs) == ("whole", (), (), ())
    last = CODES[3]
    assert (second.predictor, second.targets, second.sources) == ("few", (), (last,))
    assert second.pairs == tuple((last, target) for target in gold().targets if target != last)
    count = len(second.pairs)
    assert (
        f"'few' lacks pairs that all other predictors have: without this predictor, the pool would have {count} "
        "more pairs, "
        f"1 more source ({last})." in joined.notes
    )
    # Pairs that two predictors lack are counted for neither of them.
    both = join(gold(), {"one": few, "two": few})
    assert [cost.pairs for cost in both.costs] == [(), ()]
