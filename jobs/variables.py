"""How a job says its variables: a text; or an object that says more of it. Pure, but for the field below.

    {"DEBUG": "false",
     "API_KEY": {"secret": "sk-123", "as": "file"},
     "DB_PASSWORD": {"reference": "vault:secret/app/db#password"}}

A secret's text never stays where it was written: it is moved into the job's encrypted column, whichever way
the row comes into the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models
from django.forms.fields import InvalidJSONInput

from hosts.errors import ConfigurationError
from hosts.secret_stores import registry
from jobs import validators

SECRET, REFERENCE, AS, VALUE = "secret", "reference", "as", "value"
ENVIRONMENT, FILE = "env", "file"
_WAYS = (ENVIRONMENT, FILE)


def split(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What may be stored as it is (texts and references), and what has to be encrypted."""
    secret = {name: _to_encrypt(value) for name, value in given.items() if is_secret(value)}
    return {name: value for name, value in given.items() if name not in secret}, secret


def is_secret(value: object) -> bool:
    """Whether it holds a secret's text."""
    return isinstance(value, dict) and SECRET in value


def _to_encrypt(value: Mapping[str, Any]) -> Any:
    text = value[SECRET]
    return {VALUE: text, AS: FILE} if value.get(AS) == FILE else text


def secret_text(stored: object) -> object:
    """The text of what `split` has made for the encrypted column."""
    return stored.get(VALUE) if isinstance(stored, dict) else stored


def is_file(value: object) -> bool:
    """Whether the container is to find it in a file."""
    return isinstance(value, dict) and value.get(AS) == FILE


def reference_of(value: object) -> str:
    """The reference of a variable that has one; empty for others."""
    found = value.get(REFERENCE) if isinstance(value, dict) else None
    return found if isinstance(found, str) else ""


def validate(given: Any) -> None:
    """A JSON object of variables, each as the module says; ValidationError names the first that is wrong."""
    if not isinstance(given, dict):
        raise ValidationError('This must be a JSON object such as {"NAME": "value"}.')
    for name, value in given.items():
        if not isinstance(value, dict):
            validators.validate_environment({name: value})
            continue
        validators.validate_environment_name(name)
        _validate_object(name, value)


def _validate_object(name: str, value: Mapping[str, Any]) -> None:
    kinds = {SECRET, REFERENCE} & value.keys()
    if len(kinds) != 1 or set(value) - kinds - {AS}:
        raise ValidationError(
            f'{name}: this must be a text, {{"secret": "..."}} or {{"reference": "STORE:PATH"}}; with '
            f'"as": "file", its container finds it in a file.'
        )
    if value.get(AS, ENVIRONMENT) not in _WAYS:
        raise ValidationError(f'{name}: "as" must be "env" or "file".')
    if SECRET in kinds:
        # Not what it is: whatever is wrong with it, nobody is shown it.
        if not isinstance(value[SECRET], str) or not value[SECRET]:
            raise ValidationError(f"{name}: give the secret's text; it is never sent back to a page.")
        validators.validate_environment({name: value[SECRET]})
    else:
        validate_reference(value[REFERENCE])


def validate_stored_secrets(stored: Mapping[str, Any]) -> None:
    """What stands in the encrypted column: names to texts, or to objects as `split` makes them."""
    for name, value in stored.items():
        validators.validate_environment({name: secret_text(value)})


def validate_reference(value: Any) -> None:
    """A reference to a secret in a store that there is."""
    if not isinstance(value, str):
        raise ValidationError("A reference to a secret must be a text, as in vault:secret/app/db#password.")
    validators.validate_no_nul(value)
    if wrong := registry.reference_problems(value):
        raise ValidationError(wrong)


class VariablesBox(forms.JSONField):
    """The variables in a form: what comes back to a page with an error has its secrets taken out."""

    def prepare_value(self, value: Any) -> Any:
        """As it was given, but for the texts of secrets."""
        if isinstance(value, InvalidJSONInput):
            return InvalidJSONInput("") if f'"{SECRET}"' in value else value
        if isinstance(value, dict):
            value = {name: {**one, SECRET: ""} if is_secret(one) else one for name, one in value.items()}
        return super().prepare_value(value)


class VariablesField(models.JSONField):
    """The plain variables of a job. Secrets among them go into its column `secret_environment`."""

    def deconstruct(self) -> Any:
        """As the JSONField that it is in the database: no migration is needed for what is done here."""
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs

    def formfield(self, **kwargs: Any) -> Any:
        """A box that shows no secret."""
        return super().formfield(**{"form_class": VariablesBox, **kwargs})

    def pre_save(self, model_instance: Any, add: bool) -> Any:
        """Move the secrets, also those of rows that come by `bulk_create`."""
        given = super().pre_save(model_instance, add)
        if isinstance(given, dict) and any(map(is_secret, given.values())):
            plain, secret = split(given)
            model_instance.secret_environment = {**model_instance.secret_environment, **secret}
            setattr(model_instance, self.attname, plain)
            return plain
        return given

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        """Refuse a secret that came by `update`, which has no other column to move it to."""
        if isinstance(value, dict) and any(map(is_secret, value.values())):
            raise ConfigurationError(
                "A secret cannot be stored among the plain variables of a job: write it to "
                "secret_environment, or save the job itself."
            )
        return super().get_db_prep_save(value, connection)
