"""Variables of a template in forms. A secret's value goes in and never comes out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.http import HttpRequest

from jobs.models import EnvironmentVariable

_SET = "A value is set. It is not shown; leave this empty to keep it."
_NOT_SET = "No value is set."
HIDDEN = "(secret, not shown)"


class VariableForm(forms.ModelForm):  # type: ignore[type-arg]  # no generic at run time
    """A variable; the field of a secret is always empty, and keeps what is stored unless it is filled in."""

    class Meta:
        model = EnvironmentVariable
        fields = ("template", "key", "value", "is_secret")
        widgets = {"value": forms.TextInput(attrs={"size": 40})}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.pk is not None and not self.instance._state.adding
        self._stored_value = self.instance.value if stored else ""
        self._was_secret = stored and self.instance.is_secret
        if "value" not in self.fields:  # for somebody who may only look
            return
        # Also when it was just typed in and comes back with the errors of another field.
        if self._was_secret or (self.is_bound and self["is_secret"].value()):
            self._hide()

    def _hide(self) -> None:
        self.initial["value"] = ""
        field = self.fields["value"]
        # Tables of rows show no help texts, so the field itself says it, too.
        hint = "set, not shown; empty keeps it" if self._stored_value else "not set"
        attrs = {"autocomplete": "new-password", "placeholder": hint, "size": 30}
        field.widget = forms.PasswordInput(render_value=False, attrs=attrs)
        field.help_text = _SET if self._stored_value else _NOT_SET

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        if not self._was_secret or cleaned.get("value"):
            return cleaned
        if not cleaned.get("is_secret"):
            raise ValidationError({"value": "A stored secret is not shown to anybody: give it a new value."})
        cleaned["value"] = self._stored_value
        return cleaned


class VariableFields:
    """The fields of a variable for an admin class: who may only look does not see secrets either."""

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        value = "value" if self.has_change_permission(request, obj) else "shown_value"  # type: ignore[attr-defined]
        return ("key", value, "is_secret")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if self.has_change_permission(request, obj) else ("shown_value",)  # type: ignore[attr-defined]

    def shown_value(self, variable: EnvironmentVariable) -> str:
        """The value of a variable that is no secret."""
        return HIDDEN if variable.is_secret else variable.value

    shown_value.short_description = "value"  # type: ignore[attr-defined]
