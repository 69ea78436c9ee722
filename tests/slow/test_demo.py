"""What `make demo` measures agrees with what is known of the languages."""

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
#: The other languages that are near Swahili in the whole demo, and large languages of other families.
OTHERS = ("ff", "ha", "fj", "wo", "om", "id", "en", "fr", "tr", "fi")


def test_the_demo_ranks_bantu_languages_first_for_swahili(tmp_path: Path, xsns: Any) -> None:
    """The rows of languages do not depend on one another, so that these are rows of the demo."""
    match = re.search(r"^demo:.*?xsns-stream (build .*?)$", (ROOT / "Makefile").read_text(), re.MULTILINE | re.DOTALL)
    assert match is not None
    words = shlex.split(match[1].replace("$(BUILD_OPTIONS)", ""))
    words[words.index("all")] = ",".join(("sw", *BANTU, *OTHERS))
    completed = xsns(*words, "--store", tmp_path / "demo.zarr", "--quiet")
    assert completed.code == 0, completed.err
    sources = [source.language for source in xs.rank(tmp_path / "demo.zarr", "sw").ranking]
    assert set(sources[: len(BANTU)]) == set(BANTU)
