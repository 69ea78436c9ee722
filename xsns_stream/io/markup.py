r"""Readers of tables in Markdown and LaTeX, which return rows of fields without formatting.

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
    "|mathrm|ensuremath|num|makecell|tabhead|thead|shortstack|mbox|rlap|llap|textnormal|textcolor\\{[^{}]*\\}|colorbox\\{[^{}]*\\}"
)
_COMMAND: Final = re.compile(rf"\\(?:{_LOOK})\s*(?:\[[^\]]*\])?\{{((?:[^{{}}]|\{{[^{{}}]*\}})*)\}}")
#: A cell over several columns or rows: its text is the last argument.
_SPANNING: Final = re.compile(
    r"\\multi(column|row)\s*(?:\[[^\]]*\])?\{([^{}]*)\}\s*(?:\[[^\]]*\])?\{[^{}]*\}\s*(?:\[[^\]]*\])?\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
)
_SWITCH: Final = re.compile(
    r"\\(?:bfseries|itshape|bf|it|sc|small|footnotesize|scriptsize|tiny|centering|rowcolor|cellcolor|color)(?![a-zA-Z])"
    r"(?:\[[^\]]*\])?(?:\{[^{}]*\})?\s*"
)
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
#: Braces around a part of a text, which are not the argument of a command or of `_` and `^`.
_GROUP: Final = re.compile(r"(?<=\s)\{([^{}]*)\}")
#: Commands whose argument is not part of the text.
_UNSEEN: Final = re.compile(
    r"\\(?:[hv]?phantom|hspace\*?|vspace\*?|cite[a-z]*|footnote|footnotemark|label)(?:\[[^\]]*\])?\{[^{}]*\}"
)
#: Formatting of HTML in Markdown.
_LINE_BREAK: Final = re.compile(r"<br\s*/?>", re.IGNORECASE)
_TAG: Final = re.compile(r"</?(?:b|strong|i|em|u|sub|sup|small|code)>", re.IGNORECASE)
#: Parts of a row of LaTeX: an escaped character, a brace, or a separator.
_PART: Final = re.compile(r"\\\\|\\.|[{}&]", re.DOTALL)
_RULE: Final = re.compile(
    r"\\(?:hline|toprule|midrule|bottomrule|cline|cmidrule|specialrule|addlinespace|morecmidrules|noalign|endhead"
    r"|endfirsthead|endfoot|endlastfoot)(?![a-zA-Z])(?:\([^)]*\))?(?:\[[^\]]*\])?(?:\([^)]*\))?(?:\{[^{}]*\})*"
)
_COMMENT: Final = re.compile(r"(?<!\\)%.*")
_TABLES: Final = r"tabular[xy*]?|longtable|array|tblr"
_EDGE: Final = re.compile(rf"\\(begin|end)\{{(?:{_TABLES})\}}")
#: The arguments of a table: a width, a position, and the alignment of columns.
_ARGUMENTS: Final = re.compile(r"(?:\[[^\]]*\])?(?:\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})*")
_DASHES: Final = re.compile(r"[\s|:+=-]+")


def without_markup(text: str) -> str:
    r"""Remove the formatting of Markdown and LaTeX from a field.

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
        core = _COMMAND.sub(r"\1", _SPANNING.sub(r"\3", _UNSEEN.sub("", core)))
        core = _SWITCH.sub("", core)
        if len(core) > 1 and core.startswith("$") and core.endswith("$"):
            core = core[1:-1]
        if braces := _BRACES.fullmatch(core):
            core = braces[1]
        core = _GROUP.sub(r"\1", core)
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


def markdown_tables(text: str) -> list[list[tuple[int, str]]]:
    """Return (line number, line) for the lines of each table.

    A table consists of adjacent lines with bars; one of these lines has only dashes and bars.
    """
    groups: list[list[tuple[int, str]]] = [[]]
    for number, line in enumerate(text.splitlines(), 1):
        if "|" in line:
            groups[-1].append((number, line.strip()))
        elif groups[-1]:
            groups.append([])
    return [group for group in groups if any(_DASHES.fullmatch(line) for _, line in group)]


