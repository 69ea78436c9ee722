"""What `copy` and `prune` share: which rows of a store are meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from xsns_stream.cli.common import Decorated
from xsns_stream.errors import UsageError

if TYPE_CHECKING:
    from xsns_stream.store import KeptKey, PartKey, RowKey

_Key = TypeVar("_Key", "RowKey", "KeptKey")


def selection_options(function: Decorated) -> Decorated:
    """Add `--lang`, `--seed` and `--density`, each of which may be given several times."""
    for option in (
        click.option("--density", "densities", type=float, multiple=True, help="Only these densities."),
        click.option("--seed", "seeds", type=int, multiple=True, help="Only these seeds."),
        click.option("-l", "--lang", multiple=True, metavar="CODES", help="Only these languages, as `sw,zu`."),
    ):
        function = option(function)
    return function


def select_keys(
    keys: Sequence[_Key], lang: Sequence[str], seeds: Sequence[int], densities: Sequence[float], where: str
) -> tuple[_Key, ...]:
    """Return the rows that all filters let through; an empty filter lets everything through.

    Raises:
        LanguageError: A language is not among `keys`; near misses are suggested.
        UsageError: A seed or a density is not.
    """
    from xsns_stream.languages import select

    _require("seed", seeds, sorted({key.seed for key in keys}), where)
    if densities:
        _require("density", densities, sorted({key.density for key in keys if key.density is not None}), where)
    languages = sorted({key.language for key in keys})
    # A filter that was given and names nothing is a mistake, and no leave to take everything.
    chosen = set(select(lang, languages, where) if lang else languages)
    return tuple(
        key
        for key in keys
        if key.language in chosen
        and (not seeds or key.seed in seeds)
        and (not densities or key.density is None or key.density in densities)
    )


def _require(name: str, asked: Sequence[Any], known: Sequence[Any], where: str) -> None:
    missing = [value for value in asked if value not in known]
    if missing:
        raise UsageError(
            f"there is no {name} {', '.join(map(str, missing))} in {where}.",
            f"there is {', '.join(map(str, known))}." if known else "there is no row at all.",
        )


def key_json(key: RowKey | KeptKey | PartKey) -> dict[str, Any]:
    """Return a row's names; the density of Fisher values is null."""
    return {"language": key.language, "seed": key.seed, "density": key.density}
