"""`xsns-stream baseline`: other predictors of transfer, one command each."""

from __future__ import annotations

from importlib import import_module
from typing import Final, NamedTuple

import click

from xsns_stream.cli.output import examples


class Baseline(NamedTuple):
    """A command of the group.

    Attributes:
        module: File of xsns_stream/cli whose COMMANDS holds it.
        line: What it is, and what it needs.
    """

    module: str
    line: str


BASELINES: Final = {
    "l2v": Baseline("baseline_tables", "Cosine of typological features. Needs URIEL's feature_predictions.npz."),
    "ldnd": Baseline("baseline_tables", "Similarity of basic words. Needs an LDND matrix (ASJP)."),
    "family": Baseline("baseline_tables", "Ancestors in common. Needs a table of language families."),
    "script": Baseline("baseline_tables", "The same script or not. Needs nothing, or a table of scripts."),
    "source-size": Baseline("baseline_tables", "Amount of the source's data. Needs a table of sizes."),
    "lex": Baseline("baseline_model", "Overlap of sub-word distributions. Needs text and a tokenizer."),
    "emb": Baseline("baseline_model", "Cosine of mean embeddings. Needs text and a model."),
    "nn-rank": Baseline("baseline_model", "Whose tokens are the target's nearest. Needs text and a model."),
    "grad-cosine": Baseline("baseline_model", "Cosine of mean gradients. Needs text and a model."),
    "sue": Baseline("baseline_model", "Evenness of the source's sub-words (experimental). Needs text."),
    "file": Baseline("baseline_file", "Any matrix of similarities or distances. Needs the matrix."),
    "all": Baseline("baseline_all", "All of these for which the data are there. Needs a folder."),
}


class _Baselines(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(BASELINES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in BASELINES:
            return None
        module = import_module(f"xsns_stream.cli.{BASELINES[cmd_name].module}")
        command: click.Command = module.COMMANDS[cmd_name]
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Baselines"):
            formatter.write_dl([(name, baseline.line) for name, baseline in BASELINES.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches

            near = get_close_matches(args[0], BASELINES, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"the baselines are {', '.join(BASELINES)}."
            raise click.UsageError(f"no baseline '{args[0]}'.\nhint: {hint}", ctx) from error


@click.group(
    name="baseline",
    cls=_Baselines,
    epilog=examples(
        "xsns-stream baseline script --lang sw,zu,ru,uk,hi,ur",
        "xsns-stream baseline script --lang sw,zu,ru,uk -o script.parquet",
    ),
)
def command() -> None:
    """Compute other predictors of transfer, to hold sub-networks against.

    Each gives a similarity matrix, larger for a better source, that `evaluate` and `regress` read from the file that -o
    writes. `xsns-stream baseline NAME --help` says what NAME is and where its data come from.
    """
