"""The files of the wheel and of the source distribution."""

from __future__ import annotations

import pytest
from hatchling.builders.plugin.interface import BuilderInterface
from hatchling.builders.sdist import SdistBuilder
from hatchling.builders.wheel import WheelBuilder

from tests.support.paths import MINI, ROOT
from xsns_stream.corpora.ntrex import FOLDER


@pytest.mark.parametrize("builder", [WheelBuilder, SdistBuilder])
def test_the_embedded_model_and_text_are_distributed(builder: type[BuilderInterface]) -> None:
    files = {file.distribution_path for file in builder(str(ROOT)).recurse_included_files()}
    embedded = {str(path.relative_to(ROOT)) for folder in (MINI, FOLDER) for path in folder.iterdir()}
    assert embedded <= files
    assert len(embedded) > 125


def test_the_licences_are_distributed() -> None:
    metadata = WheelBuilder(str(ROOT)).metadata.core
    assert metadata.license_expression == "Apache-2.0 AND CC-BY-SA-4.0"
    assert metadata.license_files == ["LICENSE", "NOTICE", "xsns_stream/assets/ntrex/LICENSE"]
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    assert all(str(folder.relative_to(ROOT)) in notice for folder in (MINI, FOLDER))
