"""The verbs `copy`, `merge` and `prune`."""

import json
import shutil

import numpy as np
import pytest

from tests.support import networks
from tests.support.streams import without_next
from xsns_stream.store import open_store


@pytest.fixture
def folder(tmp_path):
    """A folder with `a.zarr` (three languages, two seeds of Swahili, Fisher values) and `b.zarr` (two languages)."""
    a = open_store(tmp_path / "a.zarr", "a")
    for language, seed in (("sw", 7), ("zh-Hant", 7), ("fi", 7), ("sw", 8)):
        a.write(networks.make_sub(language, seed))
    networks.save_ones(a, "sw", 7)
    b = open_store(tmp_path / "b.zarr", "a")
    for language in ("yo", "sw"):
        b.write(networks.make_sub(language, 7))
    return tmp_path


def result(completed, verb):
    document = json.loads(completed[1])
    assert document["command"] == verb
    return document["result"]


def names(path):
    keys = open_store(path).keys()
    return [(key.language, key.seed) for key in keys]


# ----------------------------------------------------------------------------------------------- copy


def test_a_copy_reports_the_number_of_rows_and_bytes(folder, in_process):
    completed = in_process(folder, "copy", "a.zarr", "c.zarr")
    assert (completed.code, without_next(completed.err)) == (0, "")
    first, second = completed.out.splitlines()
    assert first == "c.zarr: 4 rows copied, 0 already present."
    assert second.startswith("size: ")
    assert names(folder / "c.zarr") == names(folder / "a.zarr")
    again = in_process(folder, "copy", "a.zarr", "c.zarr")
    assert again.out.splitlines()[0] == "c.zarr: 0 rows copied, 4 already present."


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        (["--lang", "swa,fin"], [("fi", 7), ("sw", 7), ("sw", 8)]),
        (["-l", "swh", "--seed", "8"], [("sw", 8)]),
        (["--lang", "zh_Hant", "--density", "0.15"], [("zh-Hant", 7)]),
        (["--lang", "all"], [("fi", 7), ("sw", 7), ("zh-Hant", 7), ("sw", 8)]),
    ],
)
def test_rows_are_chosen_in_any_spelling(folder, options, rows, in_process):
    completed = in_process(folder, "copy", "a.zarr", "c.zarr", *options, "--json")
    assert completed[0] == 0
    assert [(row["language"], row["seed"]) for row in result(completed, "copy")["written"]] == rows
    assert names(folder / "c.zarr") == rows


