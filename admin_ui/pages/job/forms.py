"""The form of a new job: what is left as the template has it stays the template's; secrets only go in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from hosts.models import DockerHost
from jobs import validators, variables
from jobs.models import ContainerTemplate

_MOST_VARIABLES = 300
_LARGEST = 32_767


class JobForm(forms.Form):
    """Everything but the variables. `source` is the job that it is a copy of."""

    template = forms.ModelChoiceField(ContainerTemplate.objects.none(), widget=forms.HiddenInput)
    source = forms.UUIDField(required=False, widget=forms.HiddenInput)
    name = forms.CharField(
        label=_("Name"), required=False, max_length=200, help_text=_("How you will find it again.")
    )
    image = forms.CharField(label=_("Image"), required=False, max_length=500)
    command = forms.CharField(
        label=_("Command"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false", "class": "font-monospace"}),
        help_text=_("Shell words; for pipes and && write sh -c '...'. Empty: the template's."),
    )
    docker_host = forms.ModelChoiceField(
        DockerHost.objects.none(),
        label=_("Host"),
        required=False,
        empty_label=_("Automatic: the best that takes it"),
    )
    priority = forms.IntegerField(
        label=_("Priority"),
        required=False,
        min_value=-_LARGEST,
        max_value=_LARGEST,
        help_text=_("Higher goes first."),
    )
    limit_key = forms.CharField(
        label=_("Limit key"),
        required=False,
        max_length=100,
        help_text=_("The concurrency limit of this name holds for it, too."),
    )
    max_attempts = forms.IntegerField(label=_("Attempts"), required=False, min_value=1, max_value=100)
    retry_on = forms.MultipleChoiceField(
        label=_("Run again after"),
        required=False,
        choices=[(one, one) for one in validators.RETRYABLE],
        widget=forms.CheckboxSelectMultiple,
    )
    start_deadline_seconds = forms.IntegerField(
        label=_("Start deadline, in seconds"), required=False, min_value=1, max_value=2_147_483_647
    )

    def __init__(self, *args: Any, may_see_hosts: bool, template: ContainerTemplate, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._template = template
        self.fields["template"].queryset = ContainerTemplate.objects.filter(archived_at=None)  # type: ignore[attr-defined]
        if may_see_hosts:
            usable = DockerHost.objects.filter(archived_at=None).defer("secret_config").order_by("name")
            self.fields["docker_host"].queryset = usable  # type: ignore[attr-defined]
        self._say_defaults(template)
        for name, field in self.fields.items():
            if self.is_bound and name in self.errors:
                field.widget.attrs["aria-invalid"] = "true"

    def _say_defaults(self, template: ContainerTemplate) -> None:
        """What an empty field means stands in it, or below it."""
        defaults = {
            "image": template.docker_image,
            "command": template.command or str(_("the image's own command")),
            "max_attempts": template.max_attempts,
            "start_deadline_seconds": template.start_deadline_seconds or str(_("waits for ever")),
            "priority": 0,
            "limit_key": template.limit_key,
        }
        for name, value in defaults.items():
            self.fields[name].widget.attrs["placeholder"] = str(value)

    def clean_command(self) -> str:
        """As it was typed, but for the line ends that browsers send."""
        command = self.cleaned_data["command"].replace("\r\n", "\n")
        validators.validate_command(command)
        return str(command)

    def overrides(self) -> dict[str, Any]:
        """What of a valid form `jobs.operations.submit` is to be told: only what is not the template's."""
        given, template = self.cleaned_data, self._template
        same_retries = set(given["retry_on"]) == set(_names(template.retry_on))
        return {
            "host": given["docker_host"],
            "name": given["name"],
            "image": "" if given["image"] == template.docker_image.strip() else given["image"],
            "command": "" if given["command"] == template.command.strip() else given["command"],
            "priority": given["priority"] or 0,
            "limit_key": given["limit_key"],
            "max_attempts": given["max_attempts"],
            "retry_on": None if same_retries else given["retry_on"],
            "start_deadline_seconds": given["start_deadline_seconds"],
        }


