"""Write what a recipe ends in: a page, all numbers as JSON, and the figure."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from xsns_stream.files import write_whole
from xsns_stream.reproduce.markdown import bullets, code
from xsns_stream.reproduce.setting import Setting, TaskSetting
from xsns_stream.reproduce.step import Figure, Folder, Recipe, Result

SCHEMA_VERSION: Final = 1
FIGURE_KINDS: Final = ("png", "svg")


def write_result(recipe: Recipe, result: Result, setting: Setting, folder: Folder) -> tuple[Path, ...]:
    """Write NAME.md and NAME.json, and NAME.png and NAME.svg where there is a figure, each whole or not at all.

    Returns:
        The files.

    Raises:
        XsnsError: One cannot be written.
    """
    setting.out.mkdir(parents=True, exist_ok=True)
    stem = setting.out / recipe.name
    page = f"{result.markdown.rstrip()}\n\n{_ending(setting, folder)}"
    document = {
        "schema_version": SCHEMA_VERSION,
        "target": recipe.name,
        "title": recipe.title,
        "setting": setting_record(setting),
        "result": dict(result.record),
        "failed": dict(folder.failed),
        "partly": dict(folder.partly),
        "commands": {step.name: step.shown for step in folder.steps.values()},
    }
    text = json.dumps(_plain(document), ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    written = {stem.with_suffix(".md"): page, stem.with_suffix(".json"): text}
    for path, content in written.items():
        write_whole(path, partial(_write_text, content))
    figures = []
    if result.figure is not None:
        for kind in FIGURE_KINDS:
            figures.append(stem.with_suffix(f".{kind}"))
            write_whole(figures[-1], partial(_draw, result.figure, kind))
    return (*written, *figures)


def setting_record(setting: Setting) -> dict[str, Any]:
    """Return what the numbers depend on, as JSON can say it."""
    return {
        "preset": setting.preset,
        "model": setting.model,
        "examples": setting.examples,
        "density": setting.density,
        "fine_tuning": setting.fine_tuning,
        "epochs": setting.epochs,
        "tasks": {
            name: {
                "data": task.data,
                "sources": list(task.sources),
                "targets": list(task.targets),
                "low_resource": list(task.low_resource),
                "tuning_seeds": list(task.tuning_seeds),
                "fisher_seeds": list(task.fisher_seeds),
                "limit": task.limit,
                "test_limit": task.test_limit,
                "papers": task.papers,
            }
            for name, task in setting.tasks.items()
        },
        "left_out": dict(setting.left_out),
        "general": setting.general,
    }


def _ending(setting: Setting, folder: Folder) -> str:
    """Return the settings, what went wrong, and the commands."""
    lines = [
        f"preset {setting.preset}, model {setting.model}.",
        f"sub-networks, where the page has any: {setting.examples:,} examples a language, density {setting.density:g}.",
        f"fine-tuning preset {setting.fine_tuning}{f', {setting.epochs} epochs at most' if setting.epochs else ''}.",
        *(
            f"{task.title}: {len(task.sources)} sources ({' '.join(task.sources)}), {len(task.targets)} targets; "
            f"Fisher seeds {_numbers(task.fisher_seeds)}; fine-tuning seeds {_numbers(task.tuning_seeds)}; "
            f"{_limits(task)}."
            for task in setting.tasks.values()
        ),
        *(note for task in setting.tasks.values() for note in _of(task.title, task.notes)),
        *(f"{name} is left out: {why}" for name, why in setting.left_out.items()),
        *(f"The step {name} failed: {why}" for name, why in folder.failed.items()),
        *(f"The step {name} is not done for every language: {why}" for name, why in folder.partly.items()),
    ]
    commands = [setting.command] if setting.command else []
    steps = [step.shown for step in folder.steps.values()]
    return f"## Settings\n\n{bullets(lines)}\n## Commands\n\n{code([*commands, *steps])}"


def _numbers(seeds: tuple[int, ...]) -> str:
    return ", ".join(map(str, seeds))


def _limits(task: TaskSetting) -> str:
    limits = [
        f"at most {task.limit:,} training examples a source" if task.limit else "",
        f"at most {task.test_limit:,} test examples a target" if task.test_limit else "",
    ]
    return ", ".join(filter(None, limits)) or "all examples"


def _of(title: str, notes: tuple[str, ...]) -> list[str]:
    return [f"{title}: {note}" for note in notes]


def _write_text(text: str, file: BinaryIO) -> None:
    file.write(text.encode())


def _draw(figure: Figure, kind: str, file: BinaryIO) -> None:
    figure(file, kind)


def _plain(value: Any) -> Any:
    """Return the same with null for what JSON cannot say, and text for paths."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