def test_a_copy_may_be_compressed_and_its_copy_stays_compressed(folder, in_process):
    # The bits are clustered like those of a model, so that they can be compressed.
    bits = np.zeros(3 * 64_000 // 64, np.uint64)
    bits[:400] = 2**64 - 1
    layout = networks.make_layout(3, 64_000)
    open_store(folder / "big.zarr", "a").write(networks.make_sub("sw", 7, layout=layout, bits=bits))
    completed = in_process(folder, "copy", "big.zarr", "z.zarr", "--codec", "zstd", "--json")
    document = result(completed, "copy")
    assert document["words_bytes"] == 24_000
    assert document["ratio"] == pytest.approx(24_000 / document["target_bytes"])
    assert document["ratio"] > 10
    assert document["target_bytes"] == (folder / "z.zarr/subnetworks/c/0/0/0/0").stat().st_size
    out = in_process(folder, "copy", "big.zarr", "z.zarr")[1]
    assert f"{document['ratio']:.2f} × smaller than uncompressed rows." in out
    in_process(folder, "copy", "z.zarr", "zz.zarr")
    in_process(folder, "copy", "z.zarr", "plain.zarr", "--codec", "none")
    assert open_store(folder / "zz.zarr").info()["compressed"]
    assert not open_store(folder / "plain.zarr").info()["compressed"]
    assert np.array_equal(open_store(folder / "plain.zarr")["sw"].bits, bits)
    for name in ("z.zarr", "zz.zarr", "plain.zarr"):
        assert in_process(folder, "verify", "-s", name)[0] == 0


def test_fisher_values_are_copied_with_an_option(folder, in_process):
    in_process(folder, "copy", "a.zarr", "without.zarr")
    assert open_store(folder / "without.zarr").fisher_keys() == ()
    code, out, _ = in_process(folder, "copy", "a.zarr", "with.zarr", "--with-fisher", "--lang", "sw")
    assert code == 0
    assert "Fisher values: 1 row" in out
    assert open_store(folder / "with.zarr").fisher_values("sw", 7).values[0][0] == 1
    in_process(folder, "copy", "a.zarr", "fi.zarr", "--with-fisher", "--lang", "fi")
    assert open_store(folder / "fi.zarr").fisher_keys() == ()


def test_a_damaged_row_is_not_copied_and_gives_exit_code_3(folder, in_process):
    file = folder / "a.zarr/subnetworks/c/0/0/1/0"
    data = bytearray(file.read_bytes())
    data[20] ^= 4
    file.write_bytes(data)
    code, out, err = in_process(folder, "copy", "a.zarr", "c.zarr", "--json")
    assert code == 3
    (failed,) = json.loads(out)["result"]["failed"]
    assert (failed["language"], failed["seed"]) == ("zh-Hant", 7)
    assert "does not contain the bits that were committed" in failed["error"]
    assert err.startswith("error: 1 row could not be read: 'zh-Hant' (seed 7, density 0.15).\nhint: the other rows are")
    assert names(folder / "c.zarr") == [("fi", 7), ("sw", 7), ("sw", 8)]


# ---------------------------------------------------------------------------------------------- merge


def test_stores_are_merged(folder, in_process):
    completed = in_process(folder, "merge", "all.zarr", "a.zarr", "b.zarr")
    assert (completed.code, without_next(completed.err)) == (0, "")
    assert completed.out.startswith("all.zarr: 5 rows copied, 0 already present.\n")
    assert names(folder / "all.zarr") == [("fi", 7), ("sw", 7), ("yo", 7), ("zh-Hant", 7), ("sw", 8)]
    document = result(in_process(folder, "merge", "a.zarr", "b.zarr", "--json"), "merge")
    assert (document["target"], document["sources"]) == ("a.zarr", ["b.zarr"])
    assert [row["language"] for row in document["written"]] == ["yo"]
    assert [row["language"] for row in document["skipped"]] == ["sw"]
    assert in_process(folder, "verify", "-s", "a.zarr")[0] == 0


def test_stores_of_different_experiments_are_refused(folder, in_process):
    open_store(folder / "other.zarr", "a").write(networks.make_sub("rw", 7, model="other"))
    code, out, err = in_process(folder, "merge", "a.zarr", "b.zarr", "other.zarr")
    assert (code, out) == (1, "")
    assert "the stores contain different experiments: model is 'mini' in 'a.zarr' and 'other' in 'other.zarr'." in err
    open_store(folder / "bits.zarr", "a").write(networks.make_sub("sw", 7, bits=networks.make_bits(576, 5)))
    code, out, err = in_process(folder, "merge", "a.zarr", "b.zarr", "bits.zarr")
    assert (code, out) == (1, "")
    assert "'sw' (seed 7, density 0.15) in 'bits.zarr' and 'a.zarr'" in err
    assert "yo" not in open_store(folder / "a.zarr")


# ---------------------------------------------------------------------------------------------- prune


def test_a_dry_run_lists_the_rows_to_drop(folder, in_process):
    code, out, err = in_process(folder, "prune", "a.zarr", "--lang", "swa", "--dry-run")
    assert (code, without_next(err)) == (0, "")
    *rows, last = out.splitlines()
    assert rows == ["  'sw' (seed 7, density 0.15)", "  'sw' (seed 8, density 0.15)"]
    assert last.startswith("a.zarr: 2 rows, ")
    assert last.endswith(" would be removed.")
    assert len(names(folder / "a.zarr")) == 4


@pytest.mark.parametrize(
    ("options", "remaining"),
    [
        (["--lang", "sw"], [("fi", 7), ("zh-Hant", 7)]),
        (["--lang", "sw", "--seed", "8"], [("fi", 7), ("sw", 7), ("zh-Hant", 7)]),
        (["--seed", "7"], [("sw", 8)]),
        (["--keep-lang", "swh,fi"], [("fi", 7), ("sw", 7), ("sw", 8)]),
        (["--keep-lang", "all"], [("fi", 7), ("sw", 7), ("zh-Hant", 7), ("sw", 8)]),
        (["--density", "0.15"], []),
        (["--fisher"], [("fi", 7), ("sw", 7), ("zh-Hant", 7), ("sw", 8)]),
        (["--unfinished"], [("fi", 7), ("sw", 7), ("zh-Hant", 7), ("sw", 8)]),
    ],
)
def test_the_chosen_rows_are_dropped(folder, options, remaining, in_process):
    completed = in_process(folder, "prune", "a.zarr", *options, "--yes", "--json")
    assert (completed[0], completed[2]) == (0, "")
    document = result(completed, "prune")
    assert document["dropped"]
    assert len(document["rows"]) == 4 - len(remaining)
    assert names(folder / "a.zarr") == remaining
    # Fisher values are dropped only with the option.
    assert len(open_store(folder / "a.zarr").fisher_keys()) == (0 if "--fisher" in options else 1)
    assert in_process(folder, "verify", "-s", "a.zarr", "--quiet")[0] == 0


def test_leftovers_of_a_crash_are_removed(folder, in_process):
    shutil.rmtree(folder / "a.zarr/commits/0.15/7/fi")
    size = (folder / "a.zarr/subnetworks/c/0/0/2/0").stat().st_size
    document = result(in_process(folder, "prune", "a.zarr", "--unfinished", "--yes", "--json"), "prune")
    assert (document["leftovers"], document["bytes"]) == (["subnetworks/c/0/0/2/0"], size)
    assert in_process(folder, "info", "-s", "a.zarr", "--json")[1].count('"unfinished_rows": []') == 1


@pytest.mark.parametrize(
    ("extra", "reason"),
    [([], "there is no terminal for the confirmation"), (["--json"], "--json asks for no confirmation")],
)
def test_without_a_terminal_nothing_is_dropped(folder, extra, reason, in_process):
    code, _, err = in_process(folder, "prune", "a.zarr", "--lang", "sw", *extra)
    assert code == 2
    assert err.startswith(f"error: nothing was removed, because {reason}.\nhint: give --yes to remove without")
    assert len(names(folder / "a.zarr")) == 4


# --------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "code", "message", "hint"),
    [
        (["copy", "none.zarr", "c.zarr"], 1, "there is no store at 'none.zarr'", "check the path"),
        (["copy", "a.zarr", "c.zarr", "--lang", "ja"], 2, "no language 'ja' in the store 'a.zarr'", "it has fi, sw"),
        (
            ["copy", "a.zarr", "c.zarr", "--lang", "swahilli"],
            2,
            "no language 'swahilli'",
            "did you mean 'sw' (Swahili)?",
        ),
        (["copy", "a.zarr", "c.zarr", "--lang", ","], 2, "no language was requested", "give codes"),
        (["copy", "a.zarr", "c.zarr", "--seed", "9"], 2, "no seed 9 in the store 'a.zarr'", "it has 7, 8."),
        (["copy", "a.zarr", "c.zarr", "--density", "0.3"], 2, "no density 0.3", "it has 0.15."),
        (["copy", "a.zarr", "b.zarr", "--codec", "zstd"], 2, "exists with codec none", "a store has one codec"),
        (["copy", "a.zarr", "a.zarr/c"], 2, "is within the other", "outside of the other store"),
        (["copy", "a.zarr", "c.zarr", "--lang", "fi", "--seed", "8"], 1, "no row to copy", "choose other rows"),
        (["merge", "all.zarr", "a.zarr", "none.zarr"], 1, "there is no store at 'none.zarr'", "check the path"),
        (["merge", "all.zarr"], 2, "Missing argument 'SOURCE...'", "merge --help"),
        (["prune", "none.zarr", "--lang", "sw", "--yes"], 1, "there is no store at 'none.zarr'", "check the path"),
        (["prune", "a.zarr", "--yes"], 2, "no row to remove from the store 'a.zarr' was selected", "--keep-lang"),
        (["prune", "a.zarr", "--lang", ",", "--yes"], 2, "no language was requested", "give codes"),
        (["prune", "a.zarr", "--keep-lang", ",", "--yes"], 2, "no language was requested", "give codes"),
        (["prune", "a.zarr", "--lang", "sw", "--keep-lang", "fi"], 2, "were both given", "the languages to keep"),
        (["prune", "a.zarr", "--lang", "sw", "--dry-run", "--yes"], 2, "were both given", "one of them"),
        (["prune", "a.zarr", "--fisher", "--density", "0.15"], 2, "does not apply to Fisher values", "omit"),
        (["prune", "a.zarr", "--fisher", "--lang", "fi"], 2, "no language 'fi' in the Fisher values of", "it has sw"),
        (["prune", "a.zarr", "--fisher", "--seed", "8"], 2, "no seed 8 in the Fisher values of", "it has 7."),
    ],
)
def test_errors_have_a_message_and_a_hint(folder, arguments, code, message, hint, in_process):
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.zarr/**/zarr.json")}
    ended, out, err = in_process(folder, *arguments)
    assert (ended, out) == (code, "")
    error, hint_line = err.splitlines()
    assert message in error
    assert hint in hint_line
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*.zarr/**/zarr.json")} == before
