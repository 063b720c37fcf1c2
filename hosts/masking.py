"""Credentials are not for logs, rows or screens: what they look like, and what stands in their place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "•••"

SECRET_NAME = re.compile(r"pass(?!ed|es|ing|ive)|secret|token|authori[sz]ation|api[-_]?key", re.IGNORECASE)
# Both begin with fixed text and are bounded: a log line may be long, and anybody's.
URL_CREDENTIALS = re.compile(r"(?<=://)[^\s/@:]{0,256}:[^\s/@]{1,1024}(?=@)")
ASSIGNMENT = re.compile(
    r"((?:password|passwd|secret|token|api[-_]?key)[\w-]{0,40}=)(?!=)(?:'[^']*'|\"[^\"]*\"|[^\s&,;'\")]+)",
    re.IGNORECASE,
)


def mask_text(text: str) -> str:
    """The text without credentials in URLs, and after `password=` and the like."""
    return ASSIGNMENT.sub(rf"\1{MASK}", URL_CREDENTIALS.sub(MASK, text))


def mask(value: Any) -> Any:
    """The value without credentials: those under a telling key, inside URLs, and after `password=`."""
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, str):
        return mask_text(value)
    if isinstance(value, Mapping):
        return {str(key): mask_field(str(key), one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask(one) for one in value]
    return mask(repr(value) if isinstance(value, BaseException) else str(value))


def mask_field(key: str, value: Any) -> Any:
    """The value under this key, as `mask` gives it; nothing of it if the key says that it is a secret."""
    if SECRET_NAME.search(key) and value is not None and not isinstance(value, bool):
        return MASK
    return mask(value)
