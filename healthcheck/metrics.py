"""/metrics, in OpenMetrics: read from the database at scrape time, so every web process tells the same."""

from __future__ import annotations

from collections import Counter as Sums
from collections.abc import Iterable, Iterator
from dataclasses import fields
from datetime import datetime
from itertools import accumulate
from operator import attrgetter

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.views.decorators.http import require_safe
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from healthcheck.probing import AWAY, SingleFlight
from healthcheck.views import has_token, is_staff
from hosts.leases import TTL_SECONDS
from hosts.models import ANSWERING, DockerHost, HostCount
from jobs import backlog, obstacles, totals
from jobs.states import JobStatus
from supervisor.models import Role, SupervisorProcess

_BUCKETS = {
    "within_1s": "1.0",
    "within_10s": "10.0",
    "within_1m": "60.0",
    "within_10m": "600.0",
    "within_1h": "3600.0",
}
_ENDLESS = "+Inf"
_WHO_MAY = "Send the token of TALLYMAN_PROBE_TOKEN as `Authorization: Bearer`, or log in.\n"
_TOLD = ("role", "machine", "pid", "heartbeat_at", "rss_bytes", "cpu_seconds", "restarts", "is_crash_looping")


class DatabaseCollector:
    """Reads all families anew for each scrape, in about ten queries."""

    def __init__(self) -> None:
        self._totals = totals.Counter()

    def collect(self) -> Iterator[Metric]:
        now = timezone.now()
        hosts = list(obstacles.hosts().select_related("lease"))
        yield from _queue(hosts, now)
        yield from _ended(self._totals.read())
        yield from _hosts([host for host in hosts if host.archived_at is None], now)
        yield from _reconciled()
        yield from _processes(_process_rows(), now)


def _queue(hosts: list[DockerHost], now: datetime) -> Iterator[Metric]:
    depths = backlog.depths(hosts)
    jobs = GaugeMetricFamily(
        "tallyman_jobs", "Jobs that have not ended, by status and host.", labels=["status", "host"]
    )
    jobs.add_metric([JobStatus.PENDING.value, ""], sum(depths.values()))
    for (status, host), count in backlog.open_jobs().items():
        jobs.add_metric([status, host], count)
    yield jobs
    depth = GaugeMetricFamily(
        "tallyman_queue_depth", "Pending jobs, by what they wait for.", labels=["reason"]
    )
    for reason, count in sorted(depths.items()):
        depth.add_metric([reason], count)
    yield depth
    yield GaugeMetricFamily(
        "tallyman_queue_oldest_seconds",
        "How long the oldest job waits that waits for nothing but a host.",
        value=_age(backlog.oldest_due_at(hosts), now),
    )
    yield GaugeMetricFamily(
        "tallyman_claim_lag_seconds",
        "How long the oldest job waits that a host has room for.",
        value=_age(backlog.oldest_claimable_at(hosts), now),
    )


def _ended(found: totals.Totals) -> Iterator[Metric]:
    attempts = CounterMetricFamily(
        "tallyman_attempts", "Attempts that ended.", labels=["host", "template", "outcome"]
    )
    by_template: dict[tuple[str, str], totals.Total] = {}
    log_bytes: Sums[str] = Sums()
    for (host, template, outcome), total in sorted(found.items()):
        attempts.add_metric([host, template, outcome], total.count)
        by_template[template, outcome] = by_template.get((template, outcome), totals.Total()) + total
        log_bytes[host] += total.log_bytes
    yield attempts
    durations = HistogramMetricFamily(
        "tallyman_attempt_duration_seconds", "Run time of ended attempts.", labels=["template", "outcome"]
    )
    for labels, total in by_template.items():
        durations.add_metric(labels, _buckets(total), total.seconds)
    yield durations
    said = CounterMetricFamily("tallyman_log_bytes", "Bytes that ended attempts wrote.", labels=["host"])
    for host, count in log_bytes.items():
        said.add_metric([host], count)
    yield said


def _buckets(total: totals.Total) -> list[tuple[str, float]]:
    """A histogram's buckets count what is below their limit; a tally counts each apart."""
    counts = [getattr(total, field.name) for field in fields(total) if field.name in _BUCKETS]
    return [*zip(_BUCKETS.values(), map(float, accumulate(counts)), strict=True), (_ENDLESS, total.count)]


