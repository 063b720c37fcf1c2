"""What the dashboard reads: each table once, and only what its viewer may see."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils import timezone

from admin_ui import processes
from admin_ui.processes import Record
from hosts.models import DockerHost
from jobs import obstacles

JOBS, HOSTS = "jobs.view_containerjob", "hosts.view_dockerhost"
TEMPLATES, PROCESSES = "jobs.view_containertemplate", "supervisor.view_supervisorprocess"


@dataclass(frozen=True, slots=True)
class Board:
    """`hosts` are those of `jobs.obstacles.hosts` that are not removed; `processes`, of all supervisors.

    `may` are the permissions of the viewer. What only others may see is read all the same where something
    that the viewer may see is decided by it, and never shown.
    """

    may: frozenset[str]
    now: datetime
    hosts: list[DockerHost] = field(default_factory=list)
    processes: list[Record] = field(default_factory=list)

    @property
    def active(self) -> list[DockerHost]:
        """The hosts that shall have a worker."""
        return [host for host in self.hosts if host.is_active]

    @property
    def heads(self) -> list[Record]:
        """The processes that lead others, each with a fresh heartbeat."""
        leading = [one for one in self.processes if one["role"] in ("master", "standalone")]
        return [one for one in leading if not one["is_stale"]]


def read(user: Any) -> Board:
    """The state of things for this viewer; two queries."""
    may = frozenset(name for name in (JOBS, HOSTS, TEMPLATES, PROCESSES) if user.has_perm(name))
    hosts = [host for host in obstacles.hosts() if host.archived_at is None] if may & {JOBS, HOSTS} else []
    found = processes.tree()["supervisors"]
    return Board(
        may=may,
        now=timezone.now(),
        hosts=hosts,
        processes=[one for supervisor in found for one in supervisor["processes"]],
    )
