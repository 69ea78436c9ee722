"""The line `next:` that verbs print last: a command that can be pasted into a shell."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from tests.support import networks
from xsns_stream.cli import VERBS, cli
from xsns_stream.cli.output import next_step, store_arguments
from xsns_stream.gold import write_scores
from xsns_stream.store import open_store
from xsns_stream.types.transfer_scores import TransferScores

CODES = ("de", "en", "fi", "sw", "zu")

#: {verb: (command line, the command after `next:`)}. Other files test `build`, `transfer` and `reproduce`.
COMMANDS = {
    "rank": (
        "rank -s 'my store.zarr' --target sw",
        "transfer --task TASK --data FOLDER --sources {first} --targets sw -o gold.parquet",
    ),
    "rank with gold": (
        "rank -s 'my store.zarr' --target sw --gold gold.parquet",
        "evaluate --gold gold.parquet --predict 'xsns=my store.zarr'",
    ),
    "matrix": ("matrix -s 'my store.zarr'", "rank --store 'my store.zarr' --target de"),
    "matrix by layer": ("matrix -s 'my store.zarr' --by layer", "rank --store 'my store.zarr' --target de"),
    "report": ("report -s 'my store.zarr' --no-layers", "rank --store 'my store.zarr' --target de"),
    "shared": ("shared -s 'my store.zarr' --lang sw,fi", "rank --store 'my store.zarr' --target sw --explain"),
    "info": ("info -s 'my store.zarr'", "rank --store 'my store.zarr' --target de"),
    "info of a corpus": ("info --corpus cldr", "build --corpus cldr"),
    "verify": ("verify -s 'my store.zarr'", "info --store 'my store.zarr'"),
    "export": ("export -s 'my store.zarr' --lang sw -o '{{lang}}.safetensors'", "info --store 'my store.zarr'"),
    "copy": ("copy 'my store.zarr' copy.zarr", "verify --store copy.zarr"),
    "merge": ("merge xsns.zarr 'my store.zarr'", "info"),
    "prune": ("prune 'my store.zarr' --unfinished --yes", "info --store 'my store.zarr'"),
    "prune --dry-run": (
        "prune 'my store.zarr' --lang zu --dry-run",
        "prune 'my store.zarr' --lang zu --yes",
    ),
    "relabel": ("relabel -s other.zarr zu xh", "rank --store other.zarr --target xh"),
    "evaluate": (
        "evaluate --gold gold.parquet --predict 'xsns=my store.zarr' --resamples 100",
        "regress --gold gold.parquet --predict 'xsns=my store.zarr'",
    ),
    "regress": (
        "regress --gold gold.parquet --predict 'xsns=my store.zarr'",
        "regress --gold gold.parquet --predict 'xsns=my store.zarr' -o regression.md",
    ),
    "params": ("params mini", "build --corpus FOLDER --parts 8"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with stores of five languages, and gold scores."""
    for name in ("my store.zarr", "other.zarr"):
        networks.write_all(str(tmp_path / name), networks.make_all(640, CODES))
    cells = np.random.default_rng(0).random((1, 1, 5, 5)) * 100
    write_scores(TransferScores(CODES, CODES, cells, "pos", "accuracy", "percent", ""), tmp_path / "gold.parquet")
    return tmp_path


def parsed(line: str) -> list[str]:
    """Return the words of a line `next: …`, after click has parsed them."""
    start, program, *words = shlex.split(line)
    assert (start, program) == ("next:", "xsns-stream")
    words = ["pos" if word == "TASK" else word for word in words]
    command: click.Command = import_module(f"xsns_stream.cli.{words[0]}").command
    with click.Context(cli) as parent:
        command.make_context(words[0], words[1:], parent=parent)
    return words


@pytest.mark.parametrize("name", COMMANDS)
def test_the_last_line_is_the_next_command(folder: Path, in_process: Callable[..., Any], name: str) -> None:
    command, expected = COMMANDS[name]
    completed = in_process(folder, *shlex.split(command.format()))
    assert completed.code == 0, completed.err
    last = completed.err.splitlines()[-1]
    ranking = open_store(folder / "my store.zarr")
    if "{first}" in expected:
        import xsns_stream as xs

        first = [source.language for source in xs.rank(ranking, "sw").ranking.sources[:2]]
        expected = expected.format(first=",".join(first))
    assert parsed(last) == shlex.split(expected.replace("TASK", "pos"))
    assert shlex.join(shlex.split(expected)) in last, "the command can be pasted into a shell"


