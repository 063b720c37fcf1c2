"""Labels: what a host says of itself, and what a template asks of one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError

LONGEST_LABEL = 100
_EXAMPLE = '{"gpu": "a100", "zone": "eu"}'


def validate_labels(value: Any) -> None:
    """A JSON object of names to texts."""
    for name, text in _items(value):
        if not isinstance(text, str):
            raise ValidationError(f"The value of label {name} must be a text, not {type(text).__name__}.")
        _validate_text(text, f"The value of label {name}")


def validate_wanted_labels(value: Any) -> None:
    """A JSON object of names to a text, or to a list of texts of which one will do."""
    for name, wanted in _items(value):
        texts = wanted if isinstance(wanted, list) else [wanted]
        if not texts or not all(isinstance(text, str) for text in texts):
            raise ValidationError(
                f'Label {name} must be a text such as "eu", or a list of texts such as ["eu", "uk"].'
            )
        for text in texts:
            _validate_text(text, f"A value of label {name}")


def _items(value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise ValidationError(f"This must be a JSON object such as {_EXAMPLE}.")
    for name in value:
        if not name.strip():
            raise ValidationError(f"A label needs a name, as in {_EXAMPLE}.")
        _validate_text(name, "The name of a label")
    return list(value.items())


def _validate_text(text: str, what: str) -> None:
    if len(text) > LONGEST_LABEL:
        raise ValidationError(f"{what} has {len(text)} characters; {LONGEST_LABEL} are allowed.")
    if "\x00" in text or any("\ud800" <= one <= "\udfff" for one in text):
        raise ValidationError(f"{what} holds a character that cannot be stored.")


def unmet(labels: Any, wanted: Any) -> list[str]:
    """Which of the wanted labels a host does not have, as `name=value`; all of them where it has none.

    Rows may hold anything JSON can: what is no object of labels is met by no host, and said to be wrong.
    """
    if not isinstance(wanted, Mapping):
        return ["(these are no labels: an object of names to texts is needed)"]
    has = labels if isinstance(labels, Mapping) else {}
    return [_said(name, value) for name, value in wanted.items() if not _is_met(has.get(name), value)]


def _is_met(has: Any, wanted: Any) -> bool:
    return isinstance(has, str) and (has in wanted if isinstance(wanted, list) else has == wanted)


def _said(name: str, wanted: Any) -> str:
    return f"{name}={'|'.join(map(str, wanted)) if isinstance(wanted, list) else wanted}"
