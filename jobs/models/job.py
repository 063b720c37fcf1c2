"""ContainerJob: the wish to run a template, and what became of it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now

from hosts.fields import EncryptedJSONField
from hosts.ids import new_id
from hosts.models import DockerHost
from jobs import allowed, needs, validators, variables
from jobs.models.template import ContainerTemplate
from jobs.states import ENDED_STATUSES, OPEN_STATUSES, JobStatus


class Hold(models.TextChoices):
    """Why a pending job is not to be claimed."""

    NONE = "", "Not held"
    STOPPED = "stopped", "Stopped by a person; start it again"
    RESTART = "restart", "Waits for the job it restarts to end"


class JobQuerySet(models.QuerySet["ContainerJob"]):
    """The words other layers ask for jobs in."""

    def pending(self) -> JobQuerySet:
        """Jobs without an open attempt that have not ended."""
        return self.filter(status=JobStatus.PENDING)

    def open(self) -> JobQuerySet:
        """Jobs with an open attempt."""
        return self.filter(status__in=OPEN_STATUSES)

    def ended(self) -> JobQuerySet:
        """Jobs that will not change any more, unless somebody retries them."""
        return self.filter(status__in=ENDED_STATUSES)


class ContainerJob(models.Model):
    """One job. A bare row (`objects.create`, `bulk_create`, plain SQL) is a full submission.

    Everything below `priority` is written by guarded updates of `jobs.moves` and `jobs.operations` only.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    # Found by the index of a template's newest jobs: one of its own would be one more to write to.
    template = models.ForeignKey(
        ContainerTemplate, on_delete=models.PROTECT, related_name="jobs", db_index=False
    )
    docker_host = models.ForeignKey(
        DockerHost,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="pinned_jobs",
        help_text="Empty: any host with room, the heaviest first.",
    )
    name = models.CharField(
        max_length=200, blank=True, default="", db_default="", validators=[validators.validate_no_nul]
    )
    override_image = models.CharField(
        max_length=500, blank=True, default="", db_default="", validators=[validators.validate_no_nul]
    )
    override_command = models.TextField(
        blank=True, default="", db_default="", validators=[validators.validate_command]
    )
    override_environment = variables.VariablesField(
        default=dict, blank=True, db_default={}, validators=[variables.validate]
    )
    secret_environment = EncryptedJSONField(default=dict, blank=True, db_default="", editable=False)
    override_max_attempts = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(100)]
    )
    override_retry_on = models.JSONField(null=True, blank=True, validators=[validators.validate_retry_on])
    override_start_deadline_seconds = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    priority = models.SmallIntegerField(default=0, db_default=0, help_text="Higher goes first.")
    limit_key = models.CharField(
        max_length=100,
        blank=True,
        default="",
        db_default="",
        validators=[validators.validate_no_nul],
        help_text="The concurrency limit of this name, if there is one, holds beside those of its template.",
    )

    status = models.CharField(
        max_length=10,
        choices=JobStatus,
        default=JobStatus.PENDING,
        db_default=JobStatus.PENDING.value,
        editable=False,
    )
    hold = models.CharField(
        max_length=10, choices=Hold, default=Hold.NONE, db_default="", blank=True, editable=False
    )
    pending_reason = models.CharField(max_length=200, blank=True, default="", db_default="", editable=False)
    not_before_at = models.DateTimeField(null=True, blank=True, editable=False)
    # Since when it waits for its first start, for the start deadline; None once it has started.
    waiting_since_at = models.DateTimeField(null=True, db_default=Now(), editable=False)
    attempt_count = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    infra_failure_count = models.PositiveIntegerField(default=0, db_default=0, editable=False)
    executor_metadata = models.JSONField(default=dict, blank=True, db_default={}, editable=False)
    exit_code = models.IntegerField(null=True, editable=False)
    failure_class = models.CharField(max_length=50, blank=True, default="", db_default="", editable=False)
    failure_message = models.TextField(blank=True, default="", db_default="", editable=False)
    failure_hint = models.TextField(blank=True, default="", db_default="", editable=False)
    cancel_requested_at = models.DateTimeField(null=True, editable=False)
    cancel_force = models.BooleanField(default=False, db_default=False, editable=False)
    cancelled_by = models.CharField(max_length=150, blank=True, default="", db_default="", editable=False)
    restarted_from = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="restarts",
        editable=False,
        db_index=False,
    )
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        editable=False,
        related_name="+",
        db_index=False,
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True, editable=False)
    completed_at = models.DateTimeField(null=True, editable=False)

    objects = JobQuerySet.as_manager()

    class Meta:
        ordering = ("-created_at", "-id")
        indexes = [
            models.Index(
                "docker_host",
                models.F("priority").desc(),
                "created_at",
                "id",
                condition=models.Q(status="pending", hold=""),
                name="job_claimable",
            ),
            models.Index(
                fields=["docker_host", "created_at"],
                condition=models.Q(status="pending", hold=""),
                name="job_claimable_oldest",
            ),
            # The same jobs by what decides where they may run: nobody goes through those it may not take.
            models.Index(
                *("docker_host", "template", "override_image", "limit_key"),
                models.F("priority").desc(),
                *("created_at", "id"),
                condition=models.Q(status="pending", hold=""),
                name="job_claimable_kind",
            ),
            models.Index(
                fields=["docker_host", "template", "override_image", "limit_key", "created_at"],
                condition=models.Q(status="pending", hold=""),
                name="job_claimable_kind_oldest",
            ),
            models.Index(
                fields=["limit_key"],
                condition=models.Q(status="pending", hold="", limit_key__gt=""),
                name="job_claimable_limited",
            ),
            # Of what few jobs have, only those that have it: each change of a job is written to every index.
            models.Index(
                fields=["cancel_requested_at"],
                condition=models.Q(cancel_requested_at__isnull=False, status__in=["starting", "running"]),
                name="job_open_cancels",
            ),
            models.Index(
                fields=["restarted_from"],
                condition=models.Q(restarted_from__isnull=False),
                name="job_restarted_from",
            ),
            models.Index(
                fields=["created_by"], condition=models.Q(created_by__isnull=False), name="job_created_by"
            ),
            models.Index(
                fields=["completed_at"], condition=models.Q(completed_at__isnull=False), name="job_ended"
            ),
            models.Index(fields=["-created_at", "-id"], name="job_newest"),
            models.Index(fields=["status", "-created_at", "-id"], name="job_status_newest"),
            models.Index(fields=["template", "-created_at", "-id"], name="job_template_newest"),
            models.Index(
                fields=["-completed_at"],
                condition=models.Q(status__in=["failed", "timeout"]),
                name="job_newest_failures",
            ),
        ]
        constraints = [
            models.CheckConstraint(condition=models.Q(status__in=JobStatus.values), name="job_status_known"),
        ]

    def __str__(self) -> str:
        return self.name or str(self.id)

    def save(self, *args: Any, **kwargs: Any) -> None:
        """Store it; secrets among its variables go into their own column, which is then stored, too."""
        fields = kwargs.get("update_fields")
        if fields is not None and "override_environment" in fields:
            kwargs["update_fields"] = {*fields, "secret_environment"}
        super().save(*args, **kwargs)

    def clean(self) -> None:
        """Refuse a new job that asks for what its host cannot do or forbids, or what every host forbids."""
        if not (self._state.adding and self.template_id):
            return
        image = self.override_image
        if self.docker_host is None:
            if problem := allowed.by_no_host(self.template, image=image):
                raise ValidationError(problem)
            return
        overrides = (self.override_environment, self.secret_environment)
        files = any(variables.is_file(one) for given in overrides for one in dict(given or {}).values())
        asks = {needs.SECRET_FILES} if files else set()
        lacking = needs.lacking(self.docker_host.executor_type, self.template, also=asks)
        if wrong := lacking or allowed.refusals(self.docker_host, self.template, image=image):
            raise ValidationError({"docker_host": wrong})
