"""The filters of the audit page, as its address says them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from admin_ui.pages.jobs.filters import LocalMoment
from audit.search import Wanted
from audit.words import Door, Outcome

NAMES = ("actor", "verb", "object", "kind", "door", "outcome", "address", "act", "since", "until")
_FIRST = 3
_TEXT, _SHORT = 200, 60


class Filters(forms.Form):
    """Bound to an address. Where `is_valid` is false, nothing is to be listed: the errors say why."""

    actor = forms.CharField(required=False, max_length=_TEXT, label=gettext_lazy("Who"))
    verb = forms.CharField(
        required=False,
        max_length=_SHORT,
        label=gettext_lazy("Verb"),
        help_text=gettext_lazy("such as job.cancel"),
    )
    object = forms.CharField(
        required=False,
        max_length=_TEXT,
        label=gettext_lazy("Object"),
        help_text=gettext_lazy("its whole name, or its id"),
    )
    kind = forms.CharField(
        required=False, max_length=_SHORT, label=gettext_lazy("Kind of object"), help_text="host, job, user"
    )
    door = forms.ChoiceField(
        required=False, label=gettext_lazy("Door"), choices=[("", gettext_lazy("any")), *Door.choices]
    )
    outcome = forms.ChoiceField(
        required=False, label=gettext_lazy("Outcome"), choices=[("", gettext_lazy("any")), *Outcome.choices]
    )
    address = forms.GenericIPAddressField(
        required=False, unpack_ipv4=True, label=gettext_lazy("From (IP address)")
    )
    act = forms.UUIDField(
        required=False, label=gettext_lazy("Act"), help_text=gettext_lazy("what came of one request")
    )
    since = forms.DateTimeField(required=False, label=gettext_lazy("From (UTC)"), widget=LocalMoment)
    until = forms.DateTimeField(required=False, label=gettext_lazy("Until (UTC)"), widget=LocalMoment)

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__({name: given.get(name, "") for name in NAMES}, auto_id="filter_%s")
        for name in NAMES[_FIRST:]:
            if self.fields[name].help_text:
                self.fields[name].widget.attrs["aria-describedby"] = f"filter_{name}_helptext"

    def clean(self) -> dict[str, Any]:
        data = super().clean() or self.cleaned_data
        first, last = data.get("since"), data.get("until")
        if first and last and first > last:
            self.add_error("until", _("It ends before it begins."))
        return data

    def read(self) -> Wanted | None:
        """What is wanted; None if that cannot be understood."""
        if not self.is_valid():
            return None
        data = self.cleaned_data
        until = data["until"]
        return Wanted(
            **{
                name: data[name] for name in ("actor", "verb", "kind", "object", "door", "outcome", "address")
            },
            act_id=data["act"],
            since=data["since"],
            # Whoever says a second means all of it.
            until=until and until + timedelta(microseconds=999_999),
        )

    @property
    def given(self) -> dict[str, str]:
        """The filters that say something."""
        return {name: value for name in NAMES if (value := str(self.data.get(name, "")).strip())}

    def query(self, **changes: str) -> str:
        """The filters as the query of an address, some of them changed; an empty one is left out."""
        said = {**self.given, **changes}
        return urlencode({name: value for name, value in said.items() if value})

    @property
    def first_fields(self) -> list[forms.BoundField]:
        """Those that always stand there."""
        return [self[name] for name in NAMES[:_FIRST]]

    @property
    def more_fields(self) -> list[forms.BoundField]:
        """Those behind `More filters`."""
        return [self[name] for name in NAMES[_FIRST:]]

    @property
    def has_more(self) -> bool:
        """Whether one is set, or wrong, that stands behind `More filters`."""
        return any(name in self.given or name in self.errors for name in NAMES[_FIRST:])

    @property
    def chips(self) -> list[tuple[str, str]]:
        """(what is set, the address's query without it) for each."""
        found = []
        for name, value in self.given.items():
            label = str(self.fields[name].label).removesuffix(" (UTC)")
            found.append((f"{label}: {value}", self.query(**{name: ""})))
        return found
