"""What asks for somebody, each with what to do about it. Pure; of jobs see `overview.waiting`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from admin_ui import presenters, processes
from admin_ui.pages.overview.board import HOSTS, PROCESSES, Board
from admin_ui.processes import Record
from hosts.models import Availability, DockerHost, DrainThen, HostState
from jobs.obstacles import Obstacle, own_obstacle

LEAST_FREE = 0.1
MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Concern:
    """`level` is danger or warning; `since` is told behind the sentence, `url` is where to look."""

    level: str
    sentence: str
    remedy: str
    url: str = ""
    since: datetime | None = None


def of_board(board: Board) -> Iterator[Concern]:
    """Of hosts and processes, the worst first."""
    found: list[Concern] = []
    if HOSTS in board.may:
        for host in board.active:
            found += of_host(host, board.now, is_supervised=bool(board.heads))
    if PROCESSES in board.may:
        found += [of_process(one) for one in board.processes if processes.trouble(one)]
        found += [_silent(one) for one in board.processes if _is_silent(one, board)]
    yield from sorted(found, key=lambda one: one.level != "danger")


# ── hosts ─────────────────────────────────────────────────────────────────────────────────────────────────


def of_host(host: DockerHost, now: datetime, *, is_supervised: bool) -> Iterator[Concern]:
    """Of a host of `jobs.obstacles.hosts` that is in use."""
    url = reverse("admin:host", args=[host.pk])
    down = _down(host, url, is_supervised=is_supervised)
    if down:
        yield down
    else:
        yield from _condition(host, url)
    if host.orphans:
        count = len(host.orphans)
        said = ngettext(
            "Host %(name)s has a container of ours that no job knows.",
            "Host %(name)s has %(count)s containers of ours that no job knows.",
            count,
        )
        remedy = _("Look at them on the host's page, and remove them there.")
        yield Concern("warning", said % {"name": host.name, "count": count}, remedy, url)
    yield from _overdue_drain(host, now, url)


def _down(host: DockerHost, url: str, *, is_supervised: bool) -> Concern | None:
    says = {"name": host.name, "reason": _reason(host)}
    what = own_obstacle(host)
    if host.state == HostState.PARKED:
        remedy = _("Correct its settings; its worker starts again by itself.")
        return Concern("danger", _("Host %(name)s is parked: %(reason)s") % says, remedy, url)
    # Without a supervisor no host has a worker: that is said once, on top of the page.
    if what == Obstacle.NO_WORKER and is_supervised:
        remedy = _("The supervisor page says what became of its worker; one is started within seconds.")
        sentence = _("No worker holds host %(name)s.") % says
        return Concern("danger", sentence, remedy, reverse("admin:supervisor"), host.seen_at)
    if what == Obstacle.UNREACHABLE and host.state == HostState.UNREACHABLE:
        sentence = _("Host %(name)s is unreachable: %(reason)s") % says
        remedy = _("Start its engine or mend the way to it; its jobs are looked after once it answers again.")
        return Concern("danger", sentence, remedy, url, host.state_since_at)
    return None


def _condition(host: DockerHost, url: str) -> Iterator[Concern]:
    says = {"name": host.name, "reason": _reason(host)}
    if host.state == HostState.DEGRADED:
        remedy = _("It takes jobs all the same; see to it before it fails.")
        sentence = _("Host %(name)s is in bad condition: %(reason)s") % says
        yield Concern("warning", sentence, remedy, url, host.state_since_at)
    elif host.disk_total_bytes and host.disk_free_bytes is not None:
        free = host.disk_free_bytes / host.disk_total_bytes
        if free < LEAST_FREE:
            left = {**says, "free": presenters.size(host.disk_free_bytes), "percent": f"{free:.0%}"}
            sentence = _("The disk of host %(name)s is nearly full: %(free)s left, %(percent)s.") % left
            remedy = _("Remove images and volumes there that nobody uses, or give it a larger disk.")
            yield Concern("warning", sentence, remedy, url)


def _reason(host: DockerHost) -> str:
    reason = host.state_reason.removeprefix(f"{host.name}: ").rstrip(".")
    return f"{reason}." if reason else ""


def _overdue_drain(host: DockerHost, now: datetime, url: str) -> Iterator[Concern]:
    held: int = host.held  # type: ignore[attr-defined]  # annotated
    deadline = host.drain_deadline_at
    if host.availability != Availability.DRAINING or not held or deadline is None or deadline > now:
        return
    sentence = ngettext(
        "The time to drain host %(name)s is over, and %(count)s job still runs.",
        "The time to drain host %(name)s is over, and %(count)s jobs still run.",
        held,
    )
    is_stopping = host.drain_then == DrainThen.STOP
    remedy = _("They are being stopped.") if is_stopping else _("Wait for them, or stop them on their pages.")
    yield Concern("warning", sentence % {"name": host.name, "count": held}, remedy, url, deadline)


# ── processes ─────────────────────────────────────────────────────────────────────────────────────────────


def of_process(one: Record) -> Concern:
    """Of a process that `admin_ui.processes.trouble` has something to say of."""
    says = {"name": processes.name(one), "exit": one["last_exit"] or ""}
    url, since = reverse("admin:supervisor"), processes.troubled_since(one)
    if processes.is_parked(one):
        sentence, level = _("%(name)s is parked: %(exit)s") % says, "danger"
        remedy = _("Correct the settings of its host; it starts again by itself.")
    elif one["is_crash_looping"]:
        sentence, level = _("%(name)s crashes again and again: %(exit)s") % says, "danger"
        remedy = _("The supervisor's log has the cause. It is tried again about once a minute.")
    else:
        sentence, level = _("%(name)s failed: %(exit)s") % says, "warning"
        remedy = _("It was started again; the supervisor's log has the cause.")
    return Concern(level, sentence, remedy, url, since)


def _is_silent(one: Record, board: Board) -> bool:
    return bool(one["is_stale"] and board.heads and not processes.trouble(one))


def _silent(one: Record) -> Concern:
    says = {"name": processes.name(one), "machine": one["machine"]}
    remedy = _("It was killed, or its machine is gone; another supervisor takes over what it held.")
    sentence = _("%(name)s on %(machine)s gives no sign of life.") % says
    return Concern("warning", sentence, remedy, reverse("admin:supervisor"), one["heartbeat_at"])
