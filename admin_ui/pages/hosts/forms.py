"""The form of a host: a field for each setting that its executor declares, and JSON for the rest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.forms.boundfield import BoundField
from django.utils import timezone
from django.utils.html import escape
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from admin_ui.presenters import who_and_when
from hosts.errors import ConfigurationError
from hosts.executors import registry
from hosts.executors.config_fields import ADDRESS, ConfigField
from hosts.models import DockerHost
from hosts.secret_marks import mark_of, marked

_PREFIX, _FORGET = "setting-", "forget-"
_OTHERS = "others"
_WHOLE_ROW = ("name", "weight", "max_concurrent_jobs", "labels")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class HostForm(forms.ModelForm):  # type: ignore[type-arg]  # no generic at run time
    """A host and its settings. Secrets go in and never come out; an empty field keeps what is stored."""

    others = forms.JSONField(
        label=gettext_lazy("Other settings (JSON)"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
        help_text=gettext_lazy("For experts: settings that have no field above, as an object."),
    )

    class Meta:
        model = DockerHost
        fields = _WHOLE_ROW
        widgets = {"labels": forms.Textarea(attrs={"rows": 2, "spellcheck": "false"})}

    def __init__(self, *args: Any, by: str = "", **kwargs: Any) -> None:
        """`by` is who fills it in: what becomes known as the one who set a secret."""
        super().__init__(*args, **kwargs)
        self._by = by
        self.declared = declared(self.instance.executor_type)
        stored = {**self.instance.executor_config, ADDRESS: self.instance.base_url}
        for one in self.declared:
            mark = mark_of(self.instance.secret_marks, one.name)
            is_set, whose = one.name in self._secrets, who_and_when(mark.by, mark.at)
            self.fields[_PREFIX + one.name] = _form_field(one, is_set=is_set, whose=whose)
            if one.kind != "secret":
                self.initial[_PREFIX + one.name] = _shown(one, stored.get(one.name))
            elif one.name in self._secrets and not one.required:
                label = _("Forget: %(label)s") % {"label": one.label}
                self.fields[_FORGET + one.name] = forms.BooleanField(label=label, required=False)
        known = {one.name for one in self.declared} | {ADDRESS}
        left = {key: value for key, value in self.instance.executor_config.items() if key not in known}
        self.initial[_OTHERS] = left or None

    @property
    def _secrets(self) -> dict[str, Any]:
        return dict(self.instance.secret_config)

    # ── for the page ──────────────────────────────────────────────────────────────────────────────────

    def first_fields(self) -> Iterator[BoundField]:
        """Name, and what most people set."""
        yield self["name"]
        yield from self._settings(is_advanced=False)

    def more_fields(self) -> Iterator[BoundField]:
        """What has a default that is good for most."""
        yield from self._settings(is_advanced=True)
        for name in (*_WHOLE_ROW[1:], _OTHERS):
            yield self[name]

    @property
    def has_errors_in_more(self) -> bool:
        """Whether the folded part of the form has to be open."""
        return any(field.errors for field in self.more_fields())

    def _settings(self, *, is_advanced: bool) -> Iterator[BoundField]:
        for one in self.declared:
            if one.is_advanced is is_advanced:
                yield self[_PREFIX + one.name]
                if _FORGET + one.name in self.fields:
                    yield self[_FORGET + one.name]

    # ── what was typed ────────────────────────────────────────────────────────────────────────────────

    def clean_others(self) -> dict[str, Any]:
        """An object, of settings that have no field of their own."""
        value = self.cleaned_data.get(_OTHERS) or {}
        if not isinstance(value, dict):
            raise ValidationError(_('This must be a JSON object, as in {"key": "value"}.'))
        doubled = sorted(value.keys() & ({one.name for one in self.declared} | {ADDRESS}))
        if doubled:
            says = {"names": ", ".join(doubled)}
            raise ValidationError(_("There are fields for these: %(names)s. Use them.") % says)
        return value

    def _post_clean(self) -> None:
        host = self.instance
        if not self.errors:
            host.connection_string = str(self.cleaned_data.get(_PREFIX + ADDRESS) or "")
            before, after = self._secrets, self._secret_config()
            host.secret_marks = marked(host.secret_marks, before, after, by=self._by, at=timezone.now())
            host.executor_config, host.secret_config = self._config(), after
        super()._post_clean()  # type: ignore[misc]  # the stubs leave it out

    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = dict(self.cleaned_data[_OTHERS])
        for one in self.declared:
            value = self.cleaned_data.get(_PREFIX + one.name)
            if one.kind != "secret" and one.name != ADDRESS and _is_said(one, value):
                config[one.name] = value
        return config

    def _secret_config(self) -> dict[str, Any]:
        secrets = self._secrets
        for one in self.declared:
            if one.kind != "secret":
                continue
            if self.cleaned_data.get(_FORGET + one.name):
                secrets.pop(one.name, None)
            if typed := self.cleaned_data.get(_PREFIX + one.name):
                secrets[one.name] = typed.replace("\r\n", "\n")
        return secrets

    def _update_errors(self, errors: ValidationError) -> None:
        """Put what the host says of its settings beside the field that it speaks of."""
        if not hasattr(errors, "error_dict"):
            super()._update_errors(errors)  # type: ignore[misc]
            return
        told = {name: found for name, found in errors.error_dict.items() if name in self.fields}
        for name, found in errors.error_dict.items():
            if name not in told:
                for message in ValidationError(found).messages:
                    self.add_error(self._field_of(message), message)
        if told:
            super()._update_errors(ValidationError(told))  # type: ignore[misc]

    def _field_of(self, message: str) -> str | None:
        words = _WORD.findall(message)
        named = next((one.name for one in self.declared if words and words[0] == one.name), None)
        if named is None and "address" in message.lower() and _PREFIX + ADDRESS in self.fields:
            named = ADDRESS
        return _PREFIX + named if named else None


def declared(kind: str) -> tuple[ConfigField, ...]:
    """The settings that have a field: those that the executor declares, or else its address only."""
    try:
        found = registry.config_fields(kind)
    except ConfigurationError:
        found = ()
    address = ConfigField(name=ADDRESS, label=_("Address"), help=_("If this kind of host has one."))
    return found or (address,)


def masked(host: DockerHost, secrets: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The settings of a host for people: a secret is only said to be set or not."""
    plain = {key: value for key, value in host.executor_config.items() if key != ADDRESS}
    shown = [(key, _plain(value)) for key, value in sorted(plain.items())]
    hidden = {one.name for one in declared(host.executor_type) if one.kind == "secret"} | secrets.keys()
    shown += [
        (key, secret_state(host.secret_marks, key, is_set=bool(secrets.get(key)))) for key in sorted(hidden)
    ]
    return shown


