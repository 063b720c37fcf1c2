"""A row of the audit as a page shows it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.models import AnonymousUser

from admin_ui.pages import links
from audit.models import AuditEvent
from audit.words import Outcome

_PAGES = {
    "job": ("admin:job", "jobs.view_containerjob"),
    "host": ("admin:host", "hosts.view_dockerhost"),
    "template": ("admin:template", "jobs.view_containertemplate"),
}
_TONES = {
    Outcome.DONE: "ok",
    Outcome.REFUSED: "warning",
    Outcome.DENIED: "failed",
    Outcome.FAILED: "failed",
}


@dataclass(frozen=True, slots=True)
class Row:
    """`changes` are (what, before, after), `says` (what, value); `url` is the page of the object."""

    event: AuditEvent
    tone: str
    url: str
    changes: list[tuple[str, str, str]]
    says: list[tuple[str, str]]
    reason: str


def rows(events: Iterable[AuditEvent], viewer: AbstractBaseUser | AnonymousUser) -> list[Row]:
    """With links to what the viewer may see; whether it is still there is not looked up."""
    may = getattr(viewer, "has_perm", lambda _permission: False)
    pages = {kind: links.to(name) for kind, (name, permission) in _PAGES.items() if may(permission)}
    return [_row(event, pages) for event in events]


def _row(event: AuditEvent, pages: dict[str, Any]) -> Row:
    said = event.said
    before, after = _mapping(said, "before"), _mapping(said, "after")
    made = pages.get(event.object_kind)
    return Row(
        event=event,
        tone=_TONES.get(Outcome(event.outcome), "") if event.outcome in Outcome.values else "",
        url=made(event.object_key) if made and event.object_key else "",
        changes=[(name, _text(before.get(name)), _text(after.get(name))) for name in {**before, **after}],
        says=[(name, _text(value)) for name, value in _mapping(said, "says").items()],
        reason=_text(said.get("reason") or said.get("left_out")),
    )


def _mapping(said: dict[str, Any], name: str) -> dict[str, Any]:
    found = said.get(name)
    return found if isinstance(found, dict) else {}


def _text(value: Any) -> str:
    """A value as people read it; empty for nothing."""
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)