def markdown_rows(text: str) -> list[tuple[int, list[str]]]:
    """Return (line number, fields without formatting) for each row of the first Markdown table."""
    rows = []
    for number, line in (markdown_tables(text) or [[]])[0]:
        if _DASHES.fullmatch(line):
            continue
        fields = re.split(r"(?<!\\)\|", line.removeprefix("|").removesuffix("|"))
        plain = [_TAG.sub("", _LINE_BREAK.sub(" ", field.replace("\\|", "|"))) for field in fields]
        rows.append((number, list(map(without_markup, plain))))
    return rows


def latex_tables(text: str) -> int:
    """Return the number of tables in a LaTeX text; tables within a cell of another table are not counted."""
    return len(_tables(_COMMENT.sub("", text)))


def latex_rows(text: str) -> list[tuple[int, list[str]]]:
    r"""Return (number of its first line, fields without formatting) for each row of the first LaTeX table.

    A field over several columns (`\multicolumn`) is followed by empty fields. The text of a field over several rows
    (`\multirow`) is in the first of these rows.
    """
    uncommented = _COMMENT.sub("", text)
    start, end = (_tables(uncommented) or [(0, len(uncommented))])[0]
    # Rules are replaced by spaces and not removed, because the numbers of lines must not change.
    body = _RULE.sub(lambda rule: _spaces(rule[0]), _one_line_cells(_without_inner_tables(uncommented[start:end])))
    rows: list[tuple[int, list[str]]] = []
    for match in re.finditer(r"(.*?)(?:\\\\(?:\[[^\]]*\])?|\Z)", body, re.DOTALL):
        row = match[1]
        if not row.strip():
            continue
        lead = len(row) - len(row.lstrip())
        number = uncommented.count("\n", 0, start + match.start() + lead) + 1
        fields: list[str] = []
        for field in re.split(r"(?<!\\)&", row):
            span = _SPANNING.fullmatch(field.strip())
            plain, count = without_markup(" ".join(field.split())), span[2].strip() if span else ""
            above = -int(count) - 1 if span and span[1] == "row" and re.fullmatch(r"-\d+", count) else 0
            if 0 < above <= len(rows) and len(fields) < len(rows[-above][1]):
                # A negative number of rows: the text stands in the last of them.
                rows[-above][1][len(fields)] = plain
                plain = ""
            fields.append(plain)
            if span and span[1] == "column" and count.isdecimal():
                fields += [""] * (int(count) - 1)
        rows.append((number, fields))
    return rows


def _tables(text: str) -> list[tuple[int, int]]:
    """Return (start, end) of the content of each table that is not nested in another table."""
    found, depth, start = [], 0, 0
    for edge in _EDGE.finditer(text):
        if edge[1] == "begin":
            if not depth:
                arguments = _ARGUMENTS.match(text, edge.end())
                start = arguments.end() if arguments else edge.end()
            depth += 1
        elif depth:
            depth -= 1
            if not depth:
                found.append((start, edge.start()))
    return found


def _without_inner_tables(body: str) -> str:
    """Replace the commands, row ends and separators of nested tables by spaces in the content of a table."""
    while inner := _tables(body):
        start, end = inner[0]
        opening = [edge.start() for edge in _EDGE.finditer(body, 0, start) if edge[1] == "begin"][-1]
        closing = _EDGE.match(body, end)
        content = re.sub(r"\\\\(?:\[[^\]]*\])?|(?<!\\)&", lambda match: _spaces(match[0]), body[start:end])
        after = closing.end() if closing else end
        body = f"{body[:opening]}{_spaces(body[opening:start])}{content}{_spaces(body[end:after])}{body[after:]}"
    return body


def _one_line_cells(body: str) -> str:
    r"""Remove row ends and separators within braces, as in `\makecell{Avg.\\(all)}`, from the content of a table."""
    parts, at, depth = [], 0, 0
    for match in _PART.finditer(body):
        part = match[0]
        depth += (part == "{") - (part == "}")
        if depth > 0 and part in ("\\\\", "&"):
            parts += [body[at : match.start()], _spaces(part)]
            at = match.end()
    return body if depth else "".join((*parts, body[at:]))


def _spaces(text: str) -> str:
    """Replace every character of a text except line ends by a space."""
    return re.sub(r"[^\n]", " ", text)