def secret_state(marks: object, key: str, *, is_set: bool) -> str:
    """Whether a secret is set, and if so by whom and when."""
    if not is_set:
        return _("not set")
    mark = mark_of(marks, key)
    return " ".join(part for part in (_("set, not shown"), who_and_when(mark.by, mark.at)) if part)


def _plain(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _form_field(one: ConfigField, *, is_set: bool, whose: str) -> forms.Field:
    common: dict[str, Any] = {"label": one.label, "required": one.required, "help_text": _help(one)}
    if one.kind == "flag":
        return _Flag(**common) if one.default is None else forms.BooleanField(**{**common, "required": False})
    if one.kind == "choice":
        empty = [] if one.required else [("", _("(not said)"))]
        return forms.ChoiceField(choices=[*empty, *((value, value) for value in one.choices)], **common)
    if one.kind == "secret":
        return _secret_field(one, common, is_set=is_set, whose=whose)
    if one.kind == "list":
        return _Lines(widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}), **common)
    return _Number(**common) if one.kind == "number" else forms.CharField(max_length=2000, **common)


def _secret_field(one: ConfigField, common: dict[str, Any], *, is_set: bool, whose: str) -> forms.Field:
    state = _("A value is set; leave this empty to keep it.") if is_set else _("No value is set.")
    help_text = " ".join(part for part in (common["help_text"], state, is_set and escape(whose)) if part)
    told = {"required": one.required and not is_set, "help_text": help_text}
    widget: forms.Widget = forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"})
    if one.is_multiline:
        widget = _UnshownLines(attrs={"rows": 3, "autocomplete": "off", "spellcheck": "false"})
    return forms.CharField(widget=widget, strip=False, **{**common, **told})


class _UnshownLines(forms.Textarea):
    """A box that never shows what it was sent, as Django's own for passwords."""

    def get_context(self, name: str, value: Any, attrs: dict[str, Any] | None) -> dict[str, Any]:
        return super().get_context(name, None, attrs)


def _help(one: ConfigField) -> str:
    where = _("On the supervisor's machine.") if one.kind == "path" else ""
    usual = _("Usually %(value)s.") % {"value": one.default} if one.default and one.kind != "flag" else ""
    return escape(" ".join(part for part in (one.help, where, usual) if part))


def _shown(one: ConfigField, stored: Any) -> Any:
    if one.kind == "flag" and one.default is not None:
        return one.default if stored is None else stored
    if one.kind == "list" and isinstance(stored, Sequence) and not isinstance(stored, str):
        return "\n".join(map(str, stored))
    return stored


def _is_said(one: ConfigField, value: Any) -> bool:
    """Whether a value is more than what holds anyway."""
    if one.kind == "flag" and one.default is not None:
        return bool(value) is not one.default
    return value not in (None, "", [])


class _Number(forms.FloatField):
    def clean(self, value: Any) -> Any:
        number = super().clean(value)
        return int(number) if number is not None and number == int(number) else number


class _Flag(forms.TypedChoiceField):
    """Yes, no, or nothing said: where that is neither."""

    def __init__(self, **common: Any) -> None:
        choices = [("", _("(not said)")), ("True", _("yes")), ("False", _("no"))]
        super().__init__(choices=choices, coerce=lambda text: text == "True", empty_value=None, **common)


class _Lines(forms.CharField):
    def clean(self, value: Any) -> Any:
        lines = [line.strip() for line in super().clean(value).splitlines()]
        return [line for line in lines if line]
