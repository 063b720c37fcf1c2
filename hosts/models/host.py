"""DockerHost: an engine that can run containers, what people want of it, and what was last seen of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Now

from hosts import policy, registries
from hosts.errors import ConfigurationError
from hosts.executors import registry
from hosts.executors.contract import HostView
from hosts.fields import EncryptedJSONField
from hosts.ids import new_id
from hosts.labels import validate_labels

name_validator = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9_.-]*\Z",
    "Use letters, digits, dots, dashes and underscores, starting with a letter or digit.",
)


class Availability(models.TextChoices):
    """What an operator wants of a host."""

    ACTIVE = "active", "Active"
    CORDONED = "cordoned", "Cordoned (no new jobs)"
    DRAINING = "draining", "Draining (no new jobs, waiting for the running ones)"


class DrainThen(models.TextChoices):
    """What becomes of jobs that still run when the time of a draining host is over."""

    WAIT = "wait", "Wait for them all the same"
    STOP = "stop", "Stop them"


class HostState(models.TextChoices):
    """What was last seen of a host; written by the worker that holds it."""

    UNKNOWN = "unknown", "Not seen yet"
    ONLINE = "online", "Online"
    DEGRADED = "degraded", "Online, but in bad condition"
    UNREACHABLE = "unreachable", "Unreachable"
    PARKED = "parked", "Parked: its settings need an edit"


# The engine answers, and is the one that we know.
ANSWERING = frozenset({HostState.ONLINE, HostState.DEGRADED})


class HostQuerySet(models.QuerySet["DockerHost"]):
    """The words other layers ask for hosts in."""

    def active(self) -> HostQuerySet:
        """Hosts that shall have a worker."""
        return self.filter(is_active=True, archived_at=None)

    def claiming(self) -> HostQuerySet:
        """Hosts that may take new jobs, as far as operators say."""
        return self.active().filter(availability=Availability.ACTIVE)


class DockerHost(models.Model):
    """One engine. `connection_string` and `executor_config["base_url"]` name the same thing."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    name = models.CharField(max_length=100, unique=True, validators=[name_validator])
    executor_type = models.CharField(
        max_length=20,
        default="docker",
        db_default="docker",
        choices=registry.choices,
    )
    connection_string = models.CharField(
        max_length=500,
        blank=True,
        default="",
        db_default="",
        help_text="unix:///var/run/docker.sock, tcp://host:2376, ssh://user@host or context://NAME; the same "
        "as base_url below. Empty, for Docker: what DOCKER_HOST or the current context says to the worker.",
    )
    executor_config = models.JSONField(default=dict, blank=True, db_default={})
    secret_config = EncryptedJSONField(default=dict, blank=True, db_default="", editable=False)
    # Who gave each of them, and when (`hosts.secret_marks`).
    secret_marks = models.JSONField(default=dict, blank=True, db_default={}, editable=False)
    policy = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        help_text='What its containers may have: {"root": true, "images": ["registry.example/team/**"], '
        '"paths": ["/srv/data", "/etc/ssl:ro"], "volumes": ["cache"], "networks": ["jobs"], '
        '"labels": ["team"], "capabilities": ["NET_ADMIN"], "devices": ["/dev/fuse"], '
        '"ulimits": ["rtprio"], "pids": 10000, '
        '"new_privileges": false, "privileged": false, "gpus": false, "host_network": false, '
        '"host_pid": false}. What is left out is not allowed, root neither; but without images, networks or '
        "labels every one is.",
    )
    weight = models.PositiveIntegerField(
        default=100,
        db_default=100,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="1 to 1000. Jobs without a host go to the heaviest host that has room.",
    )
    max_concurrent_jobs = models.PositiveIntegerField(
        default=10, db_default=10, validators=[MinValueValidator(1), MaxValueValidator(1000)]
    )
    labels = models.JSONField(
        default=dict,
        blank=True,
        db_default={},
        validators=[validate_labels],
        help_text='What templates may ask for, such as {"gpu": "a100", "zone": "eu"}.',
    )
    memory_percent = models.PositiveIntegerField(
        default=100,
        db_default=100,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="How much of its memory jobs with a memory limit may be given in all; 80 keeps a fifth "
        "back, 150 overcommits.",
    )
    cpu_percent = models.PositiveIntegerField(
        default=100,
        db_default=100,
        validators=[MinValueValidator(1), MaxValueValidator(1000)],
        help_text="The same of its CPUs, for jobs with a CPU limit.",
    )
    is_active = models.BooleanField(default=True, db_default=True)
    availability = models.CharField(
        max_length=10, choices=Availability, default=Availability.ACTIVE, db_default=Availability.ACTIVE.value
    )
    # Of a draining host: until when its jobs may run, if not for ever, and what then becomes of them.
    drain_deadline_at = models.DateTimeField(null=True, blank=True, editable=False)
    drain_then = models.CharField(
        max_length=4,
        choices=DrainThen,
        default=DrainThen.WAIT,
        db_default=DrainThen.WAIT.value,
        editable=False,
    )
    archived_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    updated_at = models.DateTimeField(auto_now=True)

    engine_id = models.CharField(max_length=200, null=True, unique=True, editable=False)  # noqa: DJ001 (unique)
    state = models.CharField(
        max_length=12,
        choices=HostState,
        default=HostState.UNKNOWN,
        db_default=HostState.UNKNOWN.value,
        editable=False,
    )
    state_since_at = models.DateTimeField(null=True, editable=False)
    state_reason = models.TextField(blank=True, default="", db_default="", editable=False)
    seen_at = models.DateTimeField(null=True, editable=False)
    engine_version = models.CharField(max_length=100, blank=True, default="", db_default="", editable=False)
    engine_cpus = models.PositiveIntegerField(null=True, editable=False)
    engine_memory_bytes = models.BigIntegerField(null=True, editable=False)
    # All running containers, whoever's they are, and how many of them this installation has made.
    containers_running = models.PositiveIntegerField(null=True, editable=False)
    containers_ours = models.PositiveIntegerField(null=True, editable=False)
    disk_free_bytes = models.BigIntegerField(null=True, editable=False)
    disk_total_bytes = models.BigIntegerField(null=True, editable=False)
    # Containers of ours on it of which no row tells: id, name, state, and since when they are seen.
    orphans = models.JSONField(default=list, blank=True, db_default=[], editable=False)

    objects = HostQuerySet.as_manager()

    class Meta:
        ordering = ("name",)
        constraints = [
            models.CheckConstraint(condition=models.Q(weight__range=(1, 1000)), name="host_weight_1_to_1000"),
            models.CheckConstraint(
                condition=models.Q(max_concurrent_jobs__range=(1, 1000)),
                name="host_max_concurrent_jobs_1_to_1000",
            ),
            models.CheckConstraint(
                condition=models.Q(memory_percent__range=(1, 1000), cpu_percent__range=(1, 1000)),
                name="host_percents_1_to_1000",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def base_url(self) -> str:
        """Where the engine is, whichever of the two fields says it."""
        return self.connection_string or str(self.executor_config.get("base_url", ""))

    def view(self, installation: UUID) -> HostView:
        """What an executor may know of this host."""
        return HostView(
            id=self.id,
            name=self.name,
            executor_type=self.executor_type,
            base_url=self.base_url,
            installation=installation,
            config={**self.executor_config, **self.secret_config},
            policy=self.policy,
        )

    def clean(self) -> None:
        """Refuse settings that the executor cannot work with."""
        if not isinstance(self.executor_config, dict):
            raise ValidationError({"executor_config": "This must be a JSON object."})
        configured = self.executor_config.get("base_url")
        if configured and self.connection_string and configured != self.connection_string:
            raise ValidationError(
                {"connection_string": f"executor_config says base_url {configured!r}; give one, or the same."}
            )
        if wrong := policy.problems(self.policy):
            raise ValidationError({"policy": wrong})
        try:
            secrets = dict(self.secret_config)
        except ConfigurationError as exc:  # deferred, and no key decrypts them
            raise ValidationError(str(exc)) from exc
        problems = self._executor_problems({**self.executor_config, **secrets})
        if problems:
            raise ValidationError({"executor_config": problems})

    def _misplaced_secrets(self, secret: frozenset[str]) -> list[str]:
        name = self.name or "NAME"
        logins = f"registry-login {name} REGISTRY --username USER --password-stdin"
        return [
            f"{key} holds passwords, which everybody could read here. Take it out, and set it with "
            f"manage.py manage_docker_host {logins if key == registries.KEY else f'secret {name} {key}'}."
            for key in sorted(secret & set(self.executor_config))
        ]

    def _executor_problems(self, config: dict[str, Any]) -> list[str]:
        try:
            misplaced = self._misplaced_secrets(registry.executor_class(self.executor_type).secret_settings)
        except ConfigurationError as exc:
            return [str(exc)]
        return misplaced or registry.settings_problems(self.executor_type, self.base_url, config)
