"""Modules do not import one another in a circle, and at most two modules have the same file name.

Imports inside functions count, because they run later. Imports for types only (`if TYPE_CHECKING:`) do not count.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.support.paths import ROOT

FOLDERS = (ROOT / "xsns_stream", ROOT / "kernels" / "xsns_kernels")
#: Import circles that have not been removed yet. Do not add to this list.
KNOWN_CIRCLES: set[frozenset[str]] = set()


def module_name(path: Path, folder: Path) -> str:
    """Return the name under which a file of a package is imported."""
    parts = path.relative_to(folder.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported_names(tree: ast.AST) -> set[str]:
    """Return the imports of a module: names of modules, and `module.name` for `from module import name`."""
    names: set[str] = set()
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            names |= imported_names(ast.Module(node.orelse, []))
        else:
            names |= imported_names(node)
    return names


def import_graph() -> dict[str, set[str]]:
    """Return {module: modules of the repository that it imports}.

    `from package import name` imports the module `package.name` if there is one, and the package itself otherwise. The
    `__init__.py` of the folders above a module, which Python runs first, do not count as imports.
    """
    paths = {module_name(path, folder): path for folder in FOLDERS for path in sorted(folder.rglob("*.py"))}
    graph: dict[str, set[str]] = {}
    for module, path in paths.items():
        names = imported_names(ast.parse(path.read_text(encoding="utf-8")))
        targets = {name if name in paths else name.rpartition(".")[0] for name in names}
        graph[module] = targets & paths.keys() - {module}
    return graph


def reachable(graph: Mapping[str, Iterable[str]], module: str) -> set[str]:
    """Return every module that importing `module` can lead to, by any number of imports."""
    collected: set[str] = set()
    waiting = list(graph[module])
    while waiting:
        following = waiting.pop()
        if following not in collected:
            collected.add(following)
            waiting += graph[following]
    return collected


def circles(graph: Mapping[str, Iterable[str]]) -> set[frozenset[str]]:
    """Return the largest sets of modules in which each one leads to every other one."""
    behind = {module: reachable(graph, module) for module in graph}
    return {
        frozenset(other for other in behind[module] if module in behind[other])
        for module in graph
        if module in behind[module]
    }


def test_modules_do_not_import_one_another_in_a_circle() -> None:
    graph = import_graph()
    assert len(graph) > 150
    cycles = circles(graph)
    new = [
        "; ".join(f"{module} imports {', '.join(sorted(graph[module] & circle))}" for module in sorted(circle))
        for circle in cycles - KNOWN_CIRCLES
    ]
    assert not new, "modules import one another: " + "\n".join(new)
    assert not KNOWN_CIRCLES - cycles, "remove these circles, which no longer exist, from KNOWN_CIRCLES"


def test_a_circle_is_found_through_any_number_of_modules() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a"}}
    assert circles(graph) == {frozenset("abc"), frozenset("de")}
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == set()


def test_imports_in_functions_count_and_imports_for_types_do_not() -> None:
    code = """
import one
from two import name
if TYPE_CHECKING:
    import three
else:
    import four
def f():
    from five import other
"""
    assert imported_names(ast.parse(code)) == {"one", "two.name", "four", "five.other"}


def test_at_most_two_modules_have_the_same_file_name() -> None:
    names = Counter(path.name for path in (ROOT / "xsns_stream").rglob("*.py") if path.name != "__init__.py")
    assert {name: count for name, count in names.items() if count > 2} == {}
