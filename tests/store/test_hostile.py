"""Malicious stores: no verb hangs, fills the memory, ends with a traceback, or gives a wrong result silently."""

import contextlib
import json
import resource
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.support import store_damages
from xsns_stream.errors import ExitCode, XsnsError
from xsns_stream.similarity import count_overlaps
from xsns_stream.store import open_store
from xsns_stream.store.overlap_cache import overlap_cache
from xsns_stream.types import DiagonalFisher

LANGUAGES = ("sw", "rw", "yo")
TEXT = {
    "corpus": "texts",
    "corpus_digest": "d1",
    "reliability": {"split_half": 0.5, "stability": [[4, None], [8, 0.5]]},
}
SECONDS = 10
MEMORY_KB = 1_000_000
#: {verb: its words}. STORE is the damaged store, NEW a path that does not exist, and GOLD a file of gold scores.
VERBS = {
    "info": "info --store STORE --json",
    "matrix": "matrix --store STORE --json",
    "rank": "rank --store STORE --target sw --json",
    "verify": "verify --store STORE --json",
    "shared": "shared --store STORE --lang sw,rw --json",
    "copy": "copy STORE NEW --with-fisher --json",
    "merge": "merge NEW STORE --json",
    "export": "export --store STORE --lang sw --output NEW.npz",
    "prune": "prune STORE --unfinished --dry-run --json",
    "evaluate": "evaluate --gold GOLD --predict xsns=STORE --resamples 100 --no-trivial --json",
}


class HangError(BaseException):
    """A verb took too long. It is not an `Exception`, so that no code catches it as an error of its own."""


@contextlib.contextmanager
def alarm(seconds):
    """Raise an error if the block takes longer than `seconds`; restore the former alarm of the test afterwards."""

    def ring(*_):
        raise HangError

    handler, (left, every) = signal.signal(signal.SIGALRM, ring), signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, left, every)


def make_store(path, networks, compressor="none"):
    """Make a store of rows, with parts of two rows, Fisher values and saved counts."""
    store = open_store(path, "a", compressor=compressor)
    layout = networks.make_layout()
    for language in LANGUAGES:
        sub = networks.make_sub(language, **TEXT)
        values = np.linspace(0, 1, layout.size, dtype=np.float32).reshape(3, -1)
        store.save_fisher(DiagonalFisher(tuple(values), layout, 7, language, sub.provenance))
        for number in (1, 2) if language != "yo" else ():
            bits = networks.make_bits(layout.size, number)
            store.write_fold(networks.make_sub(language, bits=bits, **TEXT), 2, number)
        store.write(sub)
    count_overlaps(store, cache=overlap_cache(store))
    return path


@pytest.fixture(scope="module", params=["none", pytest.param("zstd", marks=pytest.mark.exhaustive)])
def sound(request, tmp_path_factory, networks):
    return make_store(tmp_path_factory.mktemp("sound") / "s.zarr", networks, request.param)


@pytest.fixture
def attack(sound, tmp_path, xsns, networks):
    """Damage a copy of the store, run verbs on it, and return descriptions of wrong outcomes."""
    expected = {verb: run(xsns, verb, sound, tmp_path / "sound") for verb in VERBS}
    for verb, completed in expected.items():
        assert completed.code == 0, (verb, completed.err)
    start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def call(number, damage, verbs):
        store = shutil.copytree(sound, tmp_path / f"{number}" / "s.zarr")
        damage.apply(store)
        faults = []
        for verb in verbs:
            new = tmp_path / f"{number}" / f"new-{verb}"
            try:
                with alarm(SECONDS):
                    completed = run(xsns, verb, store, new)
            except HangError:
                faults.append(f"{damage} | {verb} took more than {SECONDS} s")
                continue
            if completed.code not in (0, 1, 2, 3) or "Traceback" in completed.err:
                faults.append(f"{damage} | {verb} ended with {completed.code}: {completed.err[-300:]}")
            elif (
                completed.code == ExitCode.OK
                and not damage.removes
                and not same(verb, completed, expected[verb], new, networks)
            ):
                faults.append(f"{damage} | {verb} gave another result: {completed.out[:300]}")
            if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start > MEMORY_KB:
                faults.append(f"{damage} | {verb} took more than a gigabyte")
                break
        shutil.rmtree(tmp_path / f"{number}")
        return faults

    return call


def run(xsns, verb, store, new):
    words = VERBS[verb].replace("STORE", str(store)).replace("NEW", str(new))
    return xsns(*words.replace("GOLD", str(_gold_scores(xsns, Path(store).parents[1]))).split())


def _gold_scores(xsns, folder):
    """Scores of every pair of languages, which are written once."""
    path = folder / "gold.parquet"
    if not path.exists():
        pairs = [(source, target) for source in LANGUAGES for target in LANGUAGES]
        lines = [f"{source},{target},{10 + number}" for number, (source, target) in enumerate(pairs)]
        table = folder / "gold.csv"
        table.write_text("\n".join(["source,target,score", *lines]) + "\n")
        options = ("--format", "long", "--task", "pos", "--metric", "accuracy", "--unit", "percent")
        assert xsns("gold", "import", table, *options, "--output", path).code == 0
    return path


