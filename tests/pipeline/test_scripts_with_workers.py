"""Python scripts that start workers: every worker runs the script again, so that the script needs a guard."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from xsns_stream.pipeline.cluster_clients import _is_guarded

BUILD = 'xs.build("no-such-folder", "mini", "x.zarr", languages="sw", workers=2)'


def guarded(tmp_path: Path, *lines: str) -> bool:
    """Return whether the last line of a script is skipped by workers."""
    (tmp_path / "script.py").write_text("\n".join(lines) + "\n", encoding="utf-8")
    ast.parse("\n".join(lines))
    return _is_guarded(str(tmp_path / "script.py"), len(lines))


def test_a_script_without_a_guard_gets_one_sentence_and_starts_nothing(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"import xsns_stream as xs\n\n{BUILD}\n", encoding="utf-8")
    completed = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert completed.returncode == 1
    assert completed.stderr.count("Traceback") == 1
    message, hint = completed.stderr.splitlines()[-2:]
    assert hint.startswith("hint: workers of a scheduler that runs already")
    assert message == (
        f"xsns_stream.errors.UsageError: line 3 of '{script}' starts workers, which run the script again when they "
        'start: put this statement below the line if __name__ == "__main__":'
    )


def test_scripts_whose_statement_is_skipped_by_workers(tmp_path: Path) -> None:
    assert guarded(tmp_path, "import xsns_stream as xs", 'if __name__ == "__main__":', f"    {BUILD}")
    assert guarded(tmp_path, 'if "__main__" == __name__ and True:', "    pass", f"    {BUILD}")
    assert guarded(tmp_path, 'if __name__ != "__main__":', "    raise SystemExit", BUILD)
    assert guarded(tmp_path, "import sys", 'if __name__ != "__main__":', "    sys.exit()", BUILD)


def test_scripts_whose_statement_is_run_by_workers(tmp_path: Path) -> None:
    assert not guarded(tmp_path, BUILD)
    assert not guarded(tmp_path, "log = print(__name__)", BUILD)
    assert not guarded(tmp_path, 'if __name__ == "__main__":', '    print("begins")', BUILD)
    assert not guarded(tmp_path, "if True:", f"    {BUILD}")


@pytest.mark.parametrize("text", ["", "not Python at all"])
def test_a_script_that_cannot_be_read_is_not_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(text, encoding="utf-8")
    assert _is_guarded(str(tmp_path / "script.py"), 1) == bool(text)
    assert _is_guarded(str(tmp_path / "missing.py"), 1)
