"""Tables in Markdown and LaTeX, and fields without formatting."""

from __future__ import annotations

import pytest

from xsns_stream.io.markup import is_latex, is_markdown, latex_rows, markdown_rows, without_markup

MARKDOWN = """# Results

| source | sw | yo |
|:-------|---:|---:|
| **en** | **55.2** | _40.1_ |
| fr \\| old | `50` | |

Some text.
"""

LATEX = r"""
\begin{table}[t]
\begin{tabular}{@{}lrr@{}} % two targets
\toprule
 & \multicolumn{2}{c}{\textbf{Target}} \\
\cmidrule(lr){2-3}
Source & sw & yo \\ \midrule
en & \textbf{55.2} & $40.1$ \\[2pt]
French \& Breton & \underline{\textbf{50\%}} & \cellcolor{gray!20}42
\\ \bottomrule
\end{tabular}
\caption{Not & a row \\}
\end{table}
"""


def test_rows_of_a_markdown_table_are_read() -> None:
    assert is_markdown(MARKDOWN)
    assert not is_latex(MARKDOWN)
    assert markdown_rows(MARKDOWN) == [
        (3, ["source", "sw", "yo"]),
        (5, ["en", "55.2", "40.1"]),
        (6, ["fr | old", "50", ""]),
    ]


def test_rows_of_a_latex_table_are_read() -> None:
    assert is_latex(LATEX)
    assert not is_markdown(LATEX)
    assert latex_rows(LATEX) == [
        (5, ["", "Target", ""]),
        (7, ["Source", "sw", "yo"]),
        (8, ["en", "55.2", "40.1"]),
        (9, ["French & Breton", "50%", "42"]),
    ]


def test_latex_rows_are_read_without_their_environment() -> None:
    assert latex_rows("source & sw \\\\\\hline\nen & 5 \\\\\n") == [(1, ["source", "sw"]), (2, ["en", "5"])]


@pytest.mark.parametrize("text", ["source,sw\nen,5\n", "a|b\n", "R&D, 5\n", ""])
def test_other_texts_are_neither(text: str) -> None:
    assert not is_markdown(text)
    assert not is_latex(text)


@pytest.mark.parametrize(
    ("field", "plain"),
    [
        ("**55.2**", "55.2"),
        ("***55.2***", "55.2"),
        ("_55.2_", "55.2"),
        (r"\textbf{\underline{55.2}}", "55.2"),
        (r"{\bf 55.2}", "55.2"),
        (r"\textcolor{red}{55.2}", "55.2"),
        (r"\multirow{2}{*}{Swahili}", "Swahili"),
        (r"55{,}2\%", "55,2%"),
        ("swh_Latn", "swh_Latn"),
        ("2 * 3", "2 * 3"),
        ("", ""),
    ],
)
def test_formatting_is_removed(field: str, plain: str) -> None:
    assert without_markup(field) == plain
