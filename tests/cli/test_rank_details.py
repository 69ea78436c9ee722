"""The verb `rank`: intervals, several sources, explanations, expected scores."""

import json

import numpy as np
import pytest

from tests.support import networks
from xsns_stream.gold import write_scores
from xsns_stream.store import open_store
from xsns_stream.types.transfer_scores import TransferScores

CODES = ("sw", "zu", "xh", "rw", "fi", "et")
LAYOUT = networks.make_layout(3, 640)
#: {source: the share of words that equal those of the target}. The first two are equally similar.
LIKE = {"zu": 0.80, "xh": 0.80, "rw": 0.30, "fi": 0.1, "et": 0.0}


def bits_of(language, seed, part=0):
    """Return bits of which the share `LIKE` equals those of the target; if a part is left out, some are drawn again."""
    draw = np.random.default_rng([seed, *language.encode()])
    target = networks.make_bits(LAYOUT.size, seed)
    # Each word equals that of the target with the given probability.
    own = networks.make_bits(LAYOUT.size, int(draw.integers(1 << 30)))
    bits = target.copy() if language == "sw" else np.where(draw.random(target.size) < LIKE[language], target, own)
    if part:
        again = np.random.default_rng([part, seed, *language.encode()])
        other = networks.make_bits(LAYOUT.size, int(again.integers(1 << 30)))
        bits = np.where(again.random(bits.size) < 0.04, other, bits)
    return bits


