"""System checks of what the hosts layer needs from the settings."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from hosts import fields
from hosts.errors import ConfigurationError
from hosts.executors import registry

SECRETS = "secrets"


@register(SECRETS)
def secret_keys_are_usable(**_kwargs: Any) -> list[CheckMessage]:
    """hosts.E001: secrets could be neither stored nor read."""
    try:
        fields.encrypt("probe")
    except ConfigurationError as exc:
        return [Error(str(exc), id="hosts.E001", obj=settings.SETTINGS_MODULE)]
    return []


@register("executors")
def executors_are_declared_well(**_kwargs: Any) -> list[CheckMessage]:
    """hosts.W001: an executor was declared that no host can use."""
    return [Warning(problem, id="hosts.W001") for problem in registry.problems()]
