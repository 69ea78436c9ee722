"""Execution of recipes: finished steps are skipped, and a failure stops only dependent steps."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from xsns_stream.errors import ModelError, XsnsError
from xsns_stream.reproduce.config import RunConfig
from xsns_stream.reproduce.records import DONE, PARTLY, TO_DO, file_name, read_result
from xsns_stream.reproduce.running import StepEnded, StepStarted, plan_recipes, reproduce, states, unique
from xsns_stream.reproduce.step import LeftOutError, Recipe, Result, Step, StepOutputs


class Verbs:
    """Replaces the command line: each verb writes its output; `codes` sets exit codes of verbs."""

    def __init__(self) -> None:
        self.called: list[str] = []
        self.codes: dict[str, int] = {}

    def __call__(self, args: Sequence[str], log: Path, stdout: Path | None) -> int:
        self.called.append(args[0])
        code = self.codes.get(args[0], 0)
        if code == 130:
            raise KeyboardInterrupt
        log.write_text(f"note: at work\nerror: {args[0]} went wrong.\nhint: none.\n" if code else "")
        if code in {0, 3}:
            path = stdout or Path(args[args.index("-o") + 1])
            path.write_text(json.dumps({"of": list(args)}))
        return code


@pytest.fixture
def verbs() -> Verbs:
    return Verbs()


@pytest.fixture
def config(tmp_path: Path) -> RunConfig:
    return RunConfig(
        preset="embedded",
        out=tmp_path / "out",
        model="mini",
        other_models=(),
        tasks={},
        swept={},
        left_out={},
        general=None,
        general_languages=(),
        typology=None,
        ldnd=None,
        examples=4,
        example_counts=(),
        density=0.15,
        densities=(),
        fisher_seeds=(42,),
        fine_tuning="quick",
    )


def step(config: RunConfig, name: str, *words: str, **more: Any) -> Step:
    """Return a step whose verb is its name."""
    output = config.path(f"{name}.json")
    return Step(name, (name, *words, "-o", str(output)), (output,), **more)


def recipe(name: str, steps: Callable[[RunConfig], list[Step]], **more: Any) -> Recipe:
    """Return a recipe whose page names the steps that are done."""

    def render(_: RunConfig, outputs: StepOutputs) -> Result:
        done = [name for name in outputs.steps if outputs.done(name)]
        if not done:
            raise LeftOutError("nothing is there.")
        return Result(f"# {name}\n\n{' '.join(done)}\n", {"done": done, "nan": float("nan")})

    return Recipe(name, name, steps, render, **more)


def run(config: RunConfig, verbs: Verbs, *recipes: Recipe) -> tuple[Any, list[Any]]:
    events: list[Any] = []
    verbs.called.clear()
    return reproduce(recipes, config, verbs, events.append), events


@pytest.fixture
def chain(config: RunConfig) -> Recipe:
    """A recipe in which b needs a, and c needs neither."""

    def steps(config: RunConfig) -> list[Step]:
        a = step(config, "a")
        return [step(config, "b", f"x={a.output}"), a, step(config, "c")]

    return recipe("table9", steps)


def test_steps_run_once_and_in_order(config: RunConfig, verbs: Verbs, chain: Recipe) -> None:
    report, events = run(config, verbs, chain)
    assert verbs.called == ["a", "b", "c"]
    assert report.results == {"table9": (config.out / "table9.md", config.out / "table9.json.gz")}
    assert [event.number for event in events if isinstance(event, StepStarted)] == [1, 2, 3]
    page = (config.out / "table9.md").read_text()
    assert page.startswith("# table9\n\na b c\n\n## Settings\n")
    commands = page.partition("## Commands")[2]
    assert commands.count("xsns-stream") == 3
    record = read_result(config.out, "table9")
    assert record["result"] == {"done": ["a", "b", "c"], "nan": None}
    again, events = run(config, verbs, chain)
    assert verbs.called == []
    assert again.results == report.results
    assert [event.seconds for event in events if isinstance(event, StepEnded)] == [None] * 3
    assert (config.out / "table9.md").read_text() == page


def test_a_changed_command_runs_again_with_dependent_steps(config: RunConfig, verbs: Verbs) -> None:
    def made(*words: str) -> Recipe:
        def steps(config: RunConfig) -> list[Step]:
            a = step(config, "a", *words)
            return [a, step(config, "b", str(a.output)), step(config, "c")]

        return recipe("table9", steps)

    run(config, verbs, made("--limit", "5"))
    steps = unique(made("--limit", "6").steps(config))
    assert states(config, steps) == {"a": TO_DO, "b": TO_DO, "c": DONE}
    run(config, verbs, made("--limit", "6"))
    assert verbs.called == ["a", "b"]


def test_a_lost_output_is_made_again(config: RunConfig, verbs: Verbs, chain: Recipe) -> None:
    run(config, verbs, chain)
    config.path("a.json").unlink()
    run(config, verbs, chain)
    assert verbs.called == ["a", "b"]


def test_a_damaged_record_is_ignored(config: RunConfig, verbs: Verbs, chain: Recipe) -> None:
    run(config, verbs, chain)
    (config.work / "done" / "c.json").write_text('{"command": ')
    run(config, verbs, chain)
    assert verbs.called == ["c"]


def test_an_overwritten_output_is_made_again(config: RunConfig, verbs: Verbs, chain: Recipe) -> None:
    """If two models write to one path, the page of one model does not show the numbers of the other."""
    run(config, verbs, chain)
    config.path("b.json").write_text("{}")
    run(config, verbs, chain)
    assert verbs.called == ["b"]
    config.path("a.json").write_text('{"of": "anoth')
    run(config, verbs, chain)
    assert verbs.called == ["a", "b"]
    assert json.loads(config.path("a.json").read_text())["of"][0] == "a"


def test_dependent_steps_run_again_after_a_lost_record(config: RunConfig, verbs: Verbs, chain: Recipe) -> None:
    run(config, verbs, chain)
    (config.work / "done" / "a.json").unlink()
    run(config, verbs, chain)
    assert verbs.called == ["a", "b"]


@pytest.mark.parametrize("name", ["command", "exit_code", "run", "after", "left"])
def test_a_record_with_wrong_types_is_ignored(name: str, config: RunConfig, verbs: Verbs, chain: Recipe) -> None:
    run(config, verbs, chain)
    path = config.work / "done" / "c.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: [1]}))
    run(config, verbs, chain)
    assert verbs.called == ["c"]


def test_outputs_with_extra_content_are_refused(config: RunConfig, verbs: Verbs) -> None:
    def made(config: RunConfig) -> list[Step]:
        a = step(config, "a", precondition=lambda: "'a.json' contains more.")
        return [a, step(config, "b", f"x={a.output}"), step(config, "c")]

    report, _ = run(config, verbs, recipe("table9", made))
    assert (verbs.called, report.failed) == (["a", "b", "c"], {}), "no output exists at first"
    before = config.path("a.json").read_bytes()
    report, _ = run(config, verbs, recipe("table9", made))
    assert (verbs.called, report.failed) == ([], {"a": "'a.json' contains more.", "b": "it needs a."})
    assert config.path("a.json").read_bytes() == before


def test_a_failed_result_does_not_stop_other_recipes(config: RunConfig, verbs: Verbs, chain: Recipe) -> None:
    def broken(config: RunConfig, outputs: StepOutputs) -> Result:
        raise ModelError("the file is damaged.", "make it again.")

    bad = replace(chain, name="table8", render=broken)
    report, _ = run(config, verbs, bad, chain)
    assert list(report.results) == ["table9"]
    assert report.failed == {"table8": "the file is damaged. make it again."}
    config.path("a.json").write_text('{"of": "anoth')
    with pytest.raises(XsnsError, match=r"a\.json"):
        StepOutputs({"a": step(config, "a")}).document("a")


def test_a_failure_stops_only_dependent_steps(config: RunConfig, verbs: Verbs, chain: Recipe) -> None:
    verbs.codes["a"] = 1
    report, events = run(config, verbs, chain)
    assert verbs.called == ["a", "c"]
    assert report.failed == {"a": "a went wrong.", "b": "it needs a."}
    assert [(event.step.name, event.done) for event in events if isinstance(event, StepEnded)] == [
        ("a", False),
        ("b", False),
        ("c", True),
    ]
    assert "The step a failed: a went wrong." in (config.out / "table9.md").read_text()
    verbs.codes.clear()
    run(config, verbs, chain)
    assert verbs.called == ["a", "b"]


def test_outputs_of_an_earlier_command_are_not_used(config: RunConfig, verbs: Verbs, chain: Recipe) -> None:
    run(config, verbs, chain)
    changed_recipe = recipe("table9", lambda config: [step(config, "a", "--limit", "5")])
    verbs.codes["a"] = 1
    report, _ = run(config, verbs, changed_recipe)
    assert report.results == {}
    assert report.left_out["table9"].message == "nothing is there."


def test_a_partly_done_step_runs_again_and_is_used(config: RunConfig, verbs: Verbs, chain: Recipe) -> None:
    verbs.codes["a"] = 3
    report, _ = run(config, verbs, chain)
    assert verbs.called == ["a", "b", "c"]
    assert (report.failed, report.partly) == ({}, {"a": "a went wrong."})
    assert states(config, unique(chain.steps(config)))["a"] == PARTLY
    verbs.codes.clear()
    report, _ = run(config, verbs, chain)
    assert verbs.called == ["a", "b"]
    assert report.partly == {}


def test_droppable_inputs_are_left_out(config: RunConfig, verbs: Verbs) -> None:
    def steps(config: RunConfig) -> list[Step]:
        a, b, gold = (step(config, name) for name in ("a", "b", "gold"))
        words = ["--gold", str(gold.output), "--predict", f"A={a.output}", "--predict", f"B={b.output}"]
        return [gold, a, b, step(config, "held", *words, "--against", "A", droppable="--predict")]

    droppable = recipe("table9", steps)
    verbs.codes["a"] = 1
    run(config, verbs, droppable)
    matrix_path = config.path("held.json")
    gold, b = config.path("gold.json"), config.path("b.json")
    assert json.loads(matrix_path.read_text())["of"][1:] == [
        *("--gold", str(gold), "--predict", f"B={b}"),
        *("-o", str(matrix_path)),
    ]
    verbs.codes = {"b": 1, "gold": 0}
    report, _ = run(config, verbs, droppable)
    assert verbs.called == ["a", "held"]
    assert report.failed == {}
    for path in (gold, matrix_path):
        path.unlink()
    verbs.codes = {"gold": 1}
    report, _ = run(config, verbs, droppable)
    assert report.failed["held"] == "it needs gold."


def test_a_step_without_inputs_fails(config: RunConfig, verbs: Verbs) -> None:
    def steps(config: RunConfig) -> list[Step]:
        a = step(config, "a")
        return [a, step(config, "held", "--predict", f"A={a.output}", droppable="--predict")]

    verbs.codes["a"] = 1
    report, _ = run(config, verbs, recipe("table9", steps))
    assert report.failed == {"a": "a went wrong.", "held": "it needs a."}


def test_two_recipes_share_a_step(config: RunConfig, verbs: Verbs, chain: Recipe) -> None:
    other = recipe("table8", lambda config: [step(config, "a"), step(config, "d")])
    report, _ = run(config, verbs, chain, other)
    assert verbs.called == ["a", "b", "c", "d"]
    assert list(report.results) == ["table9", "table8"]


def test_a_result_can_add_further_steps(config: RunConfig, verbs: Verbs) -> None:
    def follow_up(config: RunConfig, outputs: StepOutputs) -> list[Step]:
        document = outputs.document("a")
        return [] if document is None else [step(config, "e", document["of"][0])]

    with_follow_up = recipe("table9", lambda config: [step(config, "a")], follow_up=follow_up)
    run(config, verbs, with_follow_up)
    assert verbs.called == ["a", "e"]
    assert read_result(config.out, "table9")["result"]["done"] == ["a", "e"]


def test_left_out_recipes_are_named(config: RunConfig, verbs: Verbs, chain: Recipe) -> None:
    def steps(_: RunConfig) -> list[Step]:
        raise LeftOutError("there are no targets.", "give some.")

    report, _ = run(config, verbs, recipe("figure7", steps), chain)
    assert report.left_out["figure7"].hint == "give some."
    assert list(report.results) == ["table9"]
    assert plan_recipes([recipe("figure7", steps)], config)[0].left_out is not None


def test_an_interruption_ends_the_run(config: RunConfig, verbs: Verbs, chain: Recipe) -> None:
    verbs.codes["b"] = 130
    with pytest.raises(KeyboardInterrupt):
        run(config, verbs, chain)
    assert states(config, unique(chain.steps(config))) == {"a": DONE, "b": TO_DO, "c": TO_DO}


def test_stdout_can_be_an_output(config: RunConfig, verbs: Verbs) -> None:
    path = config.path("said.json")
    printing = Step("told", ("rank", "--json"), (path,), stdout=path)
    run(config, verbs, recipe("table9", lambda _: [printing]))
    assert json.loads(path.read_text()) == {"of": ["rank", "--json"]}
    assert printing.command_line == f"xsns-stream rank --json > {path}"


def test_steps_can_call_functions(config: RunConfig, verbs: Verbs) -> None:
    folder = config.path("made")

    def fail() -> None:
        raise ModelError("no such model.", "give another.")

    one = Step("one", (), (folder,), action=folder.mkdir, command=("python", "-m", "made", str(folder)))
    report, _ = run(config, verbs, recipe("table9", lambda config: [one, step(config, "a", str(folder))]))
    assert verbs.called == ["a"]
    assert report.failed == {}
    two = Step("two", (), (config.path("other"),), action=fail, command=("python", "-m", "failing"))
    report, _ = run(config, verbs, recipe("table9", lambda _: [two]))
    assert report.failed == {"two": "no such model."}


def test_a_verb_without_output_has_failed(config: RunConfig, verbs: Verbs) -> None:
    lost = replace(step(config, "a"), outputs=(config.path("elsewhere.json"),))
    report, _ = run(config, verbs, recipe("table9", lambda _: [lost]))
    assert report.failed["a"].startswith("it ended with exit code 0; see ")


def test_names_of_steps_are_unique(config: RunConfig) -> None:
    with pytest.raises(ValueError, match="two steps are called 'a'"):
        unique([step(config, "a"), step(config, "a", "--limit", "5")])
    with pytest.raises(ValueError, match="has no outputs"):
        Step("a", ("a",), ())
    with pytest.raises(ValueError, match="need one another"):
        unique([step(config, "a", str(config.path("b.json"))), step(config, "b", str(config.path("a.json")))])
    with pytest.raises(ValueError, match="not one of its outputs"):
        Step("a", ("a",), (config.path("a.json"),), stdout=config.path("b.json"))


def test_names_of_files_are_distinct_short_and_contain_no_slash() -> None:
    assert file_name("mini.pos.gold") == "mini.pos.gold"
    odd = {file_name("../x"), file_name("..-x"), file_name("a/x"), file_name("a" * 300)}
    assert len(odd) == 4
    assert all("/" not in name and len(name) < 120 for name in odd)
