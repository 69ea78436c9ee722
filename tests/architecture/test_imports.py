"""Rules that import-linter cannot check: which modules an import loads, who prints, and which folders are packages.

The contracts in `pyproject.toml` say which package may import which.
"""

from __future__ import annotations

import ast
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from xsns_stream.cli import VERBS


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports, also inside functions and for types only."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: relative imports are not used"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules() -> dict[str, list[Path]]:
    """Return {name of a module or subpackage of xsns_stream: its files}."""
    collected: dict[str, list[Path]] = {}
    for path in sorted((ROOT / "xsns_stream").rglob("*.py")):
        collected.setdefault(path.relative_to(ROOT / "xsns_stream").parts[0].removesuffix(".py"), []).append(path)
    return collected


MODULES = modules()


def in_a_new_process(code: str) -> dict[str, list[str]]:
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert completed.returncode == 0, completed.stderr
    result: dict[str, list[str]] = json.loads(completed.stdout.splitlines()[-1])
    return result


# --------------------------------------------------------------------------- the text of the modules


def test_output_goes_through_the_modules_that_escape_names() -> None:
    """`click.echo`, `print` and the consoles of rich are used only where names are escaped."""
    for path in (path for files in MODULES.values() for path in files):
        if (path.parent.name, path.name) in {("cli", "output.py"), ("io", "console.py")}:
            continue
        if path.name == "normaliser_trial.py":  # a separate program whose output only its parent process reads
            continue
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"\bclick\.s?echo\(|(?<![\w.])print\(|\b(Console|secho)\(|sys\.std(out|err)\.write\(", text
        ), path


def test_only_the_command_line_imports_click_or_prints() -> None:
    for name in set(MODULES) - {"cli"}:
        for path in MODULES[name]:
            calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"], path
            assert not any(n.split(".")[0] == "click" for n in imports(path)), path


def test_importing_the_kernels_loads_neither_torch_nor_triton() -> None:
    code = f"{LOADED}\nimport xsns_kernels\nprint(json.dumps({{'kernels': loaded('torch', 'triton')}}))"
    assert in_a_new_process(code) == {"kernels": []}


# ----------------------------------------------------------------------- the modules that Python loads

LOADED = """
import json, sys
def loaded(*names):
    return [name for name in names if name in sys.modules]
"""

EVERYTHING = (
    LOADED
    + """
from importlib import import_module
found = {}
import xsns_stream
found["the package"] = loaded("numpy", "numba", "torch", "transformers", "zarr", "pandas", "scipy", "click", "rich")
dir(xsns_stream)
found["its names"] = loaded("numpy", "torch")
for name in NAMES:
    import_module(name)
    found[name] = loaded("torch", "transformers", "datasets", "matplotlib")
print(json.dumps(found))
"""
)

HELP = (
    LOADED
    + """
import contextlib, io
from xsns_stream.cli import main
found = {}
for verb in [None, *VERBS]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main([verb, "--help"] if verb else ["--help"])
    assert "Usage: xsns-stream" in out.getvalue()
    heavy = ("torch", "numba", "zarr", "transformers", "matplotlib", "pandas", "datasets", "numpy", "rich")
    found[verb or "xsns-stream"] = loaded(*heavy)
print(json.dumps(found))
"""
)


def test_importing_a_module_does_not_load_torch() -> None:
    light = ("errors", "types", "languages", "io.atomic", "corpora", "subnetworks.select")
    right = ("store", "similarity", "ranking", "report", "pipeline", "objectives", "models", "cli")
    names = [f"xsns_stream.{name}" for name in (*light, *right)] + [f"xsns_stream.cli.{verb}" for verb in VERBS]
    names += [f"xsns_stream.cli.{path.stem}" for path in MODULES["cli"] if path.stem != "__init__"]
    loaded = in_a_new_process(f"NAMES = {names!r}\n{EVERYTHING}")
    assert len(loaded) > len(VERBS) + 10
    assert {name: modules for name, modules in loaded.items() if modules} == {}


def test_help_loads_no_large_library() -> None:
    loaded = in_a_new_process(f"VERBS = {list(VERBS)!r}\n{HELP}")
    assert set(loaded) == {"xsns-stream", *VERBS}
    assert {verb: modules for verb, modules in loaded.items() if modules} == {}


# ----------------------------------------------------------------- folders with the name of a package


def test_the_folder_kernels_is_not_a_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers imports a package named `kernels` if there is one; it must not find this folder."""
    assert not (ROOT / "kernels" / "__init__.py").exists()
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.delitem(sys.modules, "kernels", raising=False)
    spec = importlib.util.find_spec("kernels")
    # From the root of the repository, `kernels` is a namespace package, or the package from PyPI if that is installed.
    assert spec is None or spec.origin is None or not Path(spec.origin).is_relative_to(ROOT / "kernels")


def test_folders_of_the_repository_cannot_be_imported() -> None:
    code = f"{LOADED}\nimport importlib.util as u\nprint(json.dumps({{n: [str(u.find_spec(n))] for n in NAMES}}))"
    completed = subprocess.run(
        [sys.executable, "-c", f"NAMES = ['kernels', 'tests', 'benchmarks', 'tools']\n{code}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(sys.prefix),
    )
    assert str(ROOT / "kernels") not in completed.stdout
    assert str(ROOT / "tests") not in completed.stdout
    assert str(ROOT / "benchmarks") not in completed.stdout