def sub_of(language, seed=7, part=0, **provenance):
    return networks.make_sub(language, seed, 0.15, LAYOUT, bits_of(language, seed, part), **provenance)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store with parts, a store of four seeds without parts, and gold scores."""
    folder = tmp_path_factory.mktemp("details")
    store = open_store(folder / "parts.zarr", "a")
    for language in CODES:
        for number in range(1, 5) if language != "et" else ():
            store.write_fold(sub_of(language, part=number), 4, number)
        store.write(sub_of(language, reliability={"split_half": 0.6}))
    seeds = open_store(folder / "seeds.zarr", "a")
    for language in CODES:
        for seed in (1, 2, 3, 4):
            seeds.write(sub_of(language, seed))
    index = {code: n for n, code in enumerate(CODES)}
    cells = np.array([[90 - 5 * abs(index[a] - index[b]) - 3 * index[b] for b in CODES] for a in CODES], float)
    cells[index["fi"], index["sw"]] = np.nan
    scores = TransferScores(CODES, CODES, cells[None, None], "pos", "accuracy", "percent", "made up")
    write_scores(scores, folder / "gold.parquet")
    return folder


def ranked(folder, in_process, *arguments, store="parts.zarr"):
    code, out, err = in_process(folder, "rank", "-s", store, "--target", "sw", "--json", *arguments)
    assert code == 0, err
    return json.loads(out)["result"], err


def test_parts_of_the_store_give_intervals(folder, in_process):
    result, err = ranked(folder, in_process)
    assert result["intervals"] == {"basis": "4 parts", "confidence": 0.95}
    assert result["reliability"] == 0.6
    assert "sources without 4 parts have no interval: et." in err
    sources = {source["language"]: source for source in result["sources"]}
    assert {source["language"] for source in result["sources"][:2]} == {"zu", "xh"}
    for code in ("zu", "xh", "rw", "fi"):
        low, high = sources[code]["interval"]
        assert 0 <= low < sources[code]["similarity"] < high <= 1
    assert sources["et"]["interval"] is None
    assert [sources[code]["level_with_first"] for code in ("rw", "fi", "et")] == [False, False, None]
    assert sources["zu"]["best_probability"] + sources["xh"]["best_probability"] == pytest.approx(1, abs=0.01)
    assert sources["zu"]["reliability"] == 0.6


def test_the_table_shows_intervals(folder, in_process):
    code, out, err = in_process(folder, "rank", "-s", "parts.zarr", "--target", "sw", "--sources", "zu,rw,fi")
    assert code == 0
    assert err.startswith("next: xsns-stream transfer ")
    assert err.count("\n") == 1
    header = out.splitlines()[1]
    assert header.split() == [
        *("rank", "code", "language", "jaccard", "95", "%", "interval", "P(best)", "chance-corrected", "split-half")
    ]
    assert ">99 %" in out
    assert "<1 %" in out
    assert "Two halves of the target's own examples have a Jaccard coefficient of 0.600." in out
    assert "The first is reliably closer than all other candidates (95 %, 4 parts)." in out


def test_no_reliable_difference_is_an_answer(folder, in_process):
    # The sources have the same bits, so that only chance decides their order.
    store = open_store(folder / "level.zarr", "a")
    for language in ("sw", "zu", "xh", "fi"):
        like = "zu" if language == "xh" else language
        for number in range(1, 5):
            bits = bits_of(like, 7, number + (4 if language == "xh" else 0))
            store.write_fold(networks.make_sub(language, 7, 0.15, LAYOUT, bits), 4, number)
        store.write(networks.make_sub(language, 7, 0.15, LAYOUT, bits_of(like, 7)))
    code, out, _ = in_process(folder, "rank", "-s", "level.zarr", "--target", "sw", "--top", "2")
    assert code == 0
    assert "~ No reliable difference among the first 2 (95 %, 4 parts)." in out


def test_four_seeds_give_intervals_and_two_do_not(folder, in_process):
    result, err = ranked(folder, in_process, store="seeds.zarr")
    assert (result["intervals"], err) == ({"basis": "4 seeds", "confidence": 0.95}, "")
    assert all(source["interval"] is not None for source in result["sources"])
    two, _ = ranked(folder, in_process, "--seed", "1", "--seed", "2", store="seeds.zarr")
    assert two["intervals"] is None
    assert all(source["level_with_first"] is None for source in two["sources"])


def test_all_candidates_are_chosen_if_more_sources_are_requested(folder, in_process):
    result, err = ranked(folder, in_process, "--sources-k", "99")
    assert len(result["together"]["sources"]) == len(CODES) - 1
    assert f"99 sources were requested, but there are only {len(CODES) - 1} candidates; all are chosen." in err


@pytest.mark.parametrize("strategy", ["top", "coverage"])
def test_several_sources_are_chosen_by_similarity_or_by_coverage(folder, in_process, strategy):
    result, _ = ranked(folder, in_process, "--sources-k", "3", "--strategy", strategy)
    together = result["together"]
    assert together["strategy"] == strategy
    codes = [source["language"] for source in together["sources"]]
    sets = {code: {n for n, bit in enumerate(sub_of(code).to_numpy()) if bit} for code in CODES}
    if strategy == "top":
        assert codes == [source["language"] for source in result["sources"][:3]]
    uncovered, covered = set(sets["sw"]), 0
    for source in together["sources"]:
        gain = len(uncovered & sets[source["language"]])
        uncovered -= sets[source["language"]]
        covered += gain
        assert source["gain"] == pytest.approx(gain / len(sets["sw"]))
        assert source["covered"] == pytest.approx(covered / len(sets["sw"]))
    assert together["covered"] == together["sources"][-1]["covered"]
    code, out, _ = in_process(
        folder, "rank", "-s", "parts.zarr", "--target", "sw", "--sources-k", "3", "--strategy", strategy
    )
    assert code == 0
    assert f"3 sources for Swahili (sw) together, chosen by {'similarity' if strategy == 'top' else 'coverage'}" in out
    assert f"{together['covered']:.1%} of its sub-network" in out


def test_excesses_of_the_layers_sum_to_the_excess_of_a_source(folder, in_process):
    result, _ = ranked(folder, in_process, "--explain", "--top", "2")
    mean = np.mean([source["similarity"] for source in ranked(folder, in_process)[0]["sources"]])
    by_layer = result["explanation"]["layer"]
    assert [line["group"] for line in by_layer] == ["layer.0", "layer.1", "layer.2"]
    for source in result["sources"]:
        excess = sum(line["sources"][source["language"]]["excess"] for line in by_layer)
        assert excess == pytest.approx(source["similarity"] - mean)
    assert [line["group"] for line in result["explanation"]["module"]] == ["weight"]
    code, out, _ = in_process(folder, "rank", "-s", "parts.zarr", "--target", "sw", "--explain")
    assert code == 0
    assert "Jaccard by layer, chance-corrected" in out
    assert "Jaccard by module, chance-corrected" in out


def test_gold_scores_give_expected_scores_with_intervals(folder, in_process):
    result, _ = ranked(folder, in_process, "--gold", "gold.parquet")
    basis = result["calibration"]
    assert (basis["task"], basis["metric"], basis["unit"], basis["known_target"]) == (
        "pos",
        "accuracy",
        "percent",
        True,
    )
    assert basis["pairs"] == 29
    for source in result["sources"]:
        expected = source["expected"]
        low, high = expected["interval"]
        assert low < expected["score"] < high
        if source["language"] == "fi":
            assert expected["measured"] is None
        else:
            assert expected["measured"] == 90 - 5 * CODES.index(source["language"])
    code, out, _ = in_process(folder, "rank", "-s", "parts.zarr", "--target", "sw", "--gold", "gold.parquet")
    assert code == 0
    assert "expected (percent)" in out
    assert "Expected accuracy (pos) from 29 pairs of gold scores." in out


def test_info_verify_copy_and_prune_handle_parts(folder, in_process, tmp_path):
    code, out, _ = in_process(folder, "info", "-s", "parts.zarr")
    assert code == 0
    assert "5 rows without each of 4" in out
    code, out, _ = in_process(folder, "verify", "-s", "parts.zarr")
    assert (code, out) == (0, "6 rows verified, with 20 parts\n")
    copy = str(tmp_path / "copy.zarr")
    code, out, _ = in_process(folder, "copy", "parts.zarr", copy)
    assert code == 0
    assert "parts: 20 rows copied, 0 already present." in out
    code, out, _ = in_process(folder, "prune", copy, "--lang", "fi", "--yes", "--json")
    dropped = json.loads(out)["result"]
    assert (len(dropped["rows"]), len(dropped["parts"])) == (1, 4)
    code, out, _ = in_process(folder, "prune", copy, "--parts", "--lang", "sw", "--yes")
    assert code == 0
    assert "'sw' (seed 7, density 0.15) without part 3 of 4" in out
    code, out, _ = in_process(folder, "info", "-s", copy, "--json")
    assert json.loads(out)["result"]["parts"][0]["rows"] == 3
    for arguments, message in (
        (["--parts", "--fisher"], "--fisher and --parts were both given."),
        (["--parts", "--lang", "yo"], "'yo'"),
        ([], "give --fisher, --parts or --unfinished."),
    ):
        code, _, err = in_process(folder, "prune", copy, *arguments, "--dry-run")
        assert code == 2
        assert message in err
