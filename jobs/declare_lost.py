"""The last resort for what nobody will ever know: everything on a host, or one attempt, is called lost.

These are the only ways past the rule that the next attempt waits until the one before is proved ended. One
attempt may be called so only where its executor can neither be asked for what it has nor find it again: then
a launch whose answer got lost stays unknown for ever, and only a person can look.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from hosts import leases, wakeups
from hosts.audited import HOST
from hosts.errors import ConfigurationError
from hosts.executors import registry
from hosts.models import ANSWERING, DockerHost
from hosts.operations import HostRefused
from jobs import batches, excerpts, moves, retry, spec, usage
from jobs.audited import JOB
from jobs.models import Attempt
from jobs.operations import Refused
from jobs.retry import Budget
from jobs.states import DECLARED_LOST, JobStatus, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """What is said of an attempt that is called lost."""

    event: str
    failure_class: str
    message: str
    hint: str
    logs_note: str


_WITH_ITS_HOST = _Words(
    event="the host was declared lost",
    failure_class=DECLARED_LOST,
    message="Its host was declared lost, so how it ended is not known.",
    hint="It may still run on that host. Check what it did before running it again.",
    logs_note="The host was declared lost before the log was complete.",
)
_BY_HAND = _Words(
    event="declared lost",
    failure_class="lost",
    message="It was declared lost by hand, as nobody could tell what became of it.",
    hint="Its platform may have run it all the same. Check what it did before running it again.",
    logs_note="It was declared lost before its log was complete.",
)


@HOST.act("declare_lost", fields=("is_active",), tell="lost_jobs")
def declare_lost(host_id: UUID, *, who: str) -> int:
    """End every open attempt of the host as lost and switch it off; how many ended.

    HostRefused while a worker holds the host and sees it online.
    """
    with transaction.atomic():
        host = DockerHost.objects.defer("secret_config").get(pk=host_id)
        epoch = leases.revoke(host_id, even_if_held=host.state not in ANSWERING)
        if epoch is None:
            raise HostRefused(
                f"Host {host.name} is online, and a worker holds it. Drain it, or cancel its jobs, instead."
            )
        Attempt.objects.open().filter(host_id=host_id).update(epoch=epoch)
        ours = Attempt.objects.open().filter(host=host).select_related("job__template")
        ours = ours.defer("job__secret_environment")
        ended = moves.end([_last_row(attempt, who, _WITH_ITS_HOST) for attempt in ours])
        DockerHost.objects.filter(pk=host_id).update(is_active=False, updated_at=Now())
        wakeups.notify(None)
    return len(ended)


@JOB.act("declare_lost", fields=("status",))
def declare_attempt_lost(job_id: UUID, *, who: str) -> None:
    """End the open attempt of a job as lost, and give its slot back; its worker lets go of it.

    Refused where the executor can be asked, so that what became of it will be known: that is not for anybody
    to say.
    """
    with transaction.atomic():
        open_attempts = Attempt.objects.open().filter(job_id=job_id)
        hidden = ("job__secret_environment", "host__secret_config")
        attempt = open_attempts.select_related("job__template", "host").defer(*hidden).first()
        if attempt is None:
            raise Refused(f"Job {job_id} has no attempt under way, so there is none to be called lost.")
        _require_unknowable(attempt)
        if not moves.end([_last_row(attempt, who, _BY_HAND)]):
            raise Refused(f"The attempt of job {job_id} changed just now. Look at it again.")
        wakeups.notify(attempt.host_id)


def _require_unknowable(attempt: Attempt) -> None:
    host = attempt.host
    try:
        can_be_asked = registry.capabilities(host.executor_type).lists
    except ConfigurationError as exc:
        raise Refused(f"Nothing is known here of the executor of host {host.name}: {exc}") from exc
    if can_be_asked:
        raise Refused(
            f"Host {host.name} can be asked what became of job {attempt.job_id}, so it is not for anybody to "
            f"say. Cancel the job; or, if the host will never answer again: manage_docker_host declare-lost "
            f"{host.name}."
        )


def _last_row(attempt: Attempt, who: str, words: _Words) -> batches.Row:
    return {
        "attempt_id": attempt.id,
        "job_id": attempt.job_id,
        "number": attempt.number,
        "epoch": attempt.epoch,
        "who": who,
        "message": words.event,
        "outcome": Outcome.LOST,
        "exit_code": None,
        "host_name": attempt.host_name,
        "template_name": attempt.spec.get("template_name", attempt.job.template.name),
        "failure_class": words.failure_class,
        "failure_message": words.message,
        "failure_hint": words.hint,
        "logs_complete": False,
        "logs_note": words.logs_note,
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
