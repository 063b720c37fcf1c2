"""Removing, on a person's word, the containers of jobs that ended a while ago, and rows that are not kept."""

from __future__ import annotations

from collections.abc import Iterator

from django.conf import settings

from hosts import installation
from hosts.errors import ContainerBusy
from hosts.executors.registry import executor_for
from hosts.models import DockerHost
from jobs import kept_containers, reconcile
from jobs.models import Attempt
from jobs.retention import Policy, Sweep, note_gone
from jobs.states import DECLARED_LOST


def remove_old_containers(host: DockerHost, *, hours: float) -> Iterator[str]:
    """Remove containers whose attempt ended `hours` ago or earlier, and those over the count that is kept.

    Yields a line about each, and a sum.
    Safe beside running workers: an attempt that has ended is nobody's business any more, but for one that
    was declared lost: its log is still to be read by whoever holds the host, who removes it then.
    """
    executor = executor_for(host.view(installation.current().id))
    present = executor.list_containers()
    keys = reconcile.keys(present)
    keep = kept_containers.Keep(hours=hours, count=settings.TALLYMAN_RETENTION_COUNT)
    lost = Attempt.objects.filter(job_id__in={job for job, _ in keys}, failure_class=DECLARED_LOST)
    due = {key for key, over in kept_containers.may_go(keys, keep).items() if over}
    due -= set(lost.values_list("job_id", "number"))
    removed, left = 0, []
    for seen in present:
        left.append(seen)
        if not reconcile.keys([seen]) & due:
            continue
        try:
            executor.remove(seen.container_id)
        except ContainerBusy:
            yield f"{host.name}: {seen.name} is running although its job has ended; left alone"
            continue
        removed += 1
        left.pop()
        yield f"{host.name}: removed {seen.name}"
    yield f"{host.name}: {removed} containers removed, {len(present) - removed} left"
    if executor.check().engine_id == host.engine_id:
        note_gone(host.pk, {job for job, _ in reconcile.keys(left)})


def delete_what_is_not_kept() -> str:
    """Delete every row that the settings do not keep; a line about what went."""
    sweep = Sweep(Policy.of_settings())
    while sweep.step():
        pass
    went = ", ".join(f"{count} {kind}" for kind, count in sorted(sweep.deleted.items()))
    return f"deleted from the database: {went or 'nothing'}"
