"""The container as it was when its job was claimed: frozen onto the attempt, thawed for the executor. Pure.

A frozen spec is JSON. Environment values stand in it as `{"value": text}`, or as a reference
(`{"template": key}`, `{"job": key}`, or `{"store": reference}` for one that is kept outside) where the value
is a secret, so no secret is stored a second time. `"as": "file"` beside it: the container finds it in a file.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError

from hosts.errors import ConfigurationError, ContainerExecutionError
from hosts.executors import option_reader
from hosts.executors.container_options import ContainerOptions
from hosts.executors.contract import JobView, Network, TemplateView
from jobs import validators
from jobs.models import Attempt, ContainerJob, ContainerTemplate, EnvironmentVariable, NetworkAssignment
from jobs.models.template import DEFAULT_MAX_LOG_BYTES
from jobs.states import JobStatus
from jobs.variables import FILE, is_file, reference_of, secret_text

_DEFAULTS: dict[str, Any] = {
    "stop_signal": "SIGTERM",
    "start_deadline_seconds": None,
    "pull_policy": "if-not-present",
    "tty": False,
    "max_log_bytes": DEFAULT_MAX_LOG_BYTES,
    "max_attempts": 1,
    "retry_on": [],
    "retry_delay_seconds": 1,
    "retry_max_delay_seconds": 300,
    "infra_retries": 3,
}
# What of a spec bounds how a job is launched, stopped, logged and tried again.
LIMITS = ("memory_limit", "cpu_limit", "timeout_seconds", "stop_grace_seconds", *_DEFAULTS)


def container_name(installation: UUID, job_id: UUID) -> str:
    """The job's container on any engine. No attempt in it: the engine itself keeps two apart."""
    return f"tallyman-{installation}-{job_id}"


def freeze(
    job: ContainerJob,
    template: ContainerTemplate,
    variables: Iterable[EnvironmentVariable],
    networks: Iterable[NetworkAssignment],
) -> dict[str, Any]:
    """The spec of one attempt of the job, with secrets as references."""
    environment: dict[str, Any] = {variable.key: _of_template(variable) for variable in variables}
    environment |= {key: _of_job(value) for key, value in _mapping(job.override_environment).items()}
    environment |= {
        key: {"job": key, **_way(value)} for key, value in _mapping(job.secret_environment).items()
    }
    return {
        "job_name": job.name,
        "template_name": template.name,
        "limited": bool(template.max_concurrent or template.limit_key or job.limit_key),
        "docker_image": job.override_image or template.docker_image,
        "command": job.override_command or template.command,
        "working_directory": template.working_directory,
        "memory_limit": template.memory_limit,
        "cpu_limit": float(template.cpu_limit) if template.cpu_limit is not None else None,
        "timeout_seconds": template.timeout_seconds,
        "stop_grace_seconds": template.stop_grace_seconds,
        "stop_signal": template.stop_signal,
        "start_deadline_seconds": _first(
            job.override_start_deadline_seconds, template.start_deadline_seconds
        ),
        "pull_policy": template.pull_policy,
        "tty": template.tty,
        "max_log_bytes": template.max_log_bytes,
        "max_attempts": _first(job.override_max_attempts, template.max_attempts),
        "retry_on": _names(_first(job.override_retry_on, template.retry_on)) or [],
        "retry_delay_seconds": template.retry_delay_seconds,
        "retry_max_delay_seconds": template.retry_max_delay_seconds,
        "infra_retries": template.infra_retries,
        "environment": environment,
        "networks": [[network.network_name, _names(network.aliases)] for network in networks],
        "options": {name: value for name in option_reader.FIELDS if (value := getattr(template, name))},
    }


def _of_template(variable: EnvironmentVariable) -> dict[str, Any]:
    as_file = {"as": FILE} if variable.as_file else {}
    if variable.reference:
        return {"store": variable.reference, **as_file}
    return {"template": variable.key, **as_file} if variable.is_secret else {"value": variable.value}


def _of_job(value: object) -> dict[str, Any]:
    reference = reference_of(value)
    return {"store": reference, **_way(value)} if reference else {"value": text(value)}


def _way(value: object) -> dict[str, str]:
    return {"as": FILE} if is_file(value) else {}


def _first(override: Any, value: Any) -> Any:
    return value if override is None else override


def complete(stored: Mapping[str, Any]) -> dict[str, Any]:
    """A stored spec, with what specs frozen by an earlier version did not hold yet."""
    return {**_DEFAULTS, **stored}


