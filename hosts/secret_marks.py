"""Who gave a secret setting of a host, and when: beside the encrypted column, and without any value. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hosts import registries

LOGIN_PREFIX = f"{registries.KEY}/"


@dataclass(frozen=True, slots=True)
class Mark:
    """Of one secret; what is not known (it was set by an earlier version) is empty."""

    by: str = ""
    at: datetime | None = None


def mark_of(marks: object, key: str) -> Mark:
    """The mark of a setting, or of a login (`registries/NAME`)."""
    found = marks.get(key) if isinstance(marks, Mapping) else None
    if not isinstance(found, Mapping):
        return Mark()
    try:
        at = datetime.fromisoformat(str(found.get("at")))
    except ValueError:
        at = None
    return Mark(by=str(found.get("by") or ""), at=at)


def marked(
    marks: object, before: Mapping[str, Any], after: Mapping[str, Any], *, by: str, at: datetime
) -> dict[str, Any]:
    """The marks once the secrets are `after`: new ones for what changed, none for what is not set now."""
    old, new = _flat(before), _flat(after)
    known = marks if isinstance(marks, Mapping) else {}
    kept = {key: known[key] for key in new if key in known and old.get(key) == new[key]}
    changed = {key for key, value in new.items() if old.get(key) != value}
    return {**kept, **{key: {"by": by, "at": at.isoformat()} for key in changed}}


def _flat(secrets: Mapping[str, Any]) -> dict[str, Any]:
    logins = secrets.get(registries.KEY)
    found = {key: value for key, value in secrets.items() if key != registries.KEY}
    if isinstance(logins, Mapping):
        found |= {f"{LOGIN_PREFIX}{name}": login for name, login in logins.items()}
    return found
