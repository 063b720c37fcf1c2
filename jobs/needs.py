"""What a job asks of the executor that runs it: names of flags of `Capabilities`.

Routing asks it of a job that is to be placed, the launch of one that was, and screens of a template.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from django.db.models import Prefetch, prefetch_related_objects

from hosts.errors import ConfigurationError
from hosts.executors import option_reader, registry
from hosts.executors.capabilities import lacks

if TYPE_CHECKING:
    from jobs.models import ContainerTemplate

_HOST_NETWORK = "host"
SECRET_FILES = "secret_files"
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
    "host_network": lambda spec: any(name == _HOST_NETWORK for name, _ in spec.get("networks") or ()),
    "entrypoint": lambda spec: bool(_option(spec, "entrypoint")),
    "user": lambda spec: bool(_option(spec, "user")),
    "labels": lambda spec: bool(_option(spec, "container_labels")),
    "mounts": lambda spec: bool(_option(spec, "volumes")),
    "tmpfs": lambda spec: bool(_option(spec, "tmpfs")),
    "extra_hosts": lambda spec: bool(_option(spec, "extra_hosts")),
    "ports": lambda spec: bool(_option(spec, "ports")),
    "swap_limit": lambda spec: bool(_option(spec, "resources", "swap_mb")),
    "pids_limit": lambda spec: bool(_option(spec, "resources", "pids")),
    "shm_size": lambda spec: bool(_option(spec, "resources", "shm_mb")),
    "ulimits": lambda spec: bool(_option(spec, "resources", "ulimits")),
    "gpus": lambda spec: bool(_option(spec, "resources", "gpus")),
    "read_only": lambda spec: bool(_option(spec, "security", "read_only")),
    "privileged": lambda spec: bool(_option(spec, "security", "privileged")),
    # Either way: who says neither takes what the executor does.
    "no_new_privileges": lambda spec: _option(spec, "security", "no_new_privileges") is not None,
    "host_pid": lambda spec: bool(_option(spec, "security", "host_pid")),
    "devices": lambda spec: bool(_option(spec, "security", "devices")),
    "init": lambda spec: _option(spec, "security", "init") is not None,
    "linux_capabilities": lambda spec: any(
        _option(spec, "security", name) for name in ("cap_add", "cap_drop")
    ),
    SECRET_FILES: lambda spec: any(
        isinstance(entry, dict) and entry.get("as") == "file"
        for entry in (spec.get("environment") or {}).values()
    ),
}

# All that a job of today can ask for.
ASKABLE = frozenset(_NEEDED)


def _option(spec: Mapping[str, Any], *path: str) -> Any:
    value: Any = spec.get("options")
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def needs(spec: Mapping[str, Any]) -> frozenset[str]:
    """What a frozen spec asks for."""
    return frozenset(name for name, is_needed in _NEEDED.items() if is_needed(spec))


def needs_of_template(template: ContainerTemplate) -> frozenset[str]:
    """What every job of a stored template asks for, whatever else the job overrides."""
    # The objects, not their columns: whoever asks of many templates has them prefetched.
    networks = [(one.network_name, one.aliases) for one in template.network_assignments.all()]
    names = {name: getattr(template, name, None) for name in _COLUMNS}
    options = {name: getattr(template, name) for name in option_reader.FIELDS}
    environment = {"": {"as": "file"}} if _has_files(template) else {}
    return needs({**names, "networks": networks, "options": options, "environment": environment})


def _has_files(template: ContainerTemplate) -> bool:
    """Whether a secret of it becomes a file; none of its values is read for that."""
    known = getattr(template, _FILES, None)  # as `look_for_files` has it
    if known is None:
        return not template._state.adding and template.environment_variables.filter(as_file=True).exists()
    return bool(known)


def look_for_files(templates: Sequence[ContainerTemplate]) -> None:
    """Read what `needs_of_template` asks of their variables, in one query for all of them."""
    if templates:
        variables = templates[0]._meta.get_field("environment_variables").related_model
        files = variables._default_manager.filter(as_file=True).only("id", "template_id", "as_file")
        prefetch_related_objects(templates, Prefetch("environment_variables", files, to_attr=_FILES))


_FILES = "file_variables"
_COLUMNS = ("tty", "memory_limit", "cpu_limit", "working_directory", "stop_signal")


def lacking(kind: str, template: ContainerTemplate, *, also: Iterable[str] = ()) -> list[str]:
    """What executors of this kind cannot do of what jobs of the template ask for, a sentence each.

    `also` is what a job asks for by its own overrides.

    Nothing is known here of an executor that cannot be loaded here: where its worker runs it may be.
    """
    try:
        can = registry.capabilities(kind)
    except ConfigurationError:
        return []
    return lacks(can, {*needs_of_template(template), *also}, label=registry.label(kind))
