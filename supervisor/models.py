"""SupervisorProcess: each process of ours that runs, for the screens and for `is anybody there?`."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models.functions import Now

from hosts.identity import ProcessIdentity
from hosts.ids import new_id
from hosts.models import DockerHost

HEARTBEAT_STALE_AFTER = timedelta(seconds=15)


class Role(models.TextChoices):
    """What a process is for."""

    MASTER = "master", "Master"
    CLERK = "clerk", "Clerk"
    WORKER = "worker", "Worker"
    STANDALONE = "standalone", "process_container_jobs"


RUNNING, STARTING, DRAINING, STOPPING = "running", "starting", "draining", "stopping"


class Down(models.TextChoices):
    """States of workers that have ended and are to be started again."""

    WAITING = "waiting", "Waiting to be started again"
    CRASH_LOOPING = "crash-looping", "Crash-looping: started ever more seldom"
    PARKED = "parked", "Parked until its host is edited, or HUP"


class ProcessQuerySet(models.QuerySet["SupervisorProcess"]):
    """The words other layers ask for processes in."""

    def alive(self) -> ProcessQuerySet:
        """Processes whose last heartbeat is fresh, by the database's clock."""
        return self.filter(heartbeat_at__gt=Now() - HEARTBEAT_STALE_AFTER)


class SupervisorProcess(models.Model):
    """One process. Deleted when it ends in order; a stale heartbeat means that it did not.

    A worker that is down keeps the row of its last process, whose state says why it is not started.
    `started_at` is when the process was created, by the database's clock.
    """

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    supervisor = models.UUIDField(db_index=True)
    role = models.CharField(max_length=10, choices=Role)
    host = models.ForeignKey(
        DockerHost, on_delete=models.CASCADE, null=True, blank=True, related_name="processes"
    )
    pid = models.PositiveIntegerField()
    start_ticks = models.BigIntegerField()
    machine = models.CharField(max_length=200)
    boot_id = models.CharField(max_length=64)
    pid_namespace = models.CharField(max_length=64, blank=True, default="", db_default="")
    state = models.CharField(max_length=50, blank=True, default="", db_default="")
    restarts = models.PositiveIntegerField(default=0, db_default=0)
    rss_bytes = models.BigIntegerField(null=True)
    uss_bytes = models.BigIntegerField(null=True)
    cpu_seconds = models.FloatField(null=True)
    open_files = models.PositiveIntegerField(null=True)
    threads = models.PositiveIntegerField(null=True)
    jobs_held = models.PositiveIntegerField(null=True)
    # How the process before it ended, and since when it has not run for a minute without failing.
    last_exit = models.CharField(max_length=500, blank=True, default="", db_default="")
    last_exit_at = models.DateTimeField(null=True)
    failing_since_at = models.DateTimeField(null=True)
    is_crash_looping = models.BooleanField(default=False, db_default=False)
    started_at = models.DateTimeField(db_default=Now())
    heartbeat_at = models.DateTimeField(db_default=Now())

    objects = ProcessQuerySet.as_manager()

    class Meta:
        ordering = ("role", "pid")
        verbose_name_plural = "supervisor processes"
        constraints = [
            models.UniqueConstraint(fields=["supervisor", "role", "pid"], name="process_once_a_supervisor"),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.pid}"

    @property
    def identity(self) -> ProcessIdentity:
        """Who it is, to be looked for where it ran."""
        return ProcessIdentity(self.machine, self.boot_id, self.pid_namespace, self.pid, self.start_ticks)

    def is_dead_without_a_word(self) -> bool:
        """Whether it is proved dead, and its supervisor does not know, or is dead itself."""
        return self.state not in Down.values and self.identity.is_proved_dead()
