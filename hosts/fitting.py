"""Making values fit their columns: engines may say anything, and a database refuses some of it. Pure.

What a database refuses is a text with NUL, half a surrogate pair or more characters than the column takes,
a number out of range or no number at all, and JSON that holds such things.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

from django.db import models
from django.db.backends.base.operations import BaseDatabaseOperations

TEXT_LIMIT = 256 * 1024  # characters, where the column has no limit of its own
JSON_LIMIT = 256 * 1024  # characters of its text
_JSON_DEPTH = 20
_JSON_NUMBERS = 1e300
_REPLACED = "\N{REPLACEMENT CHARACTER}"
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_RANGES = BaseDatabaseOperations.integer_field_ranges


def fit(field: models.Field[Any, Any], value: Any) -> tuple[Any, str]:
    """The value as the column takes it, and what is the matter with it (empty: nothing).

    A number that cannot be stored is left out, or where the column needs one brought into its range.
    """
    if value is None:
        return None, ""
    for kind, mend in _MENDERS:
        if isinstance(field, kind):
            return mend(field, value)
    return value, ""


def fitted(model: type[models.Model], **values: Any) -> dict[str, Any]:
    """Values for columns of a model, each made to fit; expressions are left as they are."""
    return {
        name: value if hasattr(value, "resolve_expression") else fit(model._meta.get_field(name), value)[0]  # type: ignore[arg-type]
        for name, value in values.items()
    }


def clean(text: str) -> str:
    """The text with what no database stores replaced."""
    return _UNSTORABLE.sub(_REPLACED, text)


def _text(field: models.Field[Any, Any], value: Any) -> tuple[str, str]:
    text = value if isinstance(value, str) else str(value)
    limit = field.max_length or TEXT_LIMIT
    if len(text) > limit:
        return clean(text[: limit - 1]) + "…", f"a text of {len(text)} characters, cut to {limit}"
    kept = clean(text)
    return kept, "" if kept == value else "a text with characters that cannot be stored, replaced"


def _integer(field: models.Field[Any, Any], value: Any) -> tuple[int | None, str]:
    low, high = _RANGES[field.get_internal_type()]
    if not isinstance(value, int) and not (isinstance(value, float) and math.isfinite(value)):
        return None if field.null else low if low > 0 else 0, "no number"
    number = int(value)
    if low <= number <= high:
        return number, ""
    return None if field.null else max(low, min(high, number)), "a number out of range"


def _float(field: models.Field[Any, Any], value: Any) -> tuple[float | None, str]:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isfinite(number):
        return number, ""
    return None if field.null else 0.0, "no number that can be stored"


def _moment(field: models.Field[Any, Any], value: Any) -> tuple[datetime | None, str]:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value, ""
    return None, "no point in time"


def _boolean(_field: models.Field[Any, Any], value: Any) -> tuple[bool, str]:
    return bool(value), "" if isinstance(value, bool) else "neither true nor false"


def _json(_field: models.Field[Any, Any], value: Any) -> tuple[Any, str]:
    kept = _json_value(value, _JSON_DEPTH)
    size = len(json.dumps(kept))
    if size > JSON_LIMIT:
        return {"left_out": f"{size} characters"}, f"JSON of {size} characters, left out"
    return kept, "" if kept == value else "JSON with values that cannot be stored, replaced"


def _json_value(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int | float):
        return value if abs(value) < _JSON_NUMBERS else None  # not-a-number is not below anything
    if depth == 0:
        return "…"
    if isinstance(value, dict):
        return {clean(str(key)): _json_value(one, depth - 1) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(one, depth - 1) for one in value]
    return clean(str(value))


_MENDERS: tuple[tuple[type[models.Field[Any, Any]], Callable[..., tuple[Any, str]]], ...] = (
    (models.CharField, _text),
    (models.TextField, _text),
    (models.IntegerField, _integer),
    (models.FloatField, _float),
    (models.DateTimeField, _moment),
    (models.BooleanField, _boolean),
    (models.JSONField, _json),
)