def test_the_chains_of_next_commands_end(folder: Path, in_process: Callable[..., Any]) -> None:
    """Every chain ends with saved results, and no command of a chain occurs twice.

    `build` and `transfer` take minutes: a build is followed by a ranking, and a transfer by an evaluation.
    """
    after: dict[tuple[str, ...], tuple[str, ...] | None] = {}
    for command in {command for command, _ in COMMANDS.values()}:
        words: tuple[str, ...] | None = tuple(shlex.split(command.format()))
        chain: list[tuple[str, ...]] = []
        while words is not None:
            assert words not in chain, [shlex.join(each) for each in (*chain, words)]
            chain.append(words)
            if words not in after:
                after[words] = _next_of(folder, in_process, words)
            words = after[words]
        assert len(chain) < 10
        last = chain[-1]
        assert "-o" in last, shlex.join(last)
        assert last[0] == "regress"
    assert (folder / "regression.md").exists()


def _next_of(folder: Path, in_process: Callable[..., Any], words: tuple[str, ...]) -> tuple[str, ...] | None:
    if words[0] == "build":
        return ("rank", "-s", "my store.zarr", "--target", "sw")
    if words[0] == "transfer":
        return ("evaluate", "--gold", "gold.parquet", "--predict", "xsns=my store.zarr", "--resamples", "100")
    if words == ("info",):
        words = ("info", "-s", "my store.zarr")
    completed = in_process(folder, *words)
    # A command that has changed the store may find nothing to do when it runs again.
    assert completed.code == 0, completed.err
    line = (completed.err.splitlines() or [""])[-1]
    return tuple(shlex.split(line)[2:]) if line.startswith("next: ") else None


def test_a_baseline_is_written_and_then_evaluated(folder: Path, in_process: Callable[..., Any]) -> None:
    words = ("baseline", "script", "--lang", "sw,zu,fi")
    assert parsed(in_process(folder, *words).err.splitlines()[-1]) == [*words, "-o", "script.parquet"]
    last = in_process(folder, *words, "-o", "s.parquet").err.splitlines()[-1]
    assert parsed(last) == ["evaluate", "--gold", "gold.parquet", "--predict", "script=s.parquet"]


def test_after_a_build_comes_a_ranking(build: Callable[..., Any]) -> None:
    last = build("--dry-run", lang="sw").err.splitlines()[-1]
    assert "--dry-run" not in parsed(last)
    assert parsed(build(lang="sw").err.splitlines()[-1])[0] == "info"
    assert parsed(build().err.splitlines()[-1])[0] == "rank"


def test_every_verb_is_covered() -> None:
    covered = {command.split()[0] for command, _ in COMMANDS.values()}
    elsewhere = {"build", "baseline", "transfer", "gold", "reproduce"}
    assert covered | elsewhere == set(VERBS)


def test_the_command_can_be_pasted_into_a_shell(capsys: pytest.CaptureFixture[str]) -> None:
    next_step("rank", *store_arguments("my store.zarr"), "--target", "sw", "--top", 3, quiet=False)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "next: xsns-stream rank --store 'my store.zarr' --target sw --top 3\n")


def test_the_default_store_is_not_named() -> None:
    assert store_arguments("xsns.zarr") == ()


@pytest.mark.parametrize(("quiet", "as_json"), [(True, False), (False, True)])
def test_quiet_and_json_leave_it_out(quiet: bool, as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    next_step("info", quiet=quiet, as_json=as_json)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("verb", "hint"),
    [
        ("build", "committed rows are kept; run the same command again to continue."),
        ("transfer", "the scores of finished units are kept; run the same command again to continue."),
        ("baseline", "unfinished baselines are not kept; run the same command again to compute them."),
        ("reproduce", "finished steps are kept; run the same command again to continue."),
        ("merge", "copied rows are kept; run the same command again to continue."),
        ("verify", "run the same command again."),
    ],
)
def test_the_hint_after_an_interruption_says_what_the_verb_has_kept(
    verb: str, hint: str, xsns: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "load", lambda name: click.Command(name, callback=interrupted))
    done = xsns(verb)
    assert (done.code, done.out) == (130, "")
    assert done.err.endswith(f"error: interrupted.\nhint: {hint}\n")
