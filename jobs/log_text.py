"""Text of logs as it is read: without the escapes that colour it, and as a terminal would leave it."""

from __future__ import annotations

import re

# Of the standard's sequences: control sequences, strings (titles, links) up to their end, and short escapes.
# One that is cut off goes as far as it came; none goes on in the next line.
_ESCAPE = re.compile(
    r"\x1b(?:"
    r"\[[0-?]*[ -/]*(?:[@-~]|\Z|(?=[^ -~]))"
    r"|[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\|\Z|(?=[\x1b\n]))"
    r"|[ -/]*(?:[0-OQ-WYZ\\`-~]|\Z|(?=[^ -~]))"
    r")"
)


def strip_ansi(text: str) -> str:
    """The text without escape sequences; nothing else is changed. The twin of js/log/ansi.js."""
    return _ESCAPE.sub("", text) if "\x1b" in text else text


def shown(text: str) -> str:
    """What is seen of a line: without escapes, and with what a carriage return made it overwrite."""
    text = strip_ansi(text)
    if "\r" not in text:
        return text
    line = ""
    for part in text.split("\r"):
        line = part + line[len(part) :]
    return line
