"""What of a row somebody changed by a form: plain fields with their values, secret ones by name only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db import models

from audit import acts

_NOT_TOLD = {"created_at", "updated_at", "last_login"}


@dataclass(slots=True)
class Change:
    """`before` and `after` of what is different; `set_anew` and `emptied` name secrets."""

    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    set_anew: list[str] = field(default_factory=list)
    emptied: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.before or self.after or self.set_anew or self.emptied)

    @property
    def says(self) -> dict[str, Any]:
        """The secrets, for an entry."""
        told = {"set_anew": self.set_anew, "emptied": self.emptied}
        return {name: names for name, names in told.items() if names}

    def add(self, other: Change, under: str) -> None:
        """Take in the change of a row that belongs to this one."""
        if other.before:
            self.before[under] = other.before
        if other.after:
            self.after[under] = other.after
        self.set_anew += [f"{under} {name}" for name in other.set_anew]
        self.emptied += [f"{under} {name}" for name in other.emptied]


def stored(row: models.Model) -> models.Model | None:
    """The row as the database has it."""
    if row._state.adding or row.pk is None:
        return None
    secrets = [one.attname for one in row._meta.concrete_fields if _is_secret(one)]
    found = type(row)._base_manager.filter(pk=row.pk).defer(*secrets).first()
    for name in secrets if found else ():
        try:
            getattr(found, name)
        except acts.refusals():  # its key is gone: so much for what it was
            setattr(found, name, None)
    return found


def change(before: models.Model | None, after: models.Model | None) -> Change:
    """What is different; None: there was, or is, no such row."""
    found = Change()
    row = before or after
    for one in row._meta.concrete_fields if row else ():
        if one.primary_key or one.name in _NOT_TOLD or _was_left_alone(one, after):
            continue
        old = one.value_from_object(before) if before else None
        new = one.value_from_object(after) if after else None
        if old == new:
            continue
        if _is_secret(one):
            (found.set_anew if _is_set(new) else found.emptied).append(one.name)
            continue
        if before:
            found.before[one.name] = old
        if after and (before or new not in (None, "", [], {})):
            found.after[one.name] = new
    return found


def _was_left_alone(one: models.Field[Any, Any], row: models.Model | None) -> bool:
    """Whether nobody has read the field, nor written it: it may hold what no key decrypts."""
    return row is not None and one.attname in row.get_deferred_fields()


def _is_secret(one: models.Field[Any, Any]) -> bool:
    return bool(getattr(one, "is_secret", False)) or one.name == "password"


def _is_set(value: Any) -> bool:
    return bool(value)
