"""The rows of a batch as a relation that SQL reads: how they travel to each database."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any
from uuid import UUID

from django.db import connection, models

from hosts import fitting

_TEXTS = (models.CharField, models.TextField)
_MOST_CHARACTERS = 4 * fitting.TEXT_LIMIT
Row = Mapping[str, Any]
Columns = Mapping[str, "models.Field[Any, Any]"]


def unnested(columns: Columns, rows: Sequence[Row]) -> tuple[str, list[Any]]:
    """The relation `x` of the rows, with its parameters: one JSON text, if that does."""
    names = tuple(columns.items())
    if _is_plain(names) and (text := _as_json(columns, rows)):
        return _recordset(names), [text]
    params = []
    for name, field in columns.items():
        plain = _PLAIN.get(field.get_internal_type())
        values = [row[name] for row in rows]
        adapted = [one if type(one) is plain else _adapt(field, one) for one in values]
        params.append(adapted if isinstance(field, models.BinaryField) else _array(adapted))
    return _relation(names), params


@cache
def _is_plain(columns: tuple[tuple[str, models.Field[Any, Any]], ...]) -> bool:
    return not any(isinstance(field, models.BinaryField) for _, field in columns)


@cache
def _recordset(columns: tuple[tuple[str, models.Field[Any, Any]], ...]) -> str:
    typed = ", ".join(f"{name} {field.rel_db_type(connection)}" for name, field in columns)
    return f"x AS (SELECT * FROM jsonb_to_recordset(%s::jsonb) AS x({typed}))"


def _as_json(columns: Columns, rows: Sequence[Row]) -> str:
    """The rows as JSON; empty if they hold what JSON or PostgreSQL's reading of it does not keep as it is."""
    try:
        text = _encoder.encode([{name: row[name] for name in columns} for row in rows])
    except (TypeError, ValueError, RecursionError):
        return ""
    odd = "\\u0000" in text or "\\ud" in text or len(text) > _MOST_CHARACTERS
    return "" if odd else text


def _json_value(value: object) -> str:
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.isoformat()
    raise TypeError(f"no JSON for {type(value)}")


_encoder = json.JSONEncoder(allow_nan=False, default=_json_value, check_circular=False)


# Values that PostgreSQL reads as Python writes them, by column: a shortcut, for they are many.
_PLAIN = {
    "UUIDField": UUID,
    "FloatField": float,
    "BooleanField": bool,
    "BigIntegerField": int,
    "PositiveIntegerField": int,
    "IntegerField": int,
}


@cache
def _relation(columns: tuple[tuple[str, models.Field[Any, Any]], ...]) -> str:
    names = ", ".join(name for name, _ in columns)
    arrays = ", ".join(f"{_place(field)}::{field.rel_db_type(connection)}[]" for _, field in columns)
    return f"x({names}) AS (SELECT * FROM unnest({arrays}))"


def _array(values: list[Any]) -> str:
    """An array as PostgreSQL writes it: psycopg takes several times as long to write one."""
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    text = value if type(value) is str else str(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _place(field: models.Field[Any, Any]) -> str:
    # An array travels as text unless told otherwise: of bytes, that is twice as many and four times the work.
    return "%b" if isinstance(field, models.BinaryField) else "%s"


def values(relation: str, columns: Columns, rows: Sequence[Row]) -> tuple[str, list[Any]]:
    places = "(" + ", ".join(["%s"] * len(columns)) + ")"
    sql = f"WITH {relation}({', '.join(columns)}) AS (VALUES {', '.join([places] * len(rows))})"
    return sql, [_adapt(field, row[name]) for row in rows for name, field in columns.items()]


def _adapt(field: models.Field[Any, Any], value: Any) -> Any:
    if value is None:
        return None
    # No NUL reaches a text: PostgreSQL refuses it, and one bad row must not stop the others of its batch.
    if isinstance(field, models.JSONField):
        return _bounded(json.dumps(value).replace("\\u0000", "\\ufffd"))
    if isinstance(value, str):
        value = _bounded(value.replace("\x00", "\N{REPLACEMENT CHARACTER}"))
        if type(field) in _TEXTS:
            return value
    return field.get_db_prep_value(value, connection)


def _bounded(text: str) -> str:
    # A database takes more than this, and at some size no more in time: that would look like an outage.
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"{len(text)} characters are too many for a column")
    return text
