"""The verbs `info` and `verify`: tables, JSON, errors."""

import json
import os
import shlex
import shutil

import pytest

from tests.support import networks
from tests.support.streams import without_next
from xsns_stream.cli import info, verify
from xsns_stream.store import open_store


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A folder with a store of three languages and two seeds; one row is missing and one is unfinished."""
    folder = tmp_path_factory.mktemp("info")
    store = open_store(folder / "xsns.zarr", "a")
    for seed in (7, 8):
        for language in ("sw", "zh-Hant", "nan"):
            if (language, seed) != ("zh-Hant", 8):
                store.write(networks.make_sub(language, seed))
    shutil.rmtree(folder / "xsns.zarr/commits/0.15/8/nan")
    return folder


@pytest.fixture
def damaged(sound, tmp_path):
    """A copy of the store with a flipped bit in the row of Swahili, seed 7."""
    shutil.copytree(sound / "xsns.zarr", tmp_path / "xsns.zarr")
    file = tmp_path / "xsns.zarr/subnetworks/c/0/0/0/0"
    data = bytearray(file.read_bytes())
    data[20] ^= 4
    file.write_bytes(data)
    return tmp_path


# ----------------------------------------------------------------------------------------------- info


def test_info_shows_what_prune_would_remove(tmp_path, in_process):
    """A killed process has left its work folder beside the store, and a partial file in it."""
    store = open_store(tmp_path / "xsns.zarr", "a")
    store.write(networks.make_sub("sw", 7))
    clean = in_process(tmp_path, "info")
    assert "leftovers" not in clean.out
    name = "0123456789abcdef0123456789abcdef.partial"
    folder = tmp_path / f"xsns.zarr.{name}"
    folder.mkdir()
    (folder / "values").write_bytes(bytes(1000))
    os.utime(folder, (0, 0))
    (tmp_path / f"xsns.zarr/subnetworks/c/0/0/0/0.{name}").write_bytes(bytes(500))
    shown = json.loads(in_process(tmp_path, "info", "--json").out)["result"]
    planned = json.loads(in_process(tmp_path, "prune", "--unfinished", "--dry-run", "--json").out)["result"]
    assert set(shown["leftovers"]) == {f"../{folder.name}", f"subnetworks/c/0/0/0/0.{name}"}
    assert shown["leftovers"] == planned["leftovers"]
    assert shown["leftover_bytes"] == 1500
    assert "leftovers 2 files and folders, 1.5 kB; `prune" in " ".join(in_process(tmp_path, "info").out.split())


def test_info_shows_the_contents_of_a_store(sound, in_process):
    completed = in_process(sound, "info")
    assert (completed.code, without_next(completed.err)) == (0, "")
    lines = [line.rstrip() for line in completed.out.splitlines()]
    fields = dict(line.split("  ", 1) for line in lines[: lines.index("")])
    fields = {name: value.strip() for name, value in fields.items()}
    assert fields["model"] == "mini"
    assert fields["estimator"] == "per-example(token_reduction=sum)"
    assert fields["layout"] == "576 parameters in 3 layers"
    assert fields["languages"] == "3: nan, sw, zh-Hant"
    assert fields["seeds"] == "7, 8"
    assert fields["rows"] == "4 of 6 (languages × seeds × densities)"
    assert fields["unfinished"] == "'nan' (seed 8, density 0.15)"
    assert fields["leftovers"].startswith("1 file or folder, 124 bytes; `prune --unfinished` removes")
    assert fields["size"].endswith(("bytes", "kB"))
    assert [line.split() for line in lines[-2:]] == [
        ["0.15", "7", "3", "–"],
        ["0.15", "8", "1", "nan,", "zh-Hant"],
    ]


def test_info_prints_json(sound, in_process):
    code, out, err = in_process(sound, "info", "--json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert (document["schema_version"], document["command"]) == (1, "info")
    result = document["result"]
    assert result["experiment"]["objective"] == "masked-lm(rate=0.15)"
    assert result["languages"] == ["nan", "sw", "zh-Hant"]
    assert result["names"]["nan"] == "Min Nan Chinese"
    assert (result["rows"], result["parameters"], result["format_version"]) == (4, 576, 1)
    assert result["unfinished_rows"] == ["'nan' (seed 8, density 0.15)"]


def test_info_prints_a_corpus_as_json(tmp_path, in_process):
    (tmp_path / "one.txt").write_text("habari ya asubuhi\n")
    code, out, _ = in_process(tmp_path, "info", "--corpus", "swa=one.txt", "--json")
    assert code == 0
    result = json.loads(out)["result"]
    assert (result["languages"], result["names"], result["local"]) == (["sw"], {"sw": "Swahili"}, True)


# --------------------------------------------------------------------------------------------- verify


def test_a_sound_store_is_one_line(sound, in_process):
    code, out, err = in_process(sound, "verify")
    assert (code, out) == (0, "4 rows verified\n")
    assert without_next(err) == "unfinished, to be built again: 'nan' (seed 8, density 0.15)\n"


def test_a_flipped_bit_is_found_and_named(damaged, in_process):
    completed = in_process(damaged, "verify")
    assert completed.code == 1
    header, _, *findings = [line.rstrip() for line in completed.out.splitlines()]
    assert header.split() == ["problem", "what", "is", "wrong"]
    assert [finding.split(maxsplit=1)[0] for finding in findings] == ["bits", "cardinality"]
    assert "the bits of row 'sw' (seed 7, density 0.15) have changed since they were committed." in findings[0]
    assert completed.err.splitlines()[-2:] == [
        "error: 2 things are wrong with the store 'xsns.zarr', in 'sw' (seed 7, density 0.15).",
        "hint: restore these rows from a copy; or delete commits/0.15/7/sw in the store, and build again.",
    ]


def test_verify_prints_findings_as_json(damaged, sound, in_process):
    code, out, err = in_process(damaged, "verify", "--json", "--quiet")
    assert code == 1
    assert err.startswith("error: 2 things are wrong")
    document = json.loads(out)
    assert (document["schema_version"], document["command"]) == (1, "verify")
    result = document["result"]
    assert (result["store"], result["sound"], result["rows"]) == ("xsns.zarr", False, 4)
    assert [finding["problem"] for finding in result["findings"]] == ["bits", "cardinality"]
    finding = result["findings"][0]
    assert (finding["language"], finding["seed"], finding["density"]) == ("sw", 7, 0.15)
    code, out, err = in_process(sound, "verify", "--json", "--quiet")
    assert (code, err) == (0, "")
    assert json.loads(out)["result"]["findings"] == []


def test_many_findings_are_in_the_table_and_few_in_the_error(damaged, in_process):
    for file in (damaged / "xsns.zarr/subnetworks/c").rglob("0"):
        if file.is_file():
            file.unlink()
    code, out, err = in_process(damaged, "verify", "--quiet")
    assert code == 1
    assert out.count("missing  ") == 4
    assert "4 things are wrong" in err
    assert "and 1 more." in err


def test_a_commit_record_that_belongs_to_no_row_is_reported(damaged, in_process):
    commits = damaged / "xsns.zarr/commits"
    shutil.rmtree(commits / "0.15/7/sw")
    shutil.copytree(commits / "0.15/7/nan", commits / "0.150/7/nan")
    code, out, err = in_process(damaged, "verify", "--quiet")
    assert code == 1
    assert "no row can have a commit record at the path 'commits/0.150/7/nan'." in out
    assert err == ("error: 1 thing is wrong with the store 'xsns.zarr'.\nhint: restore the damaged rows from a copy.\n")


# ----------------------------------------------------------------------------------------------- both


@pytest.mark.parametrize(
    ("arguments", "code", "message", "hint"),
    [
        (["verify", "-s", "none.zarr"], 1, "there is no store at 'none.zarr'.", "build the store"),
        (["info", "-s", "none.zarr"], 1, "there is no store at 'none.zarr'.", "build the store"),
        (["info", "-s", "commits"], 1, "'commits' is not a store of sub-networks", "check the path"),
        (["info", "--corpus", "cldrr"], 1, "there is no corpus 'cldrr'", "did you mean cldr?"),
        (["info", "-s", "xsns.zarr", "--corpus", "cldr"], 2, "--store and --corpus cannot be combined.", "one of them"),
    ],
)
def test_errors_have_a_message_and_a_hint(sound, arguments, code, message, hint, in_process):
    (sound / "commits").mkdir(exist_ok=True)
    (sound / "commits" / "note.txt").write_text("something else")
    ended, out, err = in_process(sound, *arguments)
    assert (ended, out) == (code, "")
    error, hint_line = err.splitlines()
    assert message in error
    assert hint in hint_line


@pytest.mark.parametrize("verb", [info, verify])
def test_the_examples_of_the_help_page_run(sound, verb, in_process):
    epilog = verb.command.epilog.splitlines()
    examples = [line.split(maxsplit=1)[1] for line in epilog if line.startswith("  xsns-stream")]
    assert len(examples) == 2
    for example in examples:
        code, out, _ = in_process(sound, *shlex.split(example))
        assert code == 0
        assert out


def test_a_corpus_is_opened_with_the_options_of_build(tmp_path, in_process):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "sw.jsonl").write_text('{"body": "habari ya asubuhi"}\n')
    code, out, _ = in_process(tmp_path, "info", "--corpus", "texts", "--text-column", "body", "--json")
    assert (code, json.loads(out)["result"]["languages"]) == (0, ["sw"])
    code, out, err = in_process(tmp_path, "info", "--corpus", "texts", "--config", "x")
    assert (code, out) == (2, "")
    assert err.startswith("error: --config cannot be used with local files.")


def test_options_of_a_corpus_cannot_be_used_with_a_store(sound, in_process):
    for option in ("--text-column", "--split", "--config", "--corpus-revision"):
        code, out, err = in_process(sound, "info", option, "x")
        assert (code, out) == (2, "")
        assert err == f"error: {option} cannot be used with a store.\nhint: give --corpus too.\n"


def test_one_row_is_reported_in_the_singular(tmp_path, in_process):
    open_store(tmp_path / "xsns.zarr", "a").write(networks.make_sub("sw"))
    assert in_process(tmp_path, "verify", "-q") == (0, "1 row verified\n", "")


def test_damaged_fisher_values_are_named(tmp_path, in_process):
    import numpy as np

    from xsns_stream.types import DiagonalFisher

    sub = networks.make_sub("sw", 7)
    values = tuple(np.ones(shape, np.float32) for shape in sub.layout.shapes)
    store = open_store(tmp_path / "xsns.zarr", "a")
    store.save_fisher(DiagonalFisher(values, sub.layout, 7, "sw", sub.provenance))
    file = tmp_path / "xsns.zarr/fisher/c/0/0/0"
    file.write_bytes(file.read_bytes()[:-9])
    code, out, err = in_process(tmp_path, "verify", "--json", "--quiet")
    assert code == 1
    (finding,) = json.loads(out)["result"]["findings"]
    assert (finding["problem"], finding["language"], finding["seed"], finding["density"]) == ("values", "sw", 7, None)
    assert "in 'sw' (seed 7, Fisher values)." in err
    assert "delete fisher_commits/7/sw in the store" in err
