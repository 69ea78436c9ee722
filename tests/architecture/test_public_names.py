"""The public names of the package: each is listed once, can be imported, and is documented."""

from __future__ import annotations

import inspect
from importlib import import_module
from importlib.metadata import version

import pytest

import xsns_stream
from xsns_stream.cli import VERBS
from xsns_stream.errors import ExitCode, XsnsError

NAMES = sorted(xsns_stream._HOMES)


def test_all_lists_the_names_that_can_be_imported() -> None:
    assert set(xsns_stream.__all__) == {*xsns_stream._HOMES, "__version__"}
    assert len(set(xsns_stream.__all__)) == len(xsns_stream.__all__)
    assert sorted(dir(xsns_stream)) == sorted(xsns_stream.__all__)
    assert xsns_stream.__version__ == version("xsns-stream")


@pytest.mark.parametrize("name", NAMES)
def test_every_name_can_be_imported_and_is_documented(name: str) -> None:
    value = getattr(xsns_stream, name)
    home = import_module(f"xsns_stream.{xsns_stream._HOMES[name]}")
    assert value is getattr(home, name)
    assert name in getattr(home, "__all__", [name])
    assert value.__name__ == name
    assert value.__module__.startswith(f"xsns_stream.{xsns_stream._HOMES[name]}")
    summary = (inspect.getdoc(value) or "").split("\n\n")[0]
    assert summary.endswith("."), "the first paragraph of the docstring must be a sentence"
    assert not summary.startswith(f"{name}("), "the generated docstring of a dataclass is not enough"


@pytest.mark.parametrize("name", [n for n in NAMES if inspect.isclass(getattr(xsns_stream, n))])
def test_public_methods_are_documented(name: str) -> None:
    kind = getattr(xsns_stream, name)
    for method, value in vars(kind).items():
        if not method.startswith("_") and (inspect.isfunction(value) or isinstance(value, property | classmethod)):
            assert inspect.getdoc(getattr(kind, method)), f"{name}.{method}"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'xsns_stream' has no attribute 'jacard'"):
        _ = xsns_stream.jacard


def test_a_star_import_gives_every_name() -> None:
    space: dict[str, object] = {}
    exec("from xsns_stream import *", space)
    assert set(xsns_stream.__all__) <= set(space)


def test_every_verb_has_a_module_of_its_name() -> None:
    for verb in VERBS:
        assert import_module(f"xsns_stream.cli.{verb}").command.name == verb


def test_exit_codes_do_not_change() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0,
        "FAILURE": 1,
        "USAGE": 2,
        "SOME_LANGUAGES_FAILED": 3,
        "BUG": 70,
        "INTERRUPTED": 130,
        "TERMINATED": 143,
    }
    kinds = [XsnsError]
    for kind in kinds:
        kinds += kind.__subclasses__()
        assert kind.__doc__
        assert kind.exit_code in (ExitCode.FAILURE, ExitCode.USAGE, ExitCode.SOME_LANGUAGES_FAILED)
