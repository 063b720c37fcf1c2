"""The figures at the top of the dashboard, each a link to what it counts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from admin_ui.pages.overview.board import HOSTS, JOBS, PROCESSES, Board
from hosts.models import ANSWERING
from jobs import backlog, trends
from jobs.models import ContainerJob

MOST_COUNTED = 10_000
_LONG_WAIT = timedelta(minutes=10)
_GOOD_RATE, _FAIR_RATE = 0.99, 0.9


@dataclass(frozen=True, slots=True)
class Tile:
    """A figure, what it is of, and a note; `since` follows the note. `tone`: is-bad, is-warn or nothing."""

    label: str
    figure: str
    url: str
    note: str = ""
    since: datetime | None = None
    tone: str = ""


def tiles(board: Board) -> Iterator[Tile]:
    """Those that the viewer may see."""
    if JOBS in board.may:
        yield _running(board)
        yield _pending(board)
        yield from _ended()
    if HOSTS in board.may:
        yield _hosts(board)
    if PROCESSES in board.may:
        yield _supervisor(board)


def _running(board: Board) -> Tile:
    held = sum(host.held for host in board.hosts)  # type: ignore[attr-defined]  # annotated
    slots = sum(host.max_concurrent_jobs for host in board.active)
    note = ngettext("of %(count)s slot taken", "of %(count)s slots taken", slots) % {"count": slots}
    return Tile(_("Running"), str(held), f"{reverse('admin:jobs')}?status=running", note)


def _pending(board: Board) -> Tile:
    # Sorted, so that the index by status and time is what is counted in, and no more than that of it.
    count = ContainerJob.objects.pending().values("pk")[: MOST_COUNTED + 1].count()
    oldest = backlog.oldest_due_at(board.hosts) if count else None
    figure = f"{MOST_COUNTED:,}+" if count > MOST_COUNTED else f"{count:,}"
    is_late = oldest is not None and board.now - oldest > _LONG_WAIT
    return Tile(
        _("Pending"),
        figure,
        f"{reverse('admin:jobs')}?status=pending",
        _("oldest waits") if oldest else _("nothing waits for a host"),
        oldest,
        "is-warn" if is_late else "",
    )


def _ended() -> Iterator[Tile]:
    fine, failed = trends.split(trends.DAY.read())
    jobs = reverse("admin:jobs")
    yield Tile(
        _("Failed runs"),
        f"{failed.count:,}",
        f"{jobs}?status=failed&within=24h",
        _("in 24 hours"),
        tone="is-bad" if failed.count else "",
    )
    ended = fine.count + failed.count
    rate = fine.count / ended if ended else None
    yield Tile(
        _("Success rate"),
        "\N{EN DASH}" if rate is None else percent(rate),
        f"{jobs}?within=24h",
        ngettext("of %(count)s run in 24 hours", "of %(count)s runs in 24 hours", ended)
        % {"count": f"{ended:,}"},
        tone="" if rate is None or rate >= _GOOD_RATE else "is-warn" if rate >= _FAIR_RATE else "is-bad",
    )


def percent(share: float) -> str:
    """`99.5 %`; only what is whole is `100 %`, and only nothing at all is `0 %`."""
    if share in (0.0, 1.0):
        return f"{share:.0%}".replace("%", " %")
    return f"{min(99.9, max(0.1, share * 100)):.1f} %"


def _hosts(board: Board) -> Tile:
    up = [host for host in board.active if host.is_held and host.state in ANSWERING]  # type: ignore[attr-defined]
    down = len(board.active) - len(up)
    if not board.active:
        note, tone = _("no host is in use"), "is-warn"
    elif down:
        note, tone = _("%(count)s not working") % {"count": down}, "is-bad"
    else:
        note, tone = _("all work"), ""
    return Tile(_("Hosts up"), f"{len(up)} / {len(board.active)}", reverse("admin:hosts"), note, tone=tone)


def _supervisor(board: Board) -> Tile:
    url, label = reverse("admin:supervisor"), _("Supervisor")
    if not board.heads:
        beats = [one["heartbeat_at"] for one in board.processes]
        note = _("last sign") if beats else _("start one: manage.py supervise")
        return Tile(label, _("None"), url, note, max(beats, default=None), "is-bad")
    workers = [one for one in board.processes if one["role"] == "worker" and not one["is_stale"]]
    note = ngettext("%(count)s worker, up", "%(count)s workers, up", len(workers))
    oldest = min(one["started_at"] for one in board.heads)
    figure = _("Beating") if len(board.heads) == 1 else _("%(count)s beating") % {"count": len(board.heads)}
    return Tile(label, figure, url, note % {"count": len(workers)}, oldest)
