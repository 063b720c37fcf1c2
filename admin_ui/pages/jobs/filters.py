"""The filters of the list of jobs, as its address says them: a form, what it wants, how to say it again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q
from django.http import QueryDict
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from admin_ui import presenters
from admin_ui.pages.jobs.wanted import Wanted
from hosts.models import DockerHost
from jobs.models import ContainerTemplate
from jobs.states import JobStatus

NAMES = ("q", "status", "template", "host", "within", "created_from", "created_to", "longer", "exit", "key")
BUT_0 = "!0"
_MORE = NAMES[4:]
_WITHIN = {
    "1h": (gettext_lazy("the last hour"), timedelta(hours=1)),
    "24h": (gettext_lazy("the last 24 hours"), timedelta(days=1)),
    "7d": (gettext_lazy("the last 7 days"), timedelta(days=7)),
    "30d": (gettext_lazy("the last 30 days"), timedelta(days=30)),
}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,3})?)\s*(s|min|m|h|d)?")
_SECONDS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_CODES = range(-(2**31), 2**31)
_MOST_TEMPLATES = 300


class LocalMoment(forms.DateTimeInput):
    """A field for a moment: in the address it is UTC, the page's script shows it in the viewer's zone."""

    input_type = "datetime-local"

    def __init__(self) -> None:
        super().__init__(attrs={"data-moment": True, "step": 1}, format="%Y-%m-%dT%H:%M:%S")


class Filters(forms.Form):
    """Bound to an address. Where `is_valid` is false, nothing is to be listed: the errors say why."""

    q = forms.CharField(required=False, strip=True, max_length=200, label=gettext_lazy("Search"))
    status = forms.ChoiceField(required=False, choices=[("", ""), *JobStatus.choices])
    template = forms.CharField(required=False, label=gettext_lazy("Template"))
    host = forms.CharField(required=False, label=gettext_lazy("Host"))
    within = forms.ChoiceField(
        required=False,
        label=gettext_lazy("Created within"),
        choices=[("", gettext_lazy("any time")), *((name, within[0]) for name, within in _WITHIN.items())],
    )
    created_from = forms.DateTimeField(
        required=False, label=gettext_lazy("Created from (UTC)"), widget=LocalMoment
    )
    created_to = forms.DateTimeField(
        required=False, label=gettext_lazy("Created until (UTC)"), widget=LocalMoment
    )
    longer = forms.CharField(
        required=False,
        label=gettext_lazy("Ran longer than"),
        help_text=gettext_lazy("90, 5m, 2h, 1d"),
    )
    exit = forms.CharField(
        required=False, label=gettext_lazy("Exit code"), help_text=gettext_lazy("137; !0 for any but 0")
    )
    key = forms.CharField(
        required=False,
        max_length=200,
        label=gettext_lazy("Limit key or label"),
        help_text=gettext_lazy("a limit key, or a label its template asks for: gpu, gpu=a100"),
    )

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__({name: given.get(name, "") for name in NAMES}, auto_id="filter_%s")
        self.wanted: Wanted | None = None

    def clean_template(self) -> UUID | None:
        """The template of that name or key."""
        return self._named(ContainerTemplate, "template", _("There is no template %(name)s."))

    def clean_host(self) -> UUID | None:
        """The host of that name or key."""
        return self._named(DockerHost, "host", _("There is no host %(name)s."))

    def _named(self, model: Any, field: str, words: str) -> UUID | None:
        name = self.cleaned_data[field]
        if not name:
            return None
        found: UUID | None = model.objects.filter(_name_or_key(name)).values_list("pk", flat=True).first()
        if found is None:
            raise ValidationError(words % {"name": name})
        return found

    def clean_longer(self) -> float | None:
        """In seconds."""
        text = self.cleaned_data["longer"].lower()
        if not text:
            return None
        found = _DURATION.fullmatch(text)
        if found is None:
            raise ValidationError(_("Say how long as 90 (seconds), 5m, 2h or 1d."))
        return float(found[1]) * _SECONDS[found[2] or ""]

    def clean_exit(self) -> int | str | None:
        """A number, `BUT_0`, or None."""
        text = self.cleaned_data["exit"]
        if not text or text == BUT_0:
            return text or None
        if not re.fullmatch(r"-?\d{1,10}", text) or int(text) not in _CODES:
            raise ValidationError(_("An exit code is a number, such as 137; !0 finds all but 0."))
        return int(text)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        first, last = data.get("created_from"), data.get("created_to")
        if first and last and first > last:
            self.add_error("created_to", _("It ends before it begins."))
        return data

    def read(self) -> Wanted | None:
        """What is wanted; None if that cannot be understood."""
        if not self.is_valid():
            return None
        data = self.cleaned_data
        text, code = data["q"], data["exit"]
        job_id = _uuid(text)
        return Wanted(
            job_id=job_id,
            status=data["status"],
            template_id=data["template"],
            host_id=data["host"],
            created_from=_later(data["created_from"], data["within"]),
            # Whoever says a second means all of it.
            created_to=data["created_to"] and data["created_to"] + timedelta(microseconds=999_999),
            longer_than_seconds=data["longer"],
            exit_code=code if isinstance(code, int) else None,
            exit_codes_but_0=code == BUT_0,
            text="" if job_id else text,
            template_ids=() if job_id or not text else _templates(Q(name__icontains=text)),
            key=data["key"],
            key_template_ids=_with_key(data["key"]) if data["key"] else (),
        )

    # ── how it is said ────────────────────────────────────────────────────────────────────────────────────

    @property
    def given(self) -> dict[str, str]:
        """The filters that say something, in the order of the form."""
        return {name: value for name in NAMES if (value := str(self.data.get(name, "")).strip())}

    def query(self, **changes: str) -> str:
        """The filters as the query of an address, some of them changed; an empty one is left out."""
        said = {**self.given, **changes}
        ordered = {name: said[name] for name in (*NAMES, *said) if said.get(name)}
        return urlencode(ordered)

    @property
    def has_more(self) -> bool:
        """Whether one is set, or wrong, that stands behind `More filters`."""
        return any(name in self.given or name in self.errors for name in _MORE)

    @property
    def chips(self) -> list[tuple[str, str]]:
        """(what is set, the address's query without it) for each, but for the status, which is a tab."""
        return [(self._chip(name), self.query(**{name: ""})) for name in self.given if name != "status"]

    def _chip(self, name: str) -> str:
        value = self.given[name]
        if name == "within" and value in _WITHIN:
            value = str(_WITHIN[value][0])
        if name == "longer" and isinstance(seconds := self.cleaned_data.get("longer"), float):
            value = presenters.duration(seconds)
        if name.startswith("created_"):
            value = presenters.moment(self.cleaned_data.get(name)) or value
        return f"{str(self.fields[name].label).removesuffix(' (UTC)')}: {value}"

    @property
    def more_fields(self) -> list[forms.BoundField]:
        """Those behind `More filters`."""
        return [self[name] for name in _MORE]


def only_filters(query: str) -> str:
    """A query of an address without everything that is no filter."""
    return Filters(QueryDict(query).dict()).query()


def _name_or_key(name: str) -> Q:
    key = _uuid(name)
    return Q(pk=key) | Q(name=name) if key else Q(name=name)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None


def _later(first: datetime | None, within: str) -> datetime | None:
    """The later of the two moments since when."""
    if not within:
        return first
    since = datetime.now(UTC) - _WITHIN[within][1]
    return max(first, since) if first else since


def _templates(named: Q) -> tuple[UUID, ...]:
    return tuple(ContainerTemplate.objects.filter(named).values_list("pk", flat=True)[:_MOST_TEMPLATES])


def _with_key(key: str) -> tuple[UUID, ...]:
    """Templates that share the limit of the key, or ask for a label of that name or `name=value`."""
    name, equals, value = key.partition("=")
    labelled = ContainerTemplate.objects.exclude(required_labels={}, preferred_labels={})
    rows = labelled.values_list("pk", "required_labels", "preferred_labels")
    asking = [
        pk for pk, *labels in rows if any(_asks(one, name, value if equals else None) for one in labels)
    ]
    return (*_templates(Q(limit_key=key)), *asking)


def _asks(labels: Mapping[str, Any], name: str, value: str | None) -> bool:
    if name not in labels:
        return False
    allowed = labels[name] if isinstance(labels[name], list) else [labels[name]]
    return value is None or value in map(str, allowed)
