"""The line `next:` that verbs print last."""

from __future__ import annotations

import pytest

from xsns_stream.cli.output import next_step, store_arguments


def test_the_command_can_be_pasted_into_a_shell(capsys: pytest.CaptureFixture[str]) -> None:
    next_step("rank", *store_arguments("my store.zarr"), "--target", "sw", "--top", 3, quiet=False)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "next: xsns-stream rank --store 'my store.zarr' --target sw --top 3\n")


def test_the_default_store_is_not_named() -> None:
    assert store_arguments("xsns.zarr") == ()


@pytest.mark.parametrize(("quiet", "as_json"), [(True, False), (False, True)])
def test_quiet_and_json_leave_it_out(quiet: bool, as_json: bool, capsys: pytest.CaptureFixture[str]) -> None:
    next_step("info", quiet=quiet, as_json=as_json)
    assert capsys.readouterr() == ("", "")
