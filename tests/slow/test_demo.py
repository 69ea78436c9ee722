"""The results of `make demo` agree with the known relations of the languages."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

import xsns_stream as xs
from tests.support.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

BANTU = ("bem", "ny", "rw", "sn")
#: The languages that are most similar to Swahili in the complete demo, and large languages of other families.
OTHERS = ("ff", "ha", "fj", "wo", "om", "id", "en", "fr", "tr", "fi")


def test_the_demo_ranks_bantu_languages_first_for_swahili(tmp_path: Path, xsns: Any) -> None:
    """Rows do not depend on one another, so that these rows equal those of the complete demo."""
    match = re.search(r"^demo:.*?xsns-stream (build .*?)$", (ROOT / "Makefile").read_text(), re.MULTILINE | re.DOTALL)
    assert match is not None
    words = shlex.split(match[1].replace("$(BUILD_OPTIONS)", ""))
    words[words.index("all")] = ",".join(("sw", *BANTU, *OTHERS))
    completed = xsns(*words, "--store", tmp_path / "demo.zarr", "--quiet")
    assert completed.code == 0, completed.err
    sources = [source.language for source in xs.rank(tmp_path / "demo.zarr", "sw").ranking]
    assert set(sources[: len(BANTU)]) == set(BANTU)
