"""The verb `rank`: table, JSON, errors."""

import json
import shlex

import pytest

from tests.support import networks
from xsns_stream.cli.rank import command
from xsns_stream.store import open_store

LACKING = "et"
SOURCES = tuple(code for code in networks.LANGUAGES if code not in ("sw", LACKING))


def make(language, seed):
    """Return a synthetic sub-network. Zulu has the bits of Xhosa, so that the two are tied."""
    bits = networks.make_sub("xh", seed).bits if language == "zu" else None
    return networks.make_sub(language, seed, bits=bits)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store of twelve languages and two seeds, with one row missing."""
    folder = tmp_path_factory.mktemp("rank")
    store = open_store(folder / "xsns.zarr", "a")
    for language in networks.LANGUAGES:
        for seed in (7, 8):
            if (language, seed) != (LACKING, 8):
                store.write(make(language, seed))
    return folder


def expected(target="sw", sources=SOURCES, seeds=(7, 8)):
    """Return the sources with their mean Jaccard coefficients, best first, computed with Python integers."""

    def bits(language, seed):
        return int.from_bytes(make(language, seed).bits.tobytes(), "little")

    def similarity(source):
        pairs = [(bits(target, seed), bits(source, seed)) for seed in seeds]
        return sum((a & b).bit_count() / (a | b).bit_count() for a, b in pairs) / len(seeds)

    return sorted(((similarity(source), source) for source in sources), key=lambda pair: (-pair[0], pair[1]))


def test_the_table_shows_ten_sources_best_first(folder, in_process):
    completed = in_process(folder, "rank", "--target", "SWA", "--top", "9")
    assert completed.code == 0
    title, header, _, *lines = completed.out.splitlines()
    assert title.rstrip() == "Sources for Swahili (sw), most similar first"
    assert header.split() == ["rank", "code", "language", "jaccard", "chance-corrected", "±", "seeds"]
    rows = [line.split() for line in lines[:9]]
    assert [row[1] for row in rows] == [code for _, code in expected()[:9]]
    assert [row[-3] for row in rows] == [f"{similarity:.4f}" for similarity, _ in expected()[:9]]
    # Zulu, which ties with Xhosa, is cut off, and the tie is still marked.
    assert [row[:2] for row in rows if row[0].endswith("=")] == [["9=", "xh"]]
    assert lines[9].startswith("= exactly as similar")
    assert completed.err.splitlines() == [
        "note: languages that lack a sub-network are left out: et (seed 8).",
        "1 more source; --top 0 shows all.",
        "there are no intervals: build the store with --parts 8, or with at least three seeds.",
        "next: xsns-stream transfer --task TASK --data FOLDER --sources de,zh-Hant --targets sw -o gold.parquet",
    ]


def test_json_contains_all_sources(folder, in_process):
    code, out, err = in_process(folder, "rank", "--target", "sw", "--json", "--quiet")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert (document["schema_version"], document["command"]) == (1, "rank")
    result = document["result"]
    sources = result.pop("sources")
    assert result == {
        "target": "sw",
        "name": "Swahili",
        "model": "mini",
        "corpus": "",
        "coefficient": "jaccard",
        "seeds": [7, 8],
        "density": 0.15,
        "candidates": 10,
        "reliability": None,
        "intervals": None,
        "worth": [
            "The ranking shows the similarity of sub-networks, which is not a measurement of transfer.",
            "The embedded model 'mini' is a toy model: do not use it for real decisions.",
            "7 examples of the target are enough for a first test only (use 256 or more), and split-half was not "
            "measured.",
        ],
        "notes": ["languages that lack a sub-network are left out: et (seed 8)."],
    }
    assert [source["language"] for source in sources] == [code for _, code in expected()]
    assert [source["similarity"] for source in sources] == pytest.approx([s for s, _ in expected()], rel=1e-15)
    assert {source["language"] for source in sources if source["tied"]} == {"xh", "zu"}
    known = {"language", "name", "similarity", "chance_corrected", "spread", "tied"}
    unknown = {"interval", "best_probability", "level_with_first", "reliability"}
    assert all(set(source) == known | unknown and source["spread"] > 0 for source in sources)
    assert all(source[name] is None for source in sources for name in unknown)


def test_candidates_can_be_named_and_only_their_rows_are_read(folder, in_process):
    store = open_store(folder / "xsns.zarr")
    damaged = [path for path in (folder / "xsns.zarr" / "subnetworks" / "c").rglob("*") if path.is_file()]
    before = {path: path.read_bytes() for path in damaged}
    languages = json.loads((folder / "xsns.zarr/subnetworks/zarr.json").read_text())["attributes"]["languages"]
    slots = {str(languages.index(code)) for code in ("et", "fi", "en")}
    try:
        for path in damaged:
            if path.parent.name not in slots:
                path.unlink()
        code, out, err = in_process(folder, "rank", "--target", "et", "--sources", "fi,eng,et", "--seed", "7", "--json")
    finally:
        for path, data in before.items():
            path.write_bytes(data)
    assert store.verify() == []
    assert (code, err) == (0, "")
    result = json.loads(out)["result"]
    best = expected("et", ("fi", "en"), (7,))
    assert [(source["similarity"], source["language"]) for source in result["sources"]] == best
    assert result["sources"][0]["spread"] is None


@pytest.mark.parametrize(
    ("top", "count", "note"), [((), 10, ""), (("--top", "0"), 10, ""), (("--top", "3"), 3, "7 more sources; --top 0")]
)
def test_top_limits_the_number_of_sources(folder, top, count, note, in_process):
    code, out, err = in_process(folder, "rank", "--target", "sw", "--seed", "8", *top)
    assert code == 0
    assert len([line for line in out.splitlines() if line.lstrip()[:1].isdigit()]) == count
    assert note in err
    assert ("--top 0" in err) == bool(note)
    assert "± seeds" not in out


@pytest.mark.parametrize(
    ("arguments", "code", "message", "hint"),
    [
        (["--target", "sw", "-s", "none.zarr"], 1, "there is no store at 'none.zarr'.", "build the store"),
        (
            ["--target", "swahilli"],
            2,
            "no language 'swahilli' in the store 'xsns.zarr'.",
            "did you mean 'sw' (Swahili)?",
        ),
        (["--target", "sw", "--sources", "fi,finish"], 2, "no language 'finish'", "'fi' (Finnish)"),
        (["--target", "et"], 2, "'et' has no sub-network for seed 8.", "choose seeds that it has with --seed."),
        (["--target", "sw", "--sources", "sw"], 2, "no candidate source for 'sw' except itself.", "other sources"),
        (["--target", "sw", "--top", "-1"], 2, "-1 is not in the range", "see `xsns-stream rank --help`."),
        ([], 2, "Missing option '--targets' / '--target'", "see `xsns-stream rank --help`."),
    ],
)
def test_errors_have_a_message_and_a_hint(folder, arguments, code, message, hint, in_process):
    ended, out, err = in_process(folder, "rank", *arguments)
    assert (ended, out) == (code, "")
    error, hint_line = err.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert hint_line.startswith("hint: ")
    assert hint in hint_line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--strategy", "top"], "--strategy cannot be used without --sources-k."),
        (["--regime", "small"], "--regime cannot be used without --gold."),
        (["--sources-k", "0"], "0 is not in the range x>=1"),
        (["--gold", "none.parquet"], "none.parquet"),
    ],
)
def test_options_that_need_another_option_are_refused_without_it(folder, arguments, message, in_process):
    code, out, err = in_process(folder, "rank", "--target", "sw", *arguments)
    assert (code != 0, out) == (True, "")
    assert message in err


def test_the_examples_of_the_help_page_run(folder, in_process):
    examples = [line.split(maxsplit=2)[2] for line in command.epilog.splitlines() if line.startswith("  xsns-stream")]
    assert len(examples) == 2
    for example in examples:
        code, out, _ = in_process(folder, "rank", *shlex.split(example))
        assert code == 0
        assert "sw" in out
