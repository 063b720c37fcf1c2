"""Variables of a template in forms. A secret's value goes in and never comes out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest
from django.utils import timezone

from admin_ui.presenters import who_and_when
from hosts.errors import ConfigurationError
from jobs.models import EnvironmentVariable

_SET = "A value is set{}. It is not shown; leave this empty to keep it."
_NOT_SET = "No value is set."
HIDDEN = "(secret, not shown)"


class VariableForm(forms.ModelForm):  # type: ignore[type-arg]  # no generic at run time
    """A variable; the field of a secret is always empty, and keeps what is stored unless it is filled in, or
    `clear` is ticked. One that no key decrypts says so, and stays as it is unless it is given anew."""

    clear = forms.BooleanField(required=False, label="clear the value", help_text="Forget a secret's value.")

    class Meta:
        model = EnvironmentVariable
        fields = ("template", "key", "value", "is_secret", "reference", "as_file")
        widgets = {
            "value": forms.TextInput(attrs={"size": 26}),
            "reference": forms.TextInput(attrs={"size": 26}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._trouble = _unreadable(kwargs.get("instance"))
        super().__init__(*args, **kwargs)
        stored = self.instance.pk is not None and not self.instance._state.adding
        self._stored_value = self.instance.value if stored else ""
        self._was_secret = stored and self.instance.is_secret
        if "value" not in self.fields:  # for somebody who may only look
            return
        # Also when it was just typed in and comes back with the errors of another field.
        if self._was_secret or self._trouble or (self.is_bound and self["is_secret"].value()):
            self._hide()

    def _hide(self) -> None:
        self.initial["value"] = ""
        field = self.fields["value"]
        whose = who_and_when(self.instance.set_by, self.instance.set_at)
        is_set = bool(self._stored_value or self._trouble)
        # Tables of rows show no help texts, so the field itself says it, too.
        hint = f"set, not shown; empty keeps it {whose}".strip() if is_set else "not set"
        hint = "cannot be read; give it anew" if self._trouble else hint
        says = self._trouble or (_SET.format(f" {whose}" if whose else "") if is_set else _NOT_SET)
        attrs = {"autocomplete": "new-password", "placeholder": hint, "title": says, "size": 26}
        field.widget = forms.PasswordInput(render_value=False, attrs=attrs)
        field.help_text = says

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("clear"):
            if cleaned.get("value"):
                raise ValidationError({"clear": "Give a new value or clear the old one, not both."})
            cleaned["value"] = ""
            return cleaned
        if not (self._was_secret or self._trouble) or cleaned.get("value"):
            return cleaned
        if cleaned.get("reference"):  # which takes its place
            return cleaned
        if not cleaned.get("is_secret"):
            raise ValidationError({"value": "A stored secret is not shown to anybody: give it a new value."})
        cleaned["value"] = self._stored_value
        return cleaned

    @property
    def is_given_anew(self) -> bool:
        """Whether the value was typed or cleared here, or its reference changed."""
        return bool(self.data.get(self.add_prefix("value")) or self.cleaned_data.get("clear")) or (
            "reference" in self.changed_data
        )

    def save(self, commit: bool = True) -> Any:
        """Leave a value alone that cannot be read, unless it was given anew."""
        if self._trouble and not self.is_given_anew:
            self.instance.__dict__.pop("value", None)  # what was not read is not written
        return super().save(commit)


def _unreadable(variable: EnvironmentVariable | None) -> str:
    """Why a stored value cannot be read, with nothing in its place; empty if it can."""
    if variable is None or variable._state.adding:
        return ""
    try:
        variable.value  # noqa: B018 (decrypted here)
    except ConfigurationError as exc:
        variable.__dict__["value"] = ""
        return str(exc)
    return ""


def mark(variable: EnvironmentVariable, form: Any, by: str) -> None:
    """Note who gave a secret, before it is stored."""
    if isinstance(form, VariableForm) and form.is_given_anew:
        is_set = variable.is_hidden and bool(variable.value or variable.reference)
        variable.set_by, variable.set_at = (by[:150], timezone.now()) if is_set else ("", None)


class VariableFormSet(BaseInlineFormSet):  # type: ignore[type-arg]  # no generic at run time
    """The variables of a template, also where the values of some cannot be decrypted."""

    def get_queryset(self) -> Any:
        found = super().get_queryset()
        try:
            len(found)
        except ConfigurationError:  # each says it at its own row
            found = self._queryset = found.defer("value")
        return found


class VariableFields:
    """The fields of a variable for an admin class: who may only look does not see secrets either."""

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        if self.has_change_permission(request, obj):  # type: ignore[attr-defined]
            return ("key", "value", "is_secret", "clear", "reference", "as_file")
        return ("key", "shown_value", "is_secret", "reference", "as_file")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if self.has_change_permission(request, obj) else ("shown_value",)  # type: ignore[attr-defined]

    def shown_value(self, variable: EnvironmentVariable) -> str:
        """The value of a variable that is no secret; of a secret, who gave it."""
        if variable.is_hidden:
            return f"{HIDDEN} {who_and_when(variable.set_by, variable.set_at)}".strip()
        try:
            return str(variable.value)
        except ConfigurationError as exc:
            return str(exc)

    shown_value.short_description = "value"  # type: ignore[attr-defined]
