"""Help pages: every page ends with examples, and the examples run."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

from tests.support.example_files import lay_out
from xsns_stream.cli import VERBS
from xsns_stream.corpora.recipes import RECIPES

pytestmark = pytest.mark.xdist_group("help")


def commands() -> dict[str, click.Command]:
    """Return {verb, or verb and subcommand: its click command}."""
    result: dict[str, click.Command] = {}
    for verb in VERBS:
        result[verb] = command = import_module(f"xsns_stream.cli.{verb}").command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                part = command.get_command(context, name)
                assert part is not None
                result[f"{verb} {name}"] = part
    return result


EVERY = commands()


def examples(verb: str) -> list[str]:
    """Return the commands at the end of a help page."""
    epilog = EVERY[verb].epilog or ""
    return [line.strip() for line in epilog.partition("Examples:")[2].splitlines() if line.strip()]


def needs_network(command: str) -> bool:
    """Return whether a command needs a data set or a model of the Hub."""
    words = re.split(r"[\s=]", command)
    hub = any(word.startswith("hub:") or re.fullmatch(r"[\w-]+/[\w.-]+", word) for word in words)
    return hub or any(word in RECIPES for word in words)


COMMANDS = list(dict.fromkeys(command for verb in EVERY for command in examples(verb)))


@pytest.fixture(scope="module")
def examples_folder(tmp_path_factory: pytest.TempPathFactory, write_texts: Callable[..., Path]) -> Path:
    """The working folder of the examples: texts, and the store that the first example of `build` makes."""
    from xsns_stream.cli import main

    folder = write_texts(tmp_path_factory.mktemp("help"), "sw fi")
    lay_out(folder)
    (folder / "sw.txt").rename(folder / "swahili.txt")
    (folder / "fi.txt").rename(folder / "finnish.txt")
    before = Path.cwd()
    os.chdir(folder)
    try:
        with pytest.raises(SystemExit) as stop:
            main(shlex.split(examples("build")[0])[1:])
    finally:
        os.chdir(before)
    assert not stop.value.code
    return folder


@pytest.mark.parametrize("verb", EVERY)
def test_help_ends_with_examples(verb: str, xsns: Any) -> None:
    completed = xsns(*verb.split(), "--help")
    assert (completed.code, completed.err) == (0, "")
    assert xsns(*verb.split(), "-h").out == completed.out
    shown_examples = examples(verb)
    assert len(shown_examples) >= 2
    assert all(command.startswith(f"xsns-stream {verb}") for command in shown_examples)
    lines = [line.strip() for line in completed.out.rstrip().splitlines()]
    assert lines[-len(shown_examples) - 1 :] == ["Examples:", *shown_examples]
    assert completed.out.startswith(f"Usage: xsns-stream {verb} ")


@pytest.mark.parametrize("verb", EVERY)
def test_every_option_has_a_help_text(verb: str) -> None:
    command = EVERY[verb]
    options = [parameter for parameter in command.params if parameter.param_type_name == "option"]
    assert all(option.help for option in options)
    if not isinstance(command, click.Group):
        assert {"as_json", "quiet", "verbose"} <= {option.name for option in options}
    assert command.name == verb.rsplit(maxsplit=1)[-1]
    assert command.help


def test_some_examples_run_without_a_network() -> None:
    assert sum(not needs_network(command) for command in COMMANDS) >= 2 * len(VERBS) - 2


@pytest.mark.parametrize("command", [command for command in COMMANDS if not needs_network(command)])
def test_the_example_runs(command: str, examples_folder: Path, xsns: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(examples_folder)
    program, *arguments = shlex.split(command)
    assert program == "xsns-stream"
    completed = xsns(*arguments)
    assert completed.code == 0, completed.err
    assert completed.out
    assert "error" not in completed.err


def test_help_of_the_program_lists_the_verbs(xsns: Any) -> None:
    completed = xsns("--help")
    assert (completed.code, completed.err) == (0, "")
    for verb, line in VERBS.items():
        assert re.search(rf"^  {verb} +{re.escape(line[:40])}", completed.out, re.MULTILINE)


@pytest.mark.parametrize(("word", "hint"), [("bild", "did you mean `build`?"), ("xyz", "the verbs are build, ")])
def test_an_unknown_verb_is_an_error(word: str, hint: str, xsns: Any) -> None:
    completed = xsns(word)
    assert (completed.code, completed.out) == (2, "")
    assert completed.err.startswith(f"error: no verb '{word}'.\nhint: {hint}")
