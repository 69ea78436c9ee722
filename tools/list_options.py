"""Every option of every verb, with its default: `python tools/list_options.py`; with `--shared`, the table of the docs.

`tests/cli/test_option_names.py` checks that a spelling is one option with one default in all verbs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module

import click

from xsns_stream.cli import VERBS

_DEFAULT = re.compile(r"\[default: ([^\]]*)\]")


@dataclass(frozen=True)
class OptionOfVerb:
    """An option of a verb.

    Attributes:
        verb: The verb, or the verb and its subcommand.
        spellings: All spellings, such as `-l`, `--lang` and `--languages`.
        default: The default as text; empty if there is none.
        takes: `nothing` for a flag, `one` value, or `several` values.
        required: Whether the option must be given.
        help: The help text.
    """

    verb: str
    spellings: tuple[str, ...]
    default: str
    takes: str
    required: bool
    help: str

    @property
    def name(self) -> str:
        """The first long spelling."""
        return next(one for one in self.spellings if one.startswith("--"))


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield the name and the command of every verb and subcommand."""
    for verb in VERBS:
        command = import_module(f"xsns_stream.cli.{verb}").command
        yield verb, command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                part = command.get_command(context, name)
                if part is not None:
                    yield f"{verb} {name}", part


def options() -> list[OptionOfVerb]:
    """Return every option of every verb."""
    return [
        OptionOfVerb(verb, tuple(one.opts), _default(one), _takes(one), one.required, one.help or "")
        for verb, command in commands()
        for one in command.params
        if isinstance(one, click.Option)
    ]


def _default(option: click.Option) -> str:
    """Return the default that the program has, or the default that the help text names."""
    value = option.default
    if isinstance(value, tuple | list):
        value = " ".join(map(str, value)) or None
    if isinstance(value, str | int | float) and not option.is_flag:
        return str(value)
    written = _DEFAULT.search(option.help or "")
    return written[1] if written else ""


def _takes(option: click.Option) -> str:
    return "nothing" if option.is_flag else "several" if option.multiple else "one"


def shared_table() -> str:
    """Return a Markdown table of the options that several verbs have."""
    named: dict[str, list[OptionOfVerb]] = {}
    for option in options():
        named.setdefault(option.name, []).append(option)
    lines = ["| option | default | verbs |", "|---|---|---|"]
    for _, each in sorted(named.items()):
        verbs = list(dict.fromkeys(option.verb.partition(" ")[0] for option in each))
        if len(verbs) > 1:
            defaults = list(dict.fromkeys(option.default or "–" for option in each))
            spelled = ", ".join(f"`{one}`" for one in max((option.spellings for option in each), key=len))
            verb_names = "all" if len(verbs) == len(VERBS) else ", ".join(verbs)
            lines.append(f"| {spelled} | {'; '.join(defaults)} | {verb_names} |")
    return "\n".join(lines)


if __name__ == "__main__":
    if "--shared" in sys.argv:
        print(shared_table())
    else:
        for each in sorted(options(), key=lambda one: (one.name, one.verb)):
            print(f"{', '.join(each.spellings):32} {each.verb:22} {each.takes:8} {each.default or '–'}")
