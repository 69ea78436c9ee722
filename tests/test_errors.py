"""Errors show their hint in tracebacks, also after they were sent between processes."""

from __future__ import annotations

import pickle
import traceback

from xsns_stream.errors import LanguageError, XsnsError


def test_a_traceback_ends_with_the_hint() -> None:
    error = LanguageError("there is no language 'xx'.", "did you mean 'xh'?")
    lines = "".join(traceback.format_exception(error)).splitlines()
    assert lines == ["xsns_stream.errors.LanguageError: there is no language 'xx'.", "hint: did you mean 'xh'?"]
    assert str(error) == "there is no language 'xx'."


def test_without_a_hint_there_is_no_note() -> None:
    assert traceback.format_exception(XsnsError("a failure.")) == ["xsns_stream.errors.XsnsError: a failure.\n"]


def test_a_pickled_error_has_its_hint_once() -> None:
    again = pickle.loads(pickle.dumps(XsnsError("a failure.", "do this.")))
    assert again.hint == "do this."
    assert "".join(traceback.format_exception(again)).count("hint: do this.") == 1
