"""Which operations a job would accept as it is, so that nobody is offered one that is refused.

`jobs.operations` decides again when it is asked, under its locks: between the two the job may have changed.
"""

from __future__ import annotations

from hosts.errors import ConfigurationError
from hosts.executors import registry
from jobs.models import Attempt, ContainerJob
from jobs.models.job import Hold
from jobs.states import ENDED_STATUSES, NOT_STARTED, AttemptState, JobStatus


def accepted(job: ContainerJob, attempt: Attempt | None) -> frozenset[str]:
    """The names of the operations, as `jobs.operations` has them.

    `attempt` is the job's newest, None if it has none. Template, host and what the job restarts are to be
    read with the job, and the host with the attempt; else each of them costs a query.
    """
    if job.status == JobStatus.PENDING:
        verbs = {"cancel", "stop"} | (set() if _waits_for_another(job) else {"start"})
    elif job.status in ENDED_STATUSES:
        verbs = {"delete"}
        if job.status != JobStatus.COMPLETED and not _is_gone(job):
            verbs.add("retry")
    else:
        verbs = {"cancel", "stop"} if _can_stop(attempt) else set()
    return frozenset(verbs if _is_gone(job) else verbs | {"restart"})


def _is_gone(job: ContainerJob) -> bool:
    """Whether its template or its host is out of use, so that it cannot run again."""
    return bool(job.template.archived_at or (job.docker_host and job.docker_host.archived_at))


def _waits_for_another(job: ContainerJob) -> bool:
    if job.restarted_from is None:
        return job.hold == Hold.RESTART
    return job.restarted_from.status not in ENDED_STATUSES


def _can_stop(attempt: Attempt | None) -> bool:
    if attempt is None or attempt.state in (*NOT_STARTED, AttemptState.ENDED):
        return True
    try:
        return registry.capabilities(attempt.host.executor_type).stop
    except ConfigurationError:  # where its worker runs it may be known
        return True
