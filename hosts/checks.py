"""System checks of what the hosts layer needs from the settings."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from hosts import fields
from hosts.errors import ConfigurationError
from hosts.executors import registry
from hosts.secret_stores import registry as stores

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


@register("secret_stores")
def secret_stores_are_declared_well(**_kwargs: Any) -> list[CheckMessage]:
    """hosts.W002: a store of secrets was declared that no reference can use; hosts.W003: a setting of one."""
    found: list[CheckMessage] = [Warning(problem, id="hosts.W002") for problem in stores.problems()]
    if wrong := sorted(set(settings.TALLYMAN_VAULT_MOUNTS.values()) - {"1", "2"}):
        text = f"TALLYMAN_VAULT_MOUNTS: {wrong[0]!r} is no version of a KV engine; write 1 or 2."
        found.append(Warning(text, id="hosts.W003"))
    return found
