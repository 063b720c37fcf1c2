"""Reading what a job's references stand for. For threads: it waits for servers, and opens no transaction.

Errors name the variable and the reference, never a value: whatever a store of somebody else's raises is told
by its kind only.
"""

from __future__ import annotations

from collections.abc import Mapping

from hosts.errors import ConfigurationError, ContainerExecutionError, LaunchFailed
from hosts.secret_stores import registry
from hosts.secret_stores.contract import LONGEST_SECRET, SecretNotFound, StoreUnavailable


def resolve(references: Mapping[str, str]) -> dict[str, str]:
    """The values by variable; what is named twice is read once.

    ContainerExecutionError (`secret_missing`) if the job can never have one of them as things are;
    LaunchFailed (`secret_store`) if a store could not be asked, so that another try may succeed.
    """
    read: dict[str, str] = {}
    for variable, reference in references.items():
        if reference not in read:
            read[reference] = _read(variable, reference)
    return {variable: read[reference] for variable, reference in references.items()}


def _read(variable: str, reference: str) -> str:
    name, _, path = reference.partition(":")
    if wrong := registry.reference_problems(reference):
        raise _missing(variable, reference, wrong[0])
    try:
        value = registry.store(name).read(path)
    except SecretNotFound as exc:
        raise _missing(variable, reference, f"{exc}.") from None
    except (StoreUnavailable, ConfigurationError) as exc:
        raise _unavailable(variable, reference, str(exc)) from None
    except Exception as exc:  # noqa: BLE001 (somebody else's code, whose words may hold the value)
        raise _unavailable(variable, reference, f"it failed with {type(exc).__name__}") from None
    if not isinstance(value, str) or not value:
        raise _missing(variable, reference, "What it holds is no text, or empty.")
    if "\x00" in value or len(value.encode("utf-8", "replace")) > LONGEST_SECRET:
        raise _missing(variable, reference, "What it holds has a NUL, or more than 64 KiB.")
    return value


def _missing(variable: str, reference: str, why: str) -> ContainerExecutionError:
    return ContainerExecutionError(
        f"The secret {variable} cannot be had from {reference}: {why}",
        failure_class="secret_missing",
        hint="Put it where the reference says, or correct the reference, then submit the job again.",
    )


def _unavailable(variable: str, reference: str, why: str) -> LaunchFailed:
    name = reference.partition(":")[0]
    return LaunchFailed(
        f"The secret {variable} cannot be read now from {reference}: {why.rstrip('.')}.",
        failure_class="secret_store",
        hint=f"Look after the secret store {name} and its settings on the supervisor's machine.",
    )
