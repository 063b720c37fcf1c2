"""What a row says, and how that is masked, cut and made text."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import Model
from django.utils import timezone

from audit import actors
from audit.actors import Actor
from audit.models import NAME_LENGTH, AuditEvent
from audit.words import Outcome

Mask = Callable[[str, Any], Any]

_LONGEST_TEXT, _LONGEST_DETAILS = 1000, 20_000
_masks: list[Mask] = []


def mask_by(mask: Mask) -> None:
    """How the value under a key is masked. Until somebody says it, no row can be written."""
    _masks[:] = [mask]


@dataclass(slots=True, kw_only=True)
class Entry:
    """What a row says. `before` and `after` hold what is different, `says` what else there is to know."""

    verb: str
    kind: str = ""
    key: str = ""
    label: str = ""
    outcome: Outcome = Outcome.DONE
    before: Mapping[str, Any] = field(default_factory=dict)
    after: Mapping[str, Any] = field(default_factory=dict)
    says: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    actor: Actor = field(default_factory=actors.current)

    def on(self, key: object, label: object, kind: str = "") -> None:
        """Say what the object is, where it was not known before."""
        self.key, self.label, self.kind = str(key), str(label), kind or self.kind

    def tell(self, **says: Any) -> None:
        """Say more."""
        self.says = {**self.says, **says}

    def event(self) -> AuditEvent:
        """The row, masked, without its place in the chain."""
        return AuditEvent(
            at=timezone.now(),
            act_id=self.actor.act_id,
            actor=_line(self.actor.name),
            user_key=_line(self.actor.user_key, 64),
            door=self.actor.door.value,
            address=self.actor.address or "",
            machine=_line(self.actor.machine),
            verb=_line(self.verb, 60),
            object_kind=_line(self.kind, 40),
            object_key=_line(self.key, 64),
            object_label=_line(_masked("", self.label)),
            outcome=self.outcome.value,
            details=_details(
                before=self.before,
                after=self.after,
                says={**self.actor.says, **self.says},
                reason=self.reason,
            ),
        )


def _masked(key: str, value: Any) -> Any:
    if not _masks:
        raise RuntimeError("Nobody said how audit rows are masked; see audit.acts.learn.")
    return _masks[0](key, value)


def _line(text: str, length: int = NAME_LENGTH) -> str:
    """Text that both databases take and that a list shows on a line."""
    clean = "".join(one if one.isprintable() else " " for one in str(text))
    return clean.encode("utf-8", "replace").decode()[:length]


def _details(**parts: Any) -> str:
    """As text in ASCII: it is hashed as it stands, so no database may have its own idea of it."""
    said = {name: _bounded(_masked(name, _plain(value))) for name, value in parts.items() if value}
    text = json.dumps(said, sort_keys=True)
    if len(text) <= _LONGEST_DETAILS:
        return text
    names = {name: sorted(value) if isinstance(value, dict) else value for name, value in said.items()}
    return json.dumps({"left_out": "The values are too long to be kept here.", "names": _bounded(names)})[
        : 2 * _LONGEST_DETAILS
    ]


def _plain(value: Any) -> Any:
    """What JSON knows, of dates and keys and texts that are shown late."""
    return json.loads(json.dumps(value, cls=_Encoder))


class _Encoder(DjangoJSONEncoder):
    def default(self, o: Any) -> Any:
        if isinstance(o, Model):
            return str(o.pk)
        try:
            return super().default(o)
        except TypeError:
            return str(o)


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return (
            value if len(value) <= _LONGEST_TEXT else f"{value[:_LONGEST_TEXT]}... ({len(value)} characters)"
        )
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON knows no such number
    if isinstance(value, dict):
        return {key: _bounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_bounded(one) for one in value]
    return value
