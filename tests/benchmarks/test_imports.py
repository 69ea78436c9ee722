"""Every name that the programs in `benchmarks/` and `tools/` import from the package exists.

The programs themselves run among the slow tests.
"""

from __future__ import annotations

import ast
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.support.paths import BENCHMARKS, ROOT

PROGRAMS = sorted([*BENCHMARKS.glob("*.py"), *(ROOT / "tools").glob("*.py")])


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_the_names_that_a_program_imports_exist(program: Path) -> None:
    for node in ast.walk(ast.parse(program.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            ours = [
                alias.name for alias in node.names if alias.name.partition(".")[0] in ("xsns_stream", "xsns_kernels")
            ]
            assert all(find_spec(name) for name in ours), ours
        elif isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in ("xsns_stream", "xsns_kernels"):
            space: dict[str, object] = {}
            exec(ast.unparse(node), space)
