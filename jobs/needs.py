"""What a job asks of the executor that runs it: names of flags of `Capabilities`.

Routing asks it of a job that is to be placed, the launch of one that was, and screens of a template.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from hosts.errors import ConfigurationError
from hosts.executors import registry
from hosts.executors.capabilities import lacks

if TYPE_CHECKING:
    from jobs.models import ContainerTemplate

_DEFAULT_SIGNALS = {"SIGTERM", "TERM", ""}

# Of a frozen spec (`jobs.spec.freeze`): which flag is needed, and by what of it. Each looks at values that a
# bare row may hold, so none may fail for a strange one.
_NEEDED: dict[str, Callable[[Mapping[str, Any]], bool]] = {
    "tty": lambda spec: bool(spec.get("tty")),
    "memory_limit": lambda spec: bool(spec.get("memory_limit")),
    "cpu_limit": lambda spec: bool(spec.get("cpu_limit")),
    "working_directory": lambda spec: bool(spec.get("working_directory")),
    "signals": lambda spec: str(spec.get("stop_signal") or "").upper() not in _DEFAULT_SIGNALS,
    "networks": lambda spec: bool(spec.get("networks")),
    "network_aliases": lambda spec: any(aliases for _, aliases in spec.get("networks") or ()),
}

# All that a job of today can ask for.
ASKABLE = frozenset(_NEEDED)


def needs(spec: Mapping[str, Any]) -> frozenset[str]:
    """What a frozen spec asks for."""
    return frozenset(name for name, is_needed in _NEEDED.items() if is_needed(spec))


def needs_of_template(template: ContainerTemplate) -> frozenset[str]:
    """What every job of a stored template asks for, whatever else the job overrides."""
    networks = template.network_assignments.values_list("network_name", "aliases")
    names = {name: getattr(template, name, None) for name in _COLUMNS}
    return needs({**names, "networks": list(networks)})


_COLUMNS = ("tty", "memory_limit", "cpu_limit", "working_directory", "stop_signal")


def lacking(kind: str, template: ContainerTemplate) -> list[str]:
    """What executors of this kind cannot do of what jobs of the template ask for, a sentence each.

    Nothing is known here of an executor that cannot be loaded here: where its worker runs it may be.
    """
    try:
        can = registry.capabilities(kind)
    except ConfigurationError:
        return []
    return lacks(can, needs_of_template(template), label=registry.label(kind))
