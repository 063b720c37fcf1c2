"""The last resort for a host that will never answer again: everything on it is called lost.

This is the only way past the rule that the next attempt waits until the one before is proved ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from hosts import leases, wakeups
from hosts.models import ANSWERING, DockerHost
from hosts.operations import HostRefused
from jobs import batches, excerpts, moves, retry, spec, usage
from jobs.models import Attempt
from jobs.retry import Budget
from jobs.states import DECLARED_LOST, JobStatus, Outcome

_NOTE = "The host was declared lost before the log was complete."
_MESSAGE = "Its host was declared lost, so how it ended is not known."
_HINT = "It may still run on that host. Check what it did before running it again."


def declare_lost(host_id: UUID, *, who: str) -> int:
    """End every open attempt of the host as lost and switch it off; how many ended.

    HostRefused while a worker holds the host and sees it online.
    """
    with transaction.atomic():
        host = DockerHost.objects.get(pk=host_id)
        epoch = leases.revoke(host_id, even_if_held=host.state not in ANSWERING)
        if epoch is None:
            raise HostRefused(
                f"Host {host.name} is online, and a worker holds it. Drain it, or cancel its jobs, instead."
            )
        Attempt.objects.open().filter(host_id=host_id).update(epoch=epoch)
        ended = moves.end(list(_last_rows(host, who)))
        DockerHost.objects.filter(pk=host_id).update(is_active=False, updated_at=Now())
        wakeups.notify(None)
    return len(ended)


def _last_rows(host: DockerHost, who: str) -> Iterator[batches.Row]:
    for attempt in Attempt.objects.open().filter(host=host).select_related("job__template"):
        yield {
            "attempt_id": attempt.id,
            "job_id": attempt.job_id,
            "number": attempt.number,
            "epoch": attempt.epoch,
            "who": who,
            "message": "the host was declared lost",
            "outcome": Outcome.LOST,
            "exit_code": None,
            "host_name": attempt.host_name,
            "template_name": attempt.spec.get("template_name", attempt.job.template.name),
            "failure_class": DECLARED_LOST,
            "failure_message": _MESSAGE,
            "failure_hint": _HINT,
            "logs_complete": False,
            "logs_note": _NOTE,
            "run_seconds": _run_seconds(attempt),
            **_what_follows(attempt),
            **_totals(attempt),
        }


def _run_seconds(attempt: Attempt) -> float:
    if attempt.started_at is None:
        return 0.0
    return max(0.0, ((attempt.finished_at or timezone.now()) - attempt.started_at).total_seconds())


def _what_follows(attempt: Attempt) -> dict[str, Any]:
    budget = Budget.of(
        spec.complete(attempt.spec), attempts=attempt.number, infra_failures=attempt.job.infra_failure_count
    )
    delay = retry.delay_before_next(Outcome.LOST, budget)
    return {
        "job_status": JobStatus.FAILED if delay is None else JobStatus.PENDING,
        "retry_delay_seconds": delay or 0.0,
        "infra_failures": budget.infra_failures,
    }


def _totals(attempt: Attempt) -> dict[str, Any]:
    sizes = (attempt.stdout_bytes, attempt.stderr_bytes)
    stdout, stderr = excerpts.texts(attempt.id, attempt.next_seq, [], sizes)
    totals, _ = usage.restored(attempt)
    return {
        **totals.so_far(),
        "stdout": stdout,
        "stderr": stderr,
        "docker_log": "",
        "stdout_bytes": sizes[0],
        "stderr_bytes": sizes[1],
    }
