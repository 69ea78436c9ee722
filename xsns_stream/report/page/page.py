"""The whole report page: a template, which is filled with the data and written to one HTML file."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from xsns_stream.glottolog import CREDIT
from xsns_stream.io.atomic import writable, write_whole
from xsns_stream.io.escaping import visible
from xsns_stream.io.json import nan_to_null
from xsns_stream.report.page.evaluation import EvaluationSection
from xsns_stream.report.page.languages import PageLanguage
from xsns_stream.report.page.layers import LayersSection
from xsns_stream.report.page.maps import MapSection
from xsns_stream.report.page.matrices import PageMatrix
from xsns_stream.report.page.ranking import RankingSection
from xsns_stream.report.page.summary import SummarySection
from xsns_stream.report.page.tree import TreeSection

#: The scripts of the page, in the order in which they run.
SCRIPTS: Final = (
    "base.js",
    "colours.js",
    "ranking.js",
    "heat_map.js",
    "tree.js",
    "maps.js",
    "layers.js",
    "evaluation.js",
    "start.js",
)
#: Suffix of the file of a page.
PAGE_SUFFIX: Final = ".html"


@dataclass(frozen=True)
class ReportPage:
    """The data of a report page; the page leaves out sections that are None.

    Attributes:
        summary: The summary.
        languages: All languages of the matrices, each once.
        matrices: At least one matrix; the ranking, the tree and the map are computed from the first one.
        ranking: Rankings of the sources of every target.
        tree: The dendrogram.
        maps: The embedding of languages.
        layers: Layers and kinds of modules.
        evaluation: Comparison of predictors with gold scores.
        version: Version of xsns-stream.
    """

    summary: SummarySection
    languages: tuple[PageLanguage, ...]
    matrices: tuple[PageMatrix, ...]
    ranking: RankingSection | None = None
    tree: TreeSection | None = None
    maps: MapSection | None = None
    layers: LayersSection | None = None
    evaluation: EvaluationSection | None = None
    version: str = ""

    @property
    def sections(self) -> tuple[tuple[str, str], ...]:
        """(name, title) of each section that the page has, in the order of the page."""
        optional = (
            ("ranking", "Ranking", self.ranking),
            ("heat-map", "Heat map", self.matrices),
            ("tree", "Tree", self.tree),
            ("maps", "Map of languages", self.maps),
            ("layers", "Layers", self.layers),
            ("evaluation", "Evaluation", self.evaluation),
        )
        return (("summary", "Summary"), *((name, title) for name, title, section in optional if section is not None))

    def to_json(self) -> dict[str, Any]:
        """Return the data that the scripts of the page read."""
        number = {language.code: i for i, language in enumerate(self.languages)}
        result: dict[str, Any] = {
            "languages": [language.to_json() for language in self.languages],
            "matrices": [matrix.to_json(number) for matrix in self.matrices],
            "ranking": None if self.ranking is None else self.ranking.to_json(number),
            "tree": None if self.tree is None else self.tree.to_json(number),
            "maps": None if self.maps is None else self.maps.to_json(number) | {"land": json.loads(_file("land.json"))},
            "layers": None if self.layers is None else self.layers.to_json(),
            "evaluation": None if self.evaluation is None else self.evaluation.to_json(),
        }
        plain: dict[str, Any] = _visible(nan_to_null(result))
        return plain

    def to_html(self) -> str:
        """Return the page. All text from files and from users is escaped."""
        from jinja2 import Environment, StrictUndefined
        from markupsafe import Markup

        environment = Environment(autoescape=True, undefined=StrictUndefined, finalize=_visible)
        # The files of the package are trusted. The data cannot end the script that contains them, because every `<` is
        # written as an escape of JSON.
        data = json.dumps(self.to_json(), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        data = data.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        trusted = {
            "style": _file("style.css"),
            "d3": _file("d3.min.js"),
            "script": "\n".join(_file(name) for name in SCRIPTS),
            "licences": _file("LICENSES.txt"),
            "data": data,
        }
        html: str = environment.from_string(_file("page.html.j2")).render(
            summary=self.summary,
            ranking=self.ranking,
            tree=self.tree,
            maps=self.maps,
            layers=self.layers,
            evaluation=self.evaluation,
            sections=self.sections,
            version=self.version,
            credit=CREDIT,
            **{name: Markup(text) for name, text in trusted.items()},
        )
        return html


def write_page(page: ReportPage, path: str | Path) -> Path:
    """Write a report page atomically to a file.

    Args:
        page: The page.
        path: A file with the suffix .html.

    Raises:
        UsageError: The suffix is not .html, or the folder does not exist.
        XsnsError: The file cannot be written.
    """
    target = writable(path, [PAGE_SUFFIX])
    html = page.to_html().encode("utf-8")
    write_whole(target, lambda file: file.write(html))
    return target


def _visible(value: Any) -> Any:
    """Return plain values in which invisible characters of texts are escaped; trusted text is not changed."""
    from markupsafe import Markup

    if isinstance(value, str) and not isinstance(value, Markup):
        return visible(value)
    if isinstance(value, dict):
        return {key: _visible(each) for key, each in value.items()}
    return [_visible(each) for each in value] if isinstance(value, list) else value


@lru_cache(maxsize=32)
def _file(name: str) -> str:
    """Return the content of a file in the folder `files`, which the page includes."""
    return (files("xsns_stream") / "report" / "page" / "files" / name).read_text(encoding="utf-8")
