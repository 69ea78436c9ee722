"""The verb `shared`: table, JSON, errors."""

import json
from functools import reduce
from operator import and_, or_

import pytest
from click.testing import CliRunner

from tests.support import networks
from xsns_stream.cli.shared import command
from xsns_stream.errors import LanguageError, UsageError
from xsns_stream.store import open_store

CODES = ("en", "fi", "sw")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of three languages with two seeds, and a fourth with one seed."""
    path = tmp_path_factory.mktemp("shared") / "xsns.zarr"
    store = open_store(path, "a")
    for code in CODES:
        for seed in (7, 8):
            store.write(networks.make_sub(code, seed))
    store.write(networks.make_sub("yo", 7))
    return str(path)


def call(*arguments):
    completed = CliRunner().invoke(command, list(arguments), help_option_names=["-h", "--help"])
    if completed.exception is not None and not isinstance(completed.exception, SystemExit):
        raise completed.exception
    return completed


def cardinality(codes, seed, operation, layer=None):
    numbers = [int.from_bytes(networks.make_sub(code, seed).bits.tobytes(), "little") for code in codes]
    bits = reduce(operation, numbers)
    return (bits if layer is None else bits >> 192 * layer & (1 << 192) - 1).bit_count()


def test_json_has_every_seed_and_layer(store):
    result = json.loads(call("-s", store, "--lang", "sw,fi,en", "--json").output)["result"]
    assert result == {
        "languages": ["sw", "fi", "en"],
        "seeds": [7, 8],
        "density": 0.15,
        "parameters": 576,
        "common": [cardinality(CODES, seed, and_) for seed in (7, 8)],
        "united": [cardinality(CODES, seed, or_) for seed in (7, 8)],
        "by": "layer",
        "groups": [
            {
                "name": f"layer.{layer}",
                "parameters": 192,
                "common": [cardinality(CODES, seed, and_, layer) for seed in (7, 8)],
                "united": [cardinality(CODES, seed, or_, layer) for seed in (7, 8)],
            }
            for layer in range(3)
        ],
    }


def test_all_stands_for_languages_with_every_seed(store):
    result = json.loads(call("-s", store, "--lang", "all", "--json", "--by", "tensor").output)["result"]
    assert result["languages"] == list(CODES)
    assert result["groups"][0]["name"] == "layer.0.weight"
    one = json.loads(call("-s", store, "--lang", "all", "--seed", "7", "--json").output)["result"]
    assert one["languages"] == [*CODES, "yo"]
    assert one["common"] == [cardinality([*CODES, "yo"], 7, and_)]


def test_the_table_has_a_line_for_each_layer_and_one_for_all(store):
    header, _, *lines = call("-s", store, "--lang", "sw,fi", "--seed", "8").stdout.splitlines()
    assert header.split() == ["layer", "parameters", "in", "all", "2", "in", "any"]
    cells = [line.split() for line in lines]
    assert [line[0] for line in cells] == ["layer.0", "layer.1", "layer.2", "all"]
    both, either = (cardinality(("sw", "fi"), 8, operation) for operation in (and_, or_))
    assert cells[-1][1:] == ["576", str(both), f"{both / 576:.1%}", str(either), f"{either / 576:.1%}"]


def test_unknown_languages_and_seeds_are_refused(store):
    with pytest.raises(LanguageError, match="no language 'swahilli' in the store"):
        call("-s", store, "--lang", "swahilli")
    with pytest.raises(LanguageError, match="no sub-network of 'yo' for seed 8"):
        call("-s", store, "--lang", "yo,sw")
    with pytest.raises(UsageError, match="has no seed 9"):
        call("-s", store, "--lang", "sw", "--seed", "9")
    assert "Missing option '-l' / '--lang'" in call("-s", store).output