def _names(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []


class VariableForm(forms.Form):
    """One variable. The value of a secret is never in the page: it has to be typed again, or is kept.

    `kept` are the secrets of the job that this one is a copy of.
    """

    key = forms.CharField(label=_("Name"), required=False, max_length=200)
    value = forms.CharField(label=_("Value"), required=False, strip=False, widget=forms.Textarea)
    is_secret = forms.BooleanField(label=_("Secret"), required=False)
    is_reference = forms.BooleanField(label=_("From a store"), required=False)
    is_file = forms.BooleanField(label=_("As a file"), required=False)

    def __init__(self, *args: Any, kept: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._kept = kept or {}

    @property
    def shown_value(self) -> str:
        """What may stand in the page."""
        return "" if self["is_secret"].value() else str(self["value"].value() or "")

    @property
    def is_kept(self) -> bool:
        """Whether leaving the value empty keeps the copied job's."""
        return bool(self["is_secret"].value()) and str(self["key"].value() or "").strip() in self._kept

    def clean_key(self) -> str:
        """The name; ValidationError says what is wrong with it."""
        key = str(self.cleaned_data["key"])
        if key:
            validators.validate_environment_name(key)
        return key

    def clean_value(self) -> str:
        """As it was typed, but for the line ends that browsers send."""
        return str(self.cleaned_data["value"]).replace("\r\n", "\n")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        key, value = cleaned.get("key"), cleaned.get("value", "")
        if not key:
            if value and "key" not in self.errors:
                self.add_error("key", _("Give the variable a name."))
            return cleaned
        if cleaned.get("is_reference"):
            self._clean_reference(value)
        elif cleaned.get("is_secret"):
            cleaned["value"] = value or self._kept_value(key)
        elif not value and key in self._kept:
            raise ValidationError({"value": _("A secret is not shown to anybody: give it a new value.")})
        elif cleaned.get("is_file"):
            raise ValidationError(_("Only a secret, or a reference to one, can be a file."))
        try:
            validators.validate_environment({key: cleaned.get("value", "")})
        except ValidationError as exc:
            self.add_error("value", exc)
        return cleaned

    def _kept_value(self, key: str) -> Any:
        if key not in self._kept:
            raise ValidationError({"value": _("Type the secret's value; it is never sent back to a page.")})
        return variables.secret_text(self._kept[key])

    def _clean_reference(self, value: str) -> None:
        if self.cleaned_data.get("is_secret"):
            raise ValidationError(_("Either the value is a secret, or it says where the secret is kept."))
        try:
            variables.validate_reference(value)
        except ValidationError as exc:
            self.add_error("value", exc)

    @property
    def variable(self) -> Any:
        """What a row that is as it should be says, as `jobs.operations.submit` takes it."""
        cleaned = self.cleaned_data
        way = {variables.AS: variables.FILE} if cleaned["is_file"] else {}
        if cleaned["is_reference"]:
            return {variables.REFERENCE: cleaned["value"], **way}
        if cleaned["is_secret"] and way:
            return {variables.VALUE: cleaned["value"], **way}
        return cleaned["value"]


class VariableRows(forms.BaseFormSet):  # type: ignore[type-arg]  # no generic at run time
    """All variables; rows that were left empty are no variables."""

    def clean(self) -> None:
        """Each name once: the second one is told."""
        seen = set[str]()
        for form in self.forms:
            key = form.cleaned_data.get("key") if hasattr(form, "cleaned_data") else None
            if key and key in seen:
                form.add_error("key", _("This name is there twice."))
            seen.add(key or "")

    def given(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """The plain and the secret variables of the rows that are as they should be."""
        plain, secret = dict[str, Any](), dict[str, Any]()
        for form in self.forms:
            if not form.is_valid() or not form.cleaned_data.get("key"):
                continue
            cleaned = form.cleaned_data
            (secret if cleaned["is_secret"] else plain)[cleaned["key"]] = form.variable
        return plain, secret


VariableFormSet: type[VariableRows] = forms.formset_factory(  # type: ignore[assignment]  # of `formset`
    VariableForm,
    formset=VariableRows,
    extra=1,
    max_num=_MOST_VARIABLES,
    absolute_max=_MOST_VARIABLES,
    validate_max=True,
)
