"""Log text without its escapes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.log_text import shown, strip_ansi

words = st.text(st.characters(exclude_characters="\x1b", exclude_categories=["Cs"]), max_size=12)
escapes = st.one_of(
    st.builds("\x1b[{}{}".format, st.from_regex(r"\A[0-?]{0,8}[ -/]{0,2}\Z"), st.sampled_from("mKHJhlu~@")),
    st.builds("\x1b]{};{}".format, st.text("0123abc:/.?=", max_size=20), st.sampled_from(["\x07", "\x1b\\"])),
    st.sampled_from(["\x1b7", "\x1b8", "\x1bM", "\x1bc", "\x1b(B", "\x1b=", "\x1bPq#0;1\x1b\\"]),
)  # fmt: skip


@given(st.lists(st.tuples(words, escapes), max_size=8), words)
def test_what_is_left_is_the_text_without_its_escapes(parts, last):
    written = "".join(word + escape for word, escape in parts) + last
    assert strip_ansi(written) == "".join(word for word, _ in parts) + last


@given(words)
def test_text_without_escapes_stays_as_it_is(text):
    assert strip_ansi(text) == text


@given(st.text(max_size=30))
def test_whatever_is_left_holds_no_escape(text):
    assert "\x1b" not in strip_ansi(text)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("10 %\r20 %\r100 %", "100 %"),
        ("a long line\rshort", "shortg line"),
        ("\x1b[32mgreen\x1b[0m\rGR", "GReen"),
        ("cut \x1b[3", "cut "),
        ("\x1b]0;title that never ends\nnext line", "\nnext line"),
    ],
)
def test_a_carriage_return_overwrites_as_on_a_terminal(text, seen):
    assert shown(text) == seen