def _hosts(hosts: list[DockerHost], now: datetime) -> Iterator[Metric]:
    up = GaugeMetricFamily(
        "tallyman_host_up", "Whether a worker holds it, and its engine answers.", labels=["host"]
    )
    slots = GaugeMetricFamily("tallyman_host_slots", "Jobs it may run at once.", labels=["host"])
    held = GaugeMetricFamily("tallyman_host_slots_held", "Jobs that hold a slot.", labels=["host"])
    orphans = GaugeMetricFamily(
        "tallyman_host_orphans", "Containers of this installation of which no row tells.", labels=["host"]
    )
    lease = GaugeMetricFamily(
        "tallyman_host_lease_age_seconds", "Since its worker renewed its lease.", labels=["host"]
    )
    for host in filter(attrgetter("is_active"), hosts):  # nobody wants the others up
        is_held: bool = host.is_held  # type: ignore[attr-defined]  # annotated
        up.add_metric([host.name], float(is_held and host.state in ANSWERING))
        slots.add_metric([host.name], host.max_concurrent_jobs)
        held.add_metric([host.name], host.held)  # type: ignore[attr-defined]  # annotated
        orphans.add_metric([host.name], len(host.orphans))
        if is_held:
            lease.add_metric([host.name], TTL_SECONDS + _age(host.lease.expires_at, now))
    yield from (up, slots, held, orphans, lease)


def _reconciled() -> Iterator[Metric]:
    actions = CounterMetricFamily(
        "tallyman_reconcile_actions", "What looks at engines came to.", labels=["host", "action"]
    )
    rows = HostCount.objects.order_by("host__name", "action")
    for host, action, times in rows.values_list("host__name", "action", "count"):
        actions.add_metric([host, action], times)
    yield actions


def _process_rows() -> Iterable[SupervisorProcess]:
    """Of rows that have the same labels, the one that beat last.

    A supervisor that was killed keeps its rows for an hour. The one after it, in the same container say, has
    the same pids, and a series may be told once only.
    """
    rows = SupervisorProcess.objects.select_related("host").only(*_TOLD, "host__name")
    return {
        (row.role, row.host_id, row.machine, row.pid): row for row in rows.order_by("heartbeat_at")
    }.values()


def _processes(rows: Iterable[SupervisorProcess], now: datetime) -> Iterator[Metric]:
    labels = ["role", "host", "machine", "pid"]
    beat = GaugeMetricFamily("tallyman_process_heartbeat_age_seconds", "Since its last sign.", labels=labels)
    memory = GaugeMetricFamily("tallyman_process_resident_memory_bytes", "Resident memory.", labels=labels)
    cpu = CounterMetricFamily("tallyman_process_cpu_seconds", "CPU time, user and system.", labels=labels)
    looping = GaugeMetricFamily(
        "tallyman_worker_crash_looping", "1: it crashes again and again.", labels=["host", "machine"]
    )
    restarts = CounterMetricFamily(
        "tallyman_worker_restarts", "Restarts since its supervisor began.", labels=["host", "machine"]
    )
    workers: dict[tuple[str, str], SupervisorProcess] = {}
    for row in rows:
        host = row.host.name if row.host else ""
        values = [row.role, host, row.machine, str(row.pid)]
        beat.add_metric(values, _age(row.heartbeat_at, now))
        if row.rss_bytes is not None:
            memory.add_metric(values, row.rss_bytes)
        if row.cpu_seconds is not None:
            cpu.add_metric(values, row.cpu_seconds)
        if row.role == Role.WORKER:
            workers[host, row.machine] = row  # the last to beat, whichever supervisor's it is
    for (host, machine), row in workers.items():
        restarts.add_metric([host, machine], row.restarts)
        looping.add_metric([host, machine], float(row.is_crash_looping))
    yield from (beat, memory, cpu, looping, restarts)


def _age(moment: datetime | None, now: datetime) -> float:
    return (now - moment).total_seconds() if moment else 0.0


_COLLECTOR = DatabaseCollector()
_FLIGHT = SingleFlight(lambda: list(_COLLECTOR.collect()))


class _Read(Collector):
    """Families that were read before."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


@require_safe
async def metrics(request: HttpRequest) -> HttpResponse:
    """OpenMetrics, or Prometheus' older text where only that is accepted; 503 while the database is away."""
    may_see = settings.TALLYMAN_METRICS_PUBLIC or has_token(request)
    if not (may_see or settings.SESSION_COOKIE_NAME in request.COOKIES):
        return _text(_WHO_MAY, 403)
    try:
        families = await _FLIGHT.result()
    except (DatabaseError, InterfaceError, TimeoutError):
        return _text(f"{AWAY}\n", 503)
    # Sessions are in the database: only once that has answered it is asked who this is, or asking would hang.
    if not (may_see or await is_staff(request)):
        return _text(_WHO_MAY, 403)
    accepted = request.headers.get("Accept", "")
    encode, content_type = choose_encoder(accepted if "text/plain" in accepted else CONTENT_TYPE_LATEST)
    return HttpResponse(encode(_Read(families)), content_type=content_type)


def _text(message: str, status: int) -> HttpResponse:
    return HttpResponse(message, status=status, content_type="text/plain; charset=utf-8")
