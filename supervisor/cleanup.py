"""Removing, on a person's word, the containers of jobs that ended a while ago."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models.functions import Now

from hosts import installation
from hosts.errors import ContainerBusy
from hosts.executors.registry import executor_for
from hosts.models import DockerHost
from jobs import reconcile
from jobs.models import Attempt
from jobs.states import AttemptState


def remove_old_containers(host: DockerHost, *, hours: float) -> Iterator[str]:
    """Remove containers whose attempt ended `hours` ago or earlier; yields a line about each, and a sum.

    Safe beside running workers: an attempt that has ended is nobody's business any more.
    """
    executor = executor_for(host.view(installation.current().id))
    present = executor.list_containers()
    ended = Attempt.objects.filter(state=AttemptState.ENDED, ended_at__lte=Now() - timedelta(hours=hours))
    known = set(
        ended.filter(job_id__in={job for job, _ in reconcile.keys(present)}).values_list("job_id", "number")
    )
    removed = 0
    for seen in present:
        if not reconcile.keys([seen]) & known:
            continue
        try:
            executor.remove(seen.container_id)
        except ContainerBusy:
            yield f"{host.name}: {seen.name} is running although its job has ended; left alone"
            continue
        removed += 1
        yield f"{host.name}: removed {seen.name}"
    yield f"{host.name}: {removed} containers removed, {len(present) - removed} left"
