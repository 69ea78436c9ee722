"""Import rules that import-linter cannot check: what Python has loaded, who prints, and what is a package.

The contracts of import-linter in `pyproject.toml` say which package may import which.
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

LEFT_OF_THE_STORE = {"corpora", "objectives", "models", "fisher", "transfer"}
#: Where stages meet.
MEETING = {"pipeline", "reproduce", "cli"}
#: Kernels that run where the gradients are.
ON_A_DEVICE = {"device", "device_overlap", "grouped", "_grouped_triton"}
HEAVY = ("torch", "transformers", "datasets")


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports anywhere in it, also only for types."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import hides what is imported"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules() -> dict[str, list[Path]]:
    """{first part of its name below xsns_stream: files} of every module and subpackage."""
    found: dict[str, list[Path]] = {}
    for path in sorted((ROOT / "xsns_stream").rglob("*.py")):
        found.setdefault(path.relative_to(ROOT / "xsns_stream").parts[0].removesuffix(".py"), []).append(path)
    return found


MODULES = modules()


def in_a_new_process(code: str) -> dict[str, list[str]]:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, list[str]] = json.loads(done.stdout.splitlines()[-1])
    return result


# ----------------------------------------------------------------------------------- what the files say


def test_whatever_is_printed_goes_through_one_place() -> None:
    """`click.echo`, `print` and rich's consoles stand where names are escaped, and nowhere else."""
    for path in (path for files in MODULES.values() for path in files):
        if (path.parent.name, path.name) in {("cli", "output.py"), ("io", "console.py")}:
            continue
        if path.name == "normaliser_trial.py":  # a program of its own, whose output only its parent reads
            continue
        text = path.read_text(encoding="utf-8")
        assert not re.search(
            r"\bclick\.s?echo\(|(?<![\w.])print\(|\b(Console|secho)\(|sys\.std(out|err)\.write\(", text
        ), path


@pytest.mark.parametrize("name", sorted(set(MODULES) - LEFT_OF_THE_STORE - MEETING - {"types", "__init__"}))
def test_no_line_right_of_the_store_imports_torch(name: str) -> None:
    for path in MODULES[name]:
        assert not {n for n in imports(path) if n.split(".")[0] in HEAVY}, path


def test_only_the_command_line_prints() -> None:
    for name in set(MODULES) - {"cli"}:
        for path in MODULES[name]:
            calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
            assert not [c for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"], path
            assert not any(n.split(".")[0] == "click" for n in imports(path)), path


def test_the_kernels_are_a_leaf() -> None:
    files = sorted((ROOT / "kernels" / "xsns_kernels").glob("*.py"))
    assert len(files) > 5
    for path in files:
        forbidden = {"xsns_stream", "zarr"} | (set() if path.stem in ON_A_DEVICE else {"torch", "triton"})
        assert not {n for n in imports(path) if n.split(".")[0] in forbidden}, path


def test_kernels_for_devices_are_loaded_only_where_they_are_used() -> None:
    code = f"{LOADED}\nimport xsns_kernels\nprint(json.dumps({{'kernels': loaded('torch', 'triton')}}))"
    assert in_a_new_process(code) == {"kernels": []}


# ------------------------------------------------------------------------------------ what Python loads

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
    found[verb or "xsns-stream"] = loaded("torch", "numba", "zarr", "transformers", "matplotlib", "pandas", "datasets")
print(json.dumps(found))
"""
)


def test_importing_loads_no_torch() -> None:
    light = ("errors", "types", "languages", "io.atomic", "corpora", "subnetworks.select")
    right = ("store", "similarity", "ranking", "report", "pipeline", "objectives", "models", "cli")
    names = [f"xsns_stream.{name}" for name in (*light, *right)] + [f"xsns_stream.cli.{verb}" for verb in VERBS]
    names += [f"xsns_stream.cli.{path.stem}" for path in MODULES["cli"] if path.stem != "__init__"]
    found = in_a_new_process(f"NAMES = {names!r}\n{EVERYTHING}")
    assert len(found) > len(VERBS) + 10
    assert {name: modules for name, modules in found.items() if modules} == {}


def test_help_loads_nothing_heavy() -> None:
    found = in_a_new_process(f"VERBS = {list(VERBS)!r}\n{HELP}")
    assert set(found) == {"xsns-stream", *VERBS}
    assert {verb: modules for verb, modules in found.items() if modules} == {}


# -------------------------------------------------------------------- a folder called as another package


def test_the_folder_of_the_kernels_is_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers looks for a package named `kernels`; ours must not be found in its place."""
    assert not (ROOT / "kernels" / "__init__.py").exists()
    monkeypatch.syspath_prepend(str(ROOT))
    monkeypatch.delitem(sys.modules, "kernels", raising=False)
    spec = importlib.util.find_spec("kernels")
    # From the repository's root it is a bare namespace, or the real one from PyPI where that is installed.
    assert spec is None or spec.origin is None or not Path(spec.origin).is_relative_to(ROOT / "kernels")


def test_no_folder_of_the_repository_is_importable_by_accident() -> None:
    code = f"{LOADED}\nimport importlib.util as u\nprint(json.dumps({{n: [str(u.find_spec(n))] for n in NAMES}}))"
    done = subprocess.run(
        [sys.executable, "-c", f"NAMES = ['kernels', 'tests', 'benchmarks', 'tools']\n{code}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        cwd=Path(sys.prefix),
    )
    assert str(ROOT / "kernels") not in done.stdout
    assert str(ROOT / "tests") not in done.stdout
    assert str(ROOT / "benchmarks") not in done.stdout
