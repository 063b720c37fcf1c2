"""What happened to a job, step by step, and how long each step took. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from jobs.models import Attempt, ContainerJob, JobEvent
from jobs.states import ENDED_STATUSES, AttemptState, JobStatus, Outcome, StopReason


@dataclass(frozen=True, slots=True)
class Step:
    """`seconds` is until the next step; None for the last one, which is `is_now` while it goes on."""

    word: str  # of a state, for its colour
    label: str | Promise
    at: datetime
    detail: str = ""
    who: str = ""
    seconds: float | None = None
    is_now: bool = False


_LABELS = {
    AttemptState.CLAIMED: gettext_lazy("Claimed"),
    AttemptState.PULLING: gettext_lazy("Pulling the image"),
    AttemptState.CREATED: gettext_lazy("Container created"),
    AttemptState.RUNNING: gettext_lazy("Started"),
    AttemptState.STOPPING: gettext_lazy("Stopping"),
    AttemptState.EXITED: gettext_lazy("Exited"),
    AttemptState.ENDED: gettext_lazy("Ended"),
}
_OF_PEOPLE = {
    "start requested": gettext_lazy("Start requested"),
    "held": gettext_lazy("Held"),
    "cancel requested": gettext_lazy("Cancel requested"),
    "cancelled": gettext_lazy("Cancelled"),
    "retry requested": gettext_lazy("Retry requested"),
    "pinned": gettext_lazy("Pinned to its host"),
    "ended": gettext_lazy("Ended"),
}


def steps(job: ContainerJob, attempt: Attempt | None, events: Sequence[JobEvent]) -> list[Step]:
    """From its submission to now, by way of its newest attempt; `events` are those of both."""
    told = [_submission(job, events), *_of_people(events)]
    if attempt:
        told += _of_attempt(attempt, {event.kind: event for event in events if event.attempt_number})
    told.sort(key=lambda step: step.at)
    if job.status == JobStatus.PENDING:
        told.append(Step("waiting", _("Waits"), told[-1].at))
    return _with_durations(told, attempt, is_over=job.status in ENDED_STATUSES)


def _submission(job: ContainerJob, events: Iterable[JobEvent]) -> Step:
    who = next((event.who for event in events if event.kind == "submitted"), "")
    return Step("pending", _("Submitted"), job.created_at, who=who)


def _of_people(events: Iterable[JobEvent]) -> list[Step]:
    return [
        Step(
            "failed" if event.kind == "ended" else "pending",
            _OF_PEOPLE.get(event.kind, event.kind.capitalize()),
            event.at,
            event.message,
            event.who,
        )
        for event in events
        if event.attempt_number is None and event.kind != "submitted"
    ]


def _of_attempt(attempt: Attempt, events: Mapping[str, JobEvent]) -> list[Step]:
    # The attempt's own times where it has some: a short life is told in one write, at its end.
    times: dict[AttemptState, datetime | None] = {
        AttemptState.CLAIMED: attempt.claimed_at,
        AttemptState.PULLING: _at(events.get(AttemptState.PULLING)),
        AttemptState.CREATED: _at(events.get(AttemptState.CREATED)),
        AttemptState.RUNNING: attempt.started_at,
        AttemptState.STOPPING: attempt.stopping_at,
        AttemptState.EXITED: attempt.finished_at,
        AttemptState.ENDED: attempt.ended_at,
    }
    details = {
        AttemptState.CLAIMED: _("attempt %(number)s, host %(host)s")
        % {"number": attempt.number, "host": attempt.host_name},
        AttemptState.CREATED: attempt.container_id[:12],
        AttemptState.PULLING: attempt.phase if attempt.state == AttemptState.PULLING else "",
        AttemptState.STOPPING: StopReason(attempt.stop_reason).label if attempt.stop_reason else "",
        AttemptState.EXITED: _exit(attempt),
        AttemptState.ENDED: Outcome(attempt.outcome).label if attempt.outcome else "",
    }
    found, before, teller = [], attempt.claimed_at, ""
    for state, at in times.items():
        if at is None:
            continue
        # An engine's clock is not ours: no step is told before the one that it follows.
        before = max(before, at)
        word = attempt.outcome if state == AttemptState.ENDED else state
        # Told once, until another worker has taken over.
        who = _who(events.get(state)) or teller
        found.append(Step(word, _LABELS[state], before, details.get(state, ""), who if who != teller else ""))
        teller = who
    return found


def _who(event: JobEvent | None) -> str:
    return event.who if event else ""


def _at(event: JobEvent | None) -> datetime | None:
    return event.at if event else None


def _exit(attempt: Attempt) -> str:
    if attempt.exit_code is None:
        return ""
    code = _("exit code %(code)s") % {"code": attempt.exit_code}
    return f"{code}, {_('out of memory')}" if attempt.oom_killed else code


def _with_durations(told: Sequence[Step], attempt: Attempt | None, *, is_over: bool) -> list[Step]:
    timed = [
        replace(step, seconds=None if _is_between(after, attempt) else _seconds(step, after))
        for step, after in pairwise(told)
    ]
    return [*timed, replace(told[-1], is_now=not is_over)]


def _seconds(step: Step, after: Step) -> float:
    return (after.at - step.at).total_seconds()


def _is_between(after: Step, attempt: Attempt | None) -> bool:
    """Whether the time before a step says nothing: earlier attempts are in it, or it is none."""
    was_tried_before = attempt is not None and attempt.number > 1
    return after.word == "waiting" or (after.word == AttemptState.CLAIMED and was_tried_before)
