r"""Tables in Markdown and LaTeX as rows of fields, and fields without their formatting.

A row of a Markdown table is `| sw | 55.2 |`; a row of a LaTeX table is `sw & 55.2 \\`. Lines that draw rules, and the
commands around a table, contain no fields.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

_PAIRS: Final = re.compile(r"(\*\*\*|\*\*|\*|___|__|_|`|~~)(.+)\1", re.DOTALL)
#: LaTeX commands around a text that only change how it looks.
_LOOK: Final = (
    "textbf|textit|textsc|textsf|texttt|textrm|text|emph|underline|uline|uuline|dotuline|boldsymbol|bm|mathbf|mathit"
    "|mathrm|ensuremath|num|makecell|tabhead|thead|textcolor\\{[^{}]*\\}|colorbox\\{[^{}]*\\}"
)
_COMMAND: Final = re.compile(rf"\\(?:{_LOOK})\s*\{{((?:[^{{}}]|\{{[^{{}}]*\}})*)\}}")
#: A cell over several columns or rows: its text is the last argument.
_SPANNING: Final = re.compile(
    r"\\multi(column|row)\s*\{([^{}]*)\}\s*\{[^{}]*\}\s*\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
)
_SWITCH: Final = re.compile(
    r"\\(?:bfseries|itshape|bf|it|sc|small|footnotesize|scriptsize|centering|rowcolor|cellcolor|color)(?![a-zA-Z])"
    r"(?:\[[^\]]*\])?(?:\{[^{}]*\})?\s*"
)
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_RULE: Final = re.compile(
    r"\\(?:hline|toprule|midrule|bottomrule|cline|cmidrule|specialrule|addlinespace|morecmidrules|noalign|endhead"
    r"|endfirsthead|endfoot|endlastfoot)(?![a-zA-Z])(?:\([^)]*\))?(?:\[[^\]]*\])?(?:\([^)]*\))?(?:\{[^{}]*\})*"
)
_COMMENT: Final = re.compile(r"(?<!\\)%.*")
_TABULAR: Final = re.compile(
    r"\\begin\{(tabular[xy*]?|longtable|array|tblr)\}(?:\[[^\]]*\])?(?:\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})*(.*?)\\end\{\1\}",
    re.DOTALL,
)
_DASHES: Final = re.compile(r"[\s|:+=-]+")


def without_markup(text: str) -> str:
    r"""Return a field without the formatting of Markdown and LaTeX.

    >>> without_markup("**55.2**"), without_markup(r"\textbf{55.2}"), without_markup("$55.2$")
    ('55.2', '55.2', '55.2')
    """
    core = text.strip()
    if not any(sign in core for sign in "*_`~\\${"):
        return core
    while True:
        before = core
        if pair := _PAIRS.fullmatch(core):
            core = pair[2]
        core = _COMMAND.sub(r"\1", _SPANNING.sub(r"\3", core))
        core = _SWITCH.sub("", core)
        if len(core) > 1 and core.startswith("$") and core.endswith("$"):
            core = core[1:-1]
        if braces := _BRACES.fullmatch(core):
            core = braces[1]
        for sign, plain in (("{,}", ","), (r"\%", "%"), (r"\&", "&"), (r"\_", "_"), (r"\#", "#"), ("~", " ")):
            core = core.replace(sign, plain)
        core = re.sub(r"\\[,;! ]", " ", core).strip()
        if core == before:
            return core


def is_markdown(text: str) -> bool:
    """Return whether a text contains a Markdown table: a line with bars, and a line of dashes and bars below it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return any(
        "|" in line and "|" in below and "-" in below and _DASHES.fullmatch(below) for line, below in pairwise(lines)
    )


def is_latex(text: str) -> bool:
    r"""Return whether a text contains a LaTeX table: fields between `&`, and lines that end with `\\`."""
    return bool(re.search(r"&[^\n]*\\\\", text))


def markdown_rows(text: str) -> list[tuple[int, list[str]]]:
    """Return the number of each line with bars, and its fields without formatting."""
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if "|" not in stripped or _DASHES.fullmatch(stripped):
            continue
        fields = re.split(r"(?<!\\)\|", stripped.removeprefix("|").removesuffix("|"))
        rows.append((number, [without_markup(field.replace("\\|", "|")) for field in fields]))
    return rows


def latex_rows(text: str) -> list[tuple[int, list[str]]]:
    r"""Return the number of the line on which each row of a LaTeX table begins, and its fields without formatting.

    A field over several columns (`\multicolumn`) is followed by empty fields. Only the first table of the text is read.
    """
    uncommented = _COMMENT.sub("", text)
    start, body = 0, uncommented
    if table := _TABULAR.search(uncommented):
        start, body = table.start(2), table[2]
    # Rules become spaces, so that the number of a line does not change.
    body = _RULE.sub(lambda rule: re.sub(r"[^\n]", " ", rule[0]), body)
    rows = []
    for match in re.finditer(r"(.*?)(?:\\\\(?:\[[^\]]*\])?|\Z)", body, re.DOTALL):
        row = match[1]
        if not row.strip():
            continue
        lead = len(row) - len(row.lstrip())
        number = uncommented.count("\n", 0, start + match.start() + lead) + 1
        fields: list[str] = []
        for field in re.split(r"(?<!\\)&", row):
            span = _SPANNING.fullmatch(field.strip())
            fields.append(without_markup(" ".join(field.split())))
            if span and span[1] == "column" and span[2].strip().isdecimal():
                fields += [""] * (int(span[2]) - 1)
        rows.append((number, fields))
    return rows