def same(verb, completed, expected, new, networks):
    """Return whether a verb that succeeded gave the result of the undamaged store, or named what it left out."""
    if verb in ("copy", "merge"):
        store = open_store(new)
        bits = {language: store.read(language).bits.tolist() for language in store}
        expected_bits = {language: networks.make_sub(language).bits.tolist() for language in LANGUAGES}
        return bits == expected_bits and store.verify() == []
    if verb == "evaluate":
        found, expected_bits = (json.loads(text)["result"]["predictors"] for text in (completed.out, expected.out))
        return [row["metrics"] for row in found] == [row["metrics"] for row in expected_bits]
    if verb in ("matrix", "rank", "shared"):
        found, expected_bits = (numbers(json.loads(text)["result"]) for text in (completed.out, expected.out))
        return found == expected_bits
    return True


def numbers(result):
    """Return the numbers of a result that are computed from bits."""
    if "sources" in result:
        return [(source["language"], source["similarity"]) for source in result["sources"]]
    return {name: result[name] for name in ("languages", "jaccard", "spread", "parameters", "count") if name in result}


def attack_all(attack, damages, verbs_of, third=None):
    """Apply each damage, or each damage of one third of the list, and run verbs on each damaged store."""
    faults = []
    for number, damage in enumerate(damages):
        if third is None or number % 3 == third:
            faults += attack(number, damage, verbs_of(number))
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:40])


def turns(each):
    """Give every damage some of the verbs in turn."""
    verbs = list(VERBS)
    return lambda number: [verbs[(number * each + k) % len(verbs)] for k in range(each)]


@pytest.mark.parametrize("third", [0, *(pytest.param(third, marks=pytest.mark.slow) for third in (1, 2))])
def test_links_pipes_devices_and_sizes_do_no_harm(attack, third):
    attack_all(attack, store_damages.special(), turns(1), third)


def test_fields_of_unexpected_types_do_no_harm(attack, sound):
    attack_all(attack, store_damages.sample(sound, 20, 90), turns(1))


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
def test_every_verb_survives_every_special_damage(attack):
    attack_all(attack, store_damages.special(), lambda number: VERBS)


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
def test_every_verb_survives_fields_of_many_types(attack, sound):
    attack_all(attack, store_damages.sample(sound, 21, 300), lambda number: VERBS)


def test_ten_megabytes_of_attributes_are_read(sound, tmp_path, xsns):
    store = shutil.copytree(sound, tmp_path / "s.zarr")
    for name in store_damages.DOCUMENTS[:7]:
        store_damages.Damage(name, "many").apply(store)
    with alarm(60):
        completed = xsns("verify", "--store", store)
    assert completed.code == 0, completed.err
    assert not [line for line in completed.err.splitlines() if not line.startswith("next: ")]


@pytest.mark.parametrize(
    ("file", "path", "value", "field"),
    [
        (
            "zarr.json",
            ("attributes", "layout", "shapes"),
            3,
            "attributes.layout.shapes: expected a list, got an integer",
        ),
        ("zarr.json", ("attributes", "parameters"), 10**15, "attributes.parameters: expected an integer <= "),
        ("subnetworks/zarr.json", ("shape", 3), 9.0, "shape[3]: expected an integer, got a number"),
        ("commits/0.15/0/sw/zarr.json", ("attributes", "threshold"), "0x1p999999999", "attributes.threshold: '0x1p9"),
        (
            "commits/0.15/0/sw/zarr.json",
            ("attributes", "provenance", "reliability"),
            [1],
            "provenance.reliability: expec",
        ),
        (
            "commits/0.15/0/sw/zarr.json",
            ("attributes", "provenance", "reliability", "stability"),
            "abc",
            "attributes.provenance.reliability.stability: expected a list, got text",
        ),
        ("parts/zarr.json", ("attributes", "counts", 0), 2.0, "attributes.counts[0]: expected an integer"),
    ],
)
def test_the_field_is_named(sound, tmp_path, xsns, file, path, value, field):
    store = shutil.copytree(sound, tmp_path / "s.zarr")
    store_damages.Damage(file, "put", path, value).apply(store)
    completed = xsns("info", "--store", store)
    assert (completed.code, completed.out) == (1, "")
    assert f"{file}' does not follow the format: " in completed.err
    assert field in completed.err


def test_building_onto_a_damaged_store_is_refused(sound, tmp_path, networks):
    for number, damage in enumerate(store_damages.special()[::3]):
        store = shutil.copytree(sound, tmp_path / str(number))
        damage.apply(store)
        with alarm(3 * SECONDS), contextlib.suppress(XsnsError):
            opened = open_store(store, "a")
            opened.write_fold(networks.make_sub("zu", density=0.5, **TEXT), 2, 1)
            opened.write(networks.make_sub("zu", density=0.5, **TEXT))
            assert open_store(store).read("zu").bits.tolist() == networks.make_sub("zu", density=0.5).bits.tolist()
        shutil.rmtree(store)
