"""Folders that tests read: the repository, the embedded model, and data that lie beside the repository."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
DOCS = ROOT / "docs"
SUPPORT = ROOT / "tests" / "support"
MINI = ROOT / "xsns_stream" / "assets" / "mini"
#: Real corpora and tables. The tests that need them are skipped without them.
SHARED_DATA = Path(os.environ.get("XSNS_SHARED_DATA") or ROOT.parent / "shared" / "data")
#: Small inputs of the kinds that users have.
SHARED_CASES = ROOT.parent / "shared" / "cases"
