"""Options of all verbs: a spelling means one option, which has one default."""

from __future__ import annotations

import importlib.util
from collections import defaultdict
from typing import Any

import pytest

from tests.support.paths import DOCS, ROOT

#: {option: why its default, or the number of its values, differs between verbs}. `docs/options.md` explains them.
DIFFERENT = {
    "--batch": "transfer trains: the batch size changes its results, and is part of its preset",
    "--by": "shared always counts by groups, matrix only if groups are requested",
    "--column": "the column of a table of families, scripts or sizes",
    "--corpus": "info shows a store, and baseline all computes text baselines, only if there is no corpus",
    "--data": "one labelled data set, or several folders of tables",
    "--density": "build and reproduce make rows; other verbs use the density that the store has, one at a time",
    "--examples": "the presets of reproduce",
    "--layer": "nn-rank has the layer of its paper",
    "--max-length": "the presets of reproduce",
    "--model": "baseline all needs no model; reproduce has presets; --model of regress is the former spelling of --fit",
    "--output": "a file that is read again, a folder, or a name with {lang} is needed once",
    "--parts": "a number in build, and the kind of thing that is removed in prune",
    "--preset": "presets of fine-tuning, and of the paper's tables",
    "--seed": "build, transfer and baselines draw; other verbs use every seed that the store has; export takes one row",
    "--words": "given in transfer, so that its results remain comparable with former ones",
    "--store": "baselines take settings from a store only if it is given",
}
#: Options that select languages. Their default is every language that the verb can use.
SELECTIONS = {"--lang", "--sources", "--targets"}


def _tool() -> Any:
    spec = importlib.util.spec_from_file_location("list_options", ROOT / "tools" / "list_options.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules["list_options"] = module
    spec.loader.exec_module(module)
    return module


TOOL = _tool()
OPTIONS = TOOL.options()


def _default(option: Any) -> str:
    return "all" if option.name in SELECTIONS and option.default[:3] in ("", "all") else option.default


def test_a_spelling_belongs_to_one_option() -> None:
    names: dict[str, set[str]] = defaultdict(set)
    for option in OPTIONS:
        for spelling in option.spellings:
            names[spelling].add(option.name)
    assert {spelling: options for spelling, options in names.items() if len(options) > 1} == {
        "--model": {"--model", "--fit"}
    }


def test_an_option_has_one_default_and_one_kind_of_value_in_all_verbs() -> None:
    kinds: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for option in OPTIONS:
        kinds["--model" if option.name == "--fit" else option.name].add((_default(option), option.takes))
    different = {name: variants for name, variants in kinds.items() if len(variants) > 1}
    assert different.keys() == DIFFERENT.keys(), {name: different.get(name) for name in different.keys() ^ DIFFERENT}


@pytest.mark.parametrize("name", ["--lang", "--sources", "--targets"])
def test_selections_of_languages_have_the_same_spellings(name: str) -> None:
    spellings = {option.spellings for option in OPTIONS if option.name == name}
    assert len(spellings) == 1
    assert len(spellings.pop()) >= 2


def test_the_page_lists_the_options_of_several_verbs() -> None:
    page = (DOCS / "options.md").read_text(encoding="utf-8")
    assert TOOL.shared_table() in page, "run `python tools/list_options.py --shared`, and put the table into the page"
    listed = page.partition("## Where one option differs")[2]
    assert [name for name in DIFFERENT if f"`{name}`" not in listed] == []


@pytest.mark.parametrize("spelling", [("--seed", "1", "--seed", "2"), ("--seeds", "1,2"), ("--seed", "1,2")])
def test_lists_of_numbers_have_commas_or_are_repeated(spelling: tuple[str, ...]) -> None:
    from xsns_stream.cli.build import command

    context = command.make_context("build", [*spelling, "--densities", "0.1,0.2"])
    assert (context.params["seeds"], context.params["densities"]) == ((1, 2), (0.1, 0.2))


@pytest.mark.parametrize("value", ["x", "1,x", "1.5"])
def test_a_list_with_something_else_is_an_error(value: str, xsns: Any) -> None:
    completed = xsns("build", "--seed", value)
    assert (completed.code, completed.out) == (2, "")
    assert completed.err.startswith("error: Invalid value for '--seed'")
    assert f"'{value}' is not an integer or a list of integers with commas between them." in completed.err


def test_a_store_is_given_as_an_argument_or_as_an_option(xsns: Any) -> None:
    for verb in ("prune", "info", "verify"):
        as_argument, as_option = xsns(verb, "none.zarr"), xsns(verb, "--store", "none.zarr")
        assert as_argument == as_option
        assert "there is no store at 'none.zarr'" in as_option.err
        both = xsns(verb, "none.zarr", "--store", "other.zarr")
        assert (both.code, both.out) == (2, "")
        assert both.err == "error: two stores were given: 'none.zarr' and 'other.zarr'.\nhint: give one of them.\n"
