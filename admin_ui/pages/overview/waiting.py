"""Jobs that do not get on by themselves: those that no host can take, and those that are stuck on one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from admin_ui.pages.overview.attention import Concern
from admin_ui.pages.overview.board import Board
from jobs import kinds, reasons
from jobs.blockers import Blockers, Lack
from jobs.models import Attempt, ContainerJob
from jobs.obstacles import Obstacle
from jobs.states import NOT_STARTED, AttemptState

# Of a long queue the oldest tell what is the matter; whoever came later waits for the same.
_LOOKED_AT = 500
_REASONS = 5
_PATIENCE = timedelta(minutes=1)
_LONG = timedelta(minutes=5)
# What passes by itself: other jobs end, or whoever paused resumes (which every page says).
_PASSES = {Obstacle.FULL, Obstacle.PAUSED, Lack.LIMIT, Lack.RESOURCES}
_STUCK_SHOWN = 10
_START_TAKES, _STOP_TAKES = timedelta(minutes=15), timedelta(minutes=2)
_HARVEST_TAKES, _LATE = timedelta(minutes=5), timedelta(minutes=2)


def without_host(board: Board) -> Iterator[Concern]:
    """What waits for something that does not come by itself, by what that is. About six queries."""
    groups = _groups(board.now)
    if not groups:
        return
    examples = {reason: jobs[0][0] for reason, jobs in groups.items()}
    found = kinds.of_jobs(list(examples.values()))
    blockers = Blockers(board.hosts, reasons.host_reason)
    for reason, jobs in groups.items():
        kind = found.get(examples[reason])
        blocker = blockers.of(kind) if kind else None
        since = min(created_at for _id, created_at in jobs)
        if blocker and blocker.word not in _PASSES:
            yield _waiting(len(jobs), blocker.text, since, _remedy(blocker.word))
        elif kind and not blocker and board.heads and board.now - since > _LONG:
            text = reason or _("There is room, and nobody takes them")
            yield _waiting(len(jobs), text, since, _("Look at the workers, and at their own limits."))


def _groups(now: datetime) -> dict[str, list[tuple[UUID, datetime]]]:
    """The oldest jobs that could start, as (id, when it was made), by why they wait."""
    pending = ContainerJob.objects.pending().order_by("created_at", "id")
    columns = ("id", "pending_reason", "hold", "not_before_at", "created_at")
    groups: dict[str, list[tuple[UUID, datetime]]] = defaultdict(list)
    for key, reason, hold, not_before_at, created_at in pending.values_list(*columns)[:_LOOKED_AT]:
        is_due = not hold and (not_before_at is None or not_before_at <= now)
        if is_due and created_at < now - _PATIENCE:
            groups[reason].append((key, created_at))
    most = sorted(groups, key=lambda reason: -len(groups[reason]))[:_REASONS]
    return {reason: groups[reason] for reason in most}


def _waiting(count: int, text: str, since: datetime, remedy: str) -> Concern:
    shown = f"{count}+" if count >= _LOOKED_AT else str(count)
    sentence = ngettext("%(count)s job waits: %(why)s.", "%(count)s jobs wait: %(why)s.", count)
    url = f"{reverse('admin:jobs')}?status=pending"
    return Concern("warning", sentence % {"count": shown, "why": text.rstrip(".")}, remedy, url, since)


def _remedy(word: Lack | Obstacle) -> str:
    return {
        Lack.NO_HOST: _("Add a host."),
        Lack.NO_FIT: _("Change what their template asks for, or give a host what it lacks."),
        Obstacle.SWITCHED_OFF: _("Switch a host on again."),
        Obstacle.CORDONED: _("Let a host take jobs again."),
        Obstacle.PARKED: _("Correct the settings of the host."),
        Obstacle.NO_WORKER: _("See to it that a supervisor runs."),
        Obstacle.UNREACHABLE: _("Get a host to answer again."),
    }.get(word, "")


# ── stuck ─────────────────────────────────────────────────────────────────────────────────────────────────


def stuck(board: Board) -> list[Concern]:
    """Open attempts that take longer than they should, on hosts that answer. One query."""
    return [
        concern for attempt in _suspects(board.now) if (concern := _stuck(attempt, board.now)) is not None
    ][:_STUCK_SHOWN]


def _suspects(now: datetime) -> Iterable[dict[str, Any]]:
    late = (
        Q(state__in=NOT_STARTED, claimed_at__lt=now - _START_TAKES)
        | Q(state=AttemptState.RUNNING, deadline_at__lt=now - _LATE)
        | Q(state=AttemptState.STOPPING, stopping_at__lt=now - _STOP_TAKES)
        | Q(state=AttemptState.EXITED, finished_at__lt=now - _HARVEST_TAKES)
    )
    # Those whose host is away are told of with their host.
    found = Attempt.objects.open().filter(late, unknown_since_at=None).order_by("claimed_at")
    times = ("claimed_at", "deadline_at", "stopping_at", "finished_at")
    columns = ("job_id", "job__name", "host_name", "state", *times, "spec__stop_grace_seconds", "phase")
    return list(found.values(*columns)[: 2 * _STUCK_SHOWN])


def _stuck(attempt: dict[str, Any], now: datetime) -> Concern | None:
    says = {"job": attempt["job__name"] or str(attempt["job_id"])[:13], "host": attempt["host_name"]}
    url = reverse("admin:job", args=[attempt["job_id"]])
    state = attempt["state"]
    if state in NOT_STARTED:
        remedy = attempt["phase"] or _(
            "A large image may take its time; the job's timeline says how far it is."
        )
        return Concern(
            "warning", _("%(job)s does not start on %(host)s.") % says, remedy, url, attempt["claimed_at"]
        )
    if state == AttemptState.RUNNING:
        remedy = _("Its worker should have stopped it; cancel it with force, and look at the supervisor.")
        return Concern(
            "danger",
            _("%(job)s is over its timeout on %(host)s.") % says,
            remedy,
            url,
            attempt["deadline_at"],
        )
    if state == AttemptState.STOPPING:
        grace = timedelta(seconds=attempt["spec__stop_grace_seconds"] or 0)
        if attempt["stopping_at"] + grace > now - _STOP_TAKES:
            return None
        remedy = _("Its grace is over; the engine may hang. Look at the host.")
        return Concern(
            "danger", _("%(job)s does not stop on %(host)s.") % says, remedy, url, attempt["stopping_at"]
        )
    remedy = _("It has ended, and its log is not stored yet; look at the host's engine.")
    return Concern(
        "warning",
        _("The log of %(job)s is not collected from %(host)s.") % says,
        remedy,
        url,
        attempt["finished_at"],
    )


def concerns(board: Board) -> Sequence[Concern]:
    """All of both kinds."""
    return [*without_host(board), *stuck(board)]