def limits(job: ContainerJob, attempt: Attempt | None) -> dict[str, Any]:
    """What bounds the job: as frozen for its newest attempt, or as its next one would be frozen now."""
    waits = attempt is None or job.status == JobStatus.PENDING
    frozen = freeze(job, job.template, [], []) if waits else complete(attempt.spec)  # type: ignore[union-attr]
    return {name: frozen[name] for name in LIMITS if name in frozen}


def text(value: object) -> str | None:
    """The text of an environment value, as JSON writes it: `true`, not `True`. None: it has none."""
    if not isinstance(value, str | int | float):
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


# A bare row may hold anything JSON can. It is frozen all the same, lest it block the jobs behind it, and what
# is no object, text or list of names is refused at the launch.


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {} if value is None else {"": value}


def _names(value: object) -> list[str] | None:
    return value if isinstance(value, list) and all(isinstance(name, str) for name in value) else None


@dataclass(frozen=True, slots=True)
class Launch:
    """What of an attempt its launch needs; a model of it takes longer to make than all the rest."""

    id: UUID
    job_id: UUID
    number: int
    epoch: int
    spec: Mapping[str, Any]
    container_name: str


def thaw(
    attempt: Attempt | Launch, *, template_secrets: Mapping[str, str], job_secrets: Mapping[str, str]
) -> JobView:
    """What the executor is handed; ContainerExecutionError if the frozen spec cannot be run as it is.

    ConfigurationError if a secret of it cannot be read: that is mended by the right key, not by another spec.
    """
    spec = complete(attempt.spec)
    if "wrong" in spec:
        raise ConfigurationError(spec["wrong"])
    sources = {"template": template_secrets, "job": job_secrets}
    entries: Mapping[str, Mapping[str, Any]] = spec["environment"]
    references = {key: entry["store"] for key, entry in entries.items() if "store" in entry}
    environment = {
        key: _resolve(key, entry, sources) for key, entry in entries.items() if key not in references
    }
    try:
        for key in references:  # what they name is looked at where it is read, on a thread
            validators.validate_environment_name(key)
        options = _validate(spec, environment)
    except ValidationError as exc:
        raise _bad_spec(" ".join(exc.messages)) from exc
    return JobView(
        id=attempt.job_id,
        attempt_id=attempt.id,
        attempt=attempt.number,
        epoch=attempt.epoch,
        name=spec["job_name"],
        container_name=attempt.container_name,
        template=TemplateView(
            name=spec["template_name"],
            docker_image=spec["docker_image"],
            command=spec["command"],
            working_directory=spec["working_directory"],
            memory_limit=spec["memory_limit"],
            cpu_limit=spec["cpu_limit"],
            timeout_seconds=spec["timeout_seconds"],
            max_log_bytes=spec["max_log_bytes"],
            stop_signal=spec["stop_signal"],
            stop_grace_seconds=spec.get("stop_grace_seconds"),
            options=options,
        ),
        tty=bool(spec["tty"]),
        command=tuple(shlex.split(spec["command"])),
        environment={
            **environment,
            "TALLYMAN_JOB_ID": str(attempt.job_id),
            "TALLYMAN_ATTEMPT": str(attempt.number),
        },
        secret_names=frozenset(key for key, entry in entries.items() if "value" not in entry),
        secret_files=frozenset(key for key, entry in entries.items() if entry.get("as") == FILE),
        references=references,
        networks=tuple(Network(name=name, aliases=tuple(aliases)) for name, aliases in spec["networks"]),
    )


def _validate(spec: Mapping[str, Any], environment: Mapping[str, str]) -> ContainerOptions:
    validators.validate_environment(environment)
    validators.validate_command(spec["command"])
    for name, aliases in spec["networks"]:
        validators.validate_no_nul(name)
        validators.validate_aliases(aliases)
    for value in (spec["docker_image"], spec["working_directory"]):
        validators.validate_no_nul(value)
    # Specs frozen by an earlier version have none.
    given = spec.get("options", {})
    options = validators.validate_options(given, memory_limit=spec["memory_limit"])
    validators.validate_command(given.get("entrypoint", ""))
    return options


def _resolve(key: str, entry: Mapping[str, Any], sources: Mapping[str, Mapping[str, str]]) -> Any:
    if "value" in entry:
        return entry["value"]
    source = next(one for one in sources if one in entry)
    try:
        return text(secret_text(_mapping(sources[source])[entry[source]]))
    except KeyError:
        raise _bad_spec(f"The secret {key} of the {source} was removed after the job was claimed.") from None


def _bad_spec(message: str) -> ContainerExecutionError:
    return ContainerExecutionError(
        message, failure_class="bad_spec", hint="Correct the job or its template, then submit it again."
    )
