"""What a worker does of its own accord that overrides a rule, as rows of the audit."""

from __future__ import annotations

from audit import actors, acts
from audit.entries import Entry
from hosts.models import DockerHost
from supervisor.worker.orphans import Removal


def reaping(host: DockerHost, removal: Removal, *, who: str) -> None:
    """A container without a row is about to be removed: written before, for the engine may not answer."""
    seen = removal.seen
    says = {"container": seen.name, "container_id": seen.container_id, "how": removal.how}
    acts.record(
        Entry(
            verb="container.reap",
            kind="host",
            key=str(host.pk),
            label=host.name,
            says=says,
            actor=actors.system(who),
        )
    )
