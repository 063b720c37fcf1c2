"""What no form, command or engine expects."""

from __future__ import annotations

from hypothesis import strategies as st

_WORDS = [
    "",
    " ",
    "\x00",
    "a\x00b",
    "0",
    "-1",
    "1e309",
    "NaN",
    "Infinity",
    "-0",
    "٣",
    "²",
    "9" * 40,
    "-" + "9" * 40,
    "9" * 5000,
    "1.5",
    "0x10",
    "1_000",
    "true",
    "null",
    "[]",
    "{}",
    "[" * 2000,
    '{"a": NaN}',
    '{"a": 1e999}',
    '{"a": "\\u0000"}',
    '{"a": "\\ud800"}',
    '"text"',
    "'",
    '"',
    "'; DROP TABLE jobs_containerjob; --",
    "<script>alert(1)</script>",
    "{{ 7|add:7 }}{% now %}",
    "%s %d %(x)s {0} {x.__class__}",
    "../../etc/passwd",
    "/",
    "//example.invalid/",
    "javascript:alert(1)",
    "a\r\nSet-Cookie: a=b",
    "\u202egnp.exe",
    "\ufeff",
    "\U0010ffff",
    "🦀" * 100,
    "x" * 70_000,
    "9999-12-31T23:59:59+14:00",
    "0001-01-01T00:00:00-14:00",
    "2026-02-30",
    "2026-03-29T02:30",
    "P9999999999D",
    "99999999999h",
    "00000000-0000-0000-0000-000000000000",
    "ffffffffffffffffffffffffffffffff",
    "all",
    "1",
    "on",
    "KEY=value",
    "=",
    "a=b=c",
    "((((((((((a+)+)+)+)+)+)+)+)+)+)$",
    "\\",
    "%",
    "%00",
    "%ff",
    "*",
]

words = st.one_of(st.sampled_from(_WORDS), st.text(max_size=40), st.integers().map(str))

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(_WORDS)
    | st.text(max_size=20)
    | st.binary(max_size=8).map(repr),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=8,
)
