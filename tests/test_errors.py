"""One tree of errors, and text that a terminal shows and never obeys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kfwd_nb import errors
from kfwd_nb.errors import KfwdError, RemoteProtocolError, UsageError, printable

pytestmark = pytest.mark.pure


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words\n\tand an indent", "plain words\n\tand an indent"),
        ("ünïcödé — 日本 🙂", "ünïcödé — 日本 🙂"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("one\rtwo\x08\x7f", "one\\rtwo\\x08\\x7f"),
        ("\x9b2J", "\\x9b2J"),
        ("right \u202e to left", "right \\u202e to left"),
        ("a\u2028b", "a\\u2028b"),
        ("lone \ud800 surrogate", "lone \\ud800 surrogate"),
        ("\0", "\\x00"),
    ],
)
def test_control_characters_are_shown_not_obeyed(text, shown):
    assert printable(text) == shown


@given(st.text())
def test_nothing_that_a_terminal_obeys_is_left(text):
    shown = printable(text)
    assert all(c.isprintable() or c in "\n\t " for c in shown)
    assert printable(shown) == shown


def test_the_parts_of_an_error_are_kept_apart():
    error = KfwdError("it failed.", where="relay", hint="try again.")
    assert (error.what, error.where, error.hint) == ("it failed.", "relay", "try again.")
    assert str(error) == "it failed.\nhint: try again."
    assert str(KfwdError("it failed.")) == "it failed."


def test_what_ipython_shows_is_the_error_and_no_traceback():
    error = KfwdError("pod says \x1b[2J.", hint="look at it.")
    assert error._render_traceback_() == ["pod says \\x1b[2J.", "hint: look at it."]


def test_usage_has_an_exit_code_of_its_own():
    assert UsageError("x").exit_code == 2
    assert KfwdError("x").exit_code == 1


def test_every_error_of_this_module_is_one_to_show():
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    shown = [each for each in kinds if issubclass(each, Exception)]
    assert len(shown) > 10
    assert all(issubclass(each, KfwdError) for each in shown)


def test_an_error_of_the_peer_knows_the_code_for_the_reply():
    assert RemoteProtocolError("x", code=3).code == 3
    assert RemoteProtocolError("x").code is None
