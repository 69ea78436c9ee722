"""The table of matrix formats agrees with the writers, the help page and the messages."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from xsns_stream.cli.matrix import command
from xsns_stream.errors import UsageError
from xsns_stream.io.matrix_formats import GROUP_SUFFIXES, SUFFIXES
from xsns_stream.report import FORMATS, GROUP_FORMATS, RESULT_FORMATS, check_destination, export


def test_every_format_has_a_writer() -> None:
    assert tuple(export._WRITERS) == SUFFIXES == FORMATS
    assert set(export._GROUP_WRITERS) == set(GROUP_SUFFIXES) == set(GROUP_FORMATS)
    assert set(RESULT_FORMATS) <= set(SUFFIXES)


def test_help_and_message_list_every_suffix() -> None:
    page = CliRunner().invoke(command, ["--help"]).output
    with pytest.raises(UsageError) as caught:
        check_destination("m.xls")
    for suffix in SUFFIXES:
        assert suffix in page
        assert suffix in caught.value.hint
