"""The processes of every supervisor, what each of them does, and what was asked of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from admin_ui import processes
from admin_ui.admin.hosts import answer_to
from admin_ui.pages import base, links
from admin_ui.pages.overview.board import HOSTS, JOBS, PROCESSES
from admin_ui.processes import Record
from hosts.models import Availability, DockerHost, HostRequest, RequestVerb
from jobs import obstacles
from jobs.models import Attempt

MAY_ACT = "hosts.change_dockerhost"
COMMAND = "manage.py supervise"
_VERBS = (RequestVerb.RESTART, RequestVerb.PAUSE, RequestVerb.RESUME)
_REQUESTS_SHOWN = 8
_ATTEMPTS_READ = 2000
_JOBS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Row:
    """A process as the page shows it; `jobs` are the newest of those that its host runs."""

    record: Record
    host: DockerHost | None
    word: str
    label: str
    trouble: str
    troubled_since: datetime | None
    host_url: str = ""
    jobs: list[dict[str, Any]] = field(default_factory=list)
    jobs_left_out: int = 0

    @property
    def is_held_back(self) -> bool:
        """Whether its host takes no new jobs, because somebody wants it so."""
        return self.host is not None and self.host.availability != Availability.ACTIVE


@base.needs(PROCESSES)
def page(request: HttpRequest) -> HttpResponseBase:
    """The page."""
    return base.render(
        request,
        "admin_ui/supervisor.html",
        _context(request),
        title=gettext_lazy("Supervisor"),
        section="supervisor",
    )


@base.needs(PROCESSES)
def tree(request: HttpRequest) -> HttpResponse:
    """Its live part."""
    return base.part(request, "admin_ui/_supervisor.html", _context(request))


def _context(request: HttpRequest) -> dict[str, Any]:
    found = processes.tree()
    hosts = {host.pk: host for host in obstacles.hosts()}
    jobs = _jobs() if request.user.has_perm(JOBS) else {}
    may_see_hosts = request.user.has_perm(HOSTS)
    supervisors = [
        {
            **one,
            "machine": one["machine"].partition("/")[0],
            "rows": list(_rows(one["processes"], hosts, jobs)),
        }
        for one in found["supervisors"]
    ]
    shown = {row.host.pk for one in supervisors for row in one["rows"] if row.host}
    return {
        "supervisors": supervisors,
        "paused": found["paused"],
        "is_supervised": any(_leads(one) for each in found["supervisors"] for one in each["processes"]),
        "command": COMMAND,
        "without_worker": [
            host
            for host in hosts.values()
            if may_see_hosts and host.is_active and host.archived_at is None and host.pk not in shown
        ],
        "requests": _requests(),
        "may_act": request.user.has_perm(MAY_ACT),
        "may_see_hosts": may_see_hosts,
        "acts": {
            verb: reverse("admin:supervisor_act", args=[verb]) for verb in ("pause", "resume", "restart")
        },
    }


def _leads(one: Record) -> bool:
    return one["role"] in ("master", "standalone") and not one["is_stale"]


def _rows(
    records: Iterable[Record], hosts: dict[UUID, DockerHost], jobs: dict[UUID, list[dict[str, Any]]]
) -> Iterable[Row]:
    host_url = links.to("admin:host")
    for record in records:
        host = hosts.get(UUID(record["host_id"])) if record["host_id"] else None
        held = jobs.get(host.pk, []) if host else []
        word, label = _state(record)
        yield Row(
            record=record,
            host=host,
            word=word,
            label=label,
            trouble=processes.trouble(record),
            troubled_since=processes.troubled_since(record),
            host_url=host_url(host.pk) if host else "",
            jobs=held[:_JOBS_SHOWN],
            jobs_left_out=max(0, len(held) - _JOBS_SHOWN),
        )


def _state(record: Record) -> tuple[str, str]:
    if record["is_stale"]:
        return "unreachable", _("stale")
    return ("ok" if record["state"] == "running" else record["state"]), record["state"]


def _jobs() -> dict[UUID, list[dict[str, Any]]]:
    """The jobs that hold a slot, newest first, by the host that runs them. One query."""
    holding = Attempt.objects.open().holding_slots().order_by("-claimed_at")
    found: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    columns = ("host_id", "job_id", "job__name", "job__template__name")
    job_url = links.to("admin:job")
    for host_id, job_id, name, template in holding.values_list(*columns)[:_ATTEMPTS_READ]:
        found[host_id].append({"url": job_url(job_id), "name": name or template})
    return found


def _requests() -> list[dict[str, Any]]:
    """What was asked last, and what came of it. One query: keys grow with time."""
    recent = HostRequest.objects.filter(verb__in=_VERBS).select_related("host").order_by("-pk")
    recent = recent.only(
        "verb", "by", "at", "ok", "result", "done_at", "taken_at", "expires_at", "host__name"
    )
    return [
        {"request": one, "answer": answer_to(one), "word": _word(one)} for one in recent[:_REQUESTS_SHOWN]
    ]


def _word(request: HostRequest) -> str:
    if request.done_at:
        return "ok" if request.ok else "failed"
    return "failed" if request.expires_at < timezone.now() else "waiting"
