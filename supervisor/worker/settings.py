"""What a worker is told when it is started."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

from hosts.identity import ProcessIdentity
from hosts.models import DockerHost
from jobs.kept_containers import Keep
from supervisor.worker.breadcrumb import Breadcrumbs
from supervisor.worker.orphans import Reap


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What a worker was started with. `concurrency` is a ceiling over the host's own; None: no ceiling."""

    installation: UUID
    identity: ProcessIdentity
    who: str
    poll_interval_seconds: float = 5.0
    concurrency: int | None = None
    keep: Keep = field(default_factory=Keep)
    crumbs: Breadcrumbs = field(default_factory=Breadcrumbs, compare=False)
    reap: Reap = field(default_factory=Reap)

    def slots_of(self, host: DockerHost) -> int:
        """How many jobs it may run at once, but for what signals give and take."""
        return min(host.max_concurrent_jobs, self.concurrency or host.max_concurrent_jobs)
