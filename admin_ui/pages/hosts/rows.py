"""What the list of hosts shows, read with as many queries for a hundred hosts as for one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Avg, BigIntegerField, Func, Q, QuerySet
from django.db.models.functions import Now
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext as _

from admin_ui.load import with_running_count
from admin_ui.pages.hosts import acts
from hosts.executors import registry
from hosts.models import Availability, DockerHost, HostRequest, HostSample, HostState, RequestVerb
from supervisor.models import Role, SupervisorProcess

SPARK_MINUTES, STEP_SECONDS = 30, 120
MOST_ROWS = 200
_TEST_SHOWN_FOR = timedelta(minutes=15)
_BAD = (HostState.UNREACHABLE, HostState.PARKED)
_ICONS = {
    "docker": "boxes",
    "swarm": "diagram-3",
    "process": "terminal",
    "cloudrun": "cloud",
    "fargate": "cloud",
}
OFF = "off"
_JULIAN_STEPS_BEFORE_1970 = 1_757_223_000  # SQLite counts days from another day


def icon_of(kind: str) -> str:
    """The drawing of a kind of host."""
    return _ICONS.get(kind, "plug")


class _Step(Func):
    """In which step of two minutes a moment is."""

    output_field = BigIntegerField()

    def as_postgresql(self, compiler: Any, connection: Any, **more: Any) -> Any:
        template = f"floor(extract(epoch FROM %(expressions)s) / {STEP_SECONDS})::bigint"
        return self.as_sql(compiler, connection, template=template, **more)

    def as_sqlite(self, compiler: Any, connection: Any, **more: Any) -> Any:
        steps = 86400 // STEP_SECONDS
        template = f"CAST(julianday(%(expressions)s) * {steps} AS INTEGER) - {_JULIAN_STEPS_BEFORE_1970}"
        return self.as_sql(compiler, connection, template=template, **more)


@dataclass(frozen=True, slots=True)
class Filters:
    """What the address asks for. Words that mean nothing are left out."""

    text: str = ""
    state: str = ""
    wanted: str = ""
    kind: str = ""

    @classmethod
    def of(cls, query: QueryDict) -> Filters:
        """From the part of the address behind the question mark."""
        state, wanted = query.get("state", ""), query.get("wanted", "")
        return cls(
            text=query.get("q", "").strip()[:100],
            state=state if state in HostState.values else "",
            wanted=wanted if wanted in (*Availability.values, OFF) else "",
            kind=query.get("kind", "")[: registry.LONGEST_KIND],
        )

    @property
    def are_set(self) -> bool:
        """Whether they leave any host out."""
        return bool(self.text or self.state or self.wanted or self.kind)

    def apply(self, hosts: QuerySet[DockerHost]) -> QuerySet[DockerHost]:
        """The hosts that are asked for."""
        if self.text:
            hosts = hosts.filter(
                Q(name__icontains=self.text)
                | Q(connection_string__icontains=self.text)
                | Q(state_reason__icontains=self.text)
            )
        if self.state:
            hosts = hosts.filter(state=self.state)
        if self.kind:
            hosts = hosts.filter(executor_type=self.kind)
        if self.wanted == OFF:
            return hosts.filter(is_active=False)
        return hosts.filter(is_active=True, availability=self.wanted) if self.wanted else hosts


@dataclass(slots=True)
class HostRow:
    """One host, and what else is known of it."""

    host: DockerHost
    worker: SupervisorProcess | None = None
    test: HostRequest | None = None
    cpu: Sequence[float | None] = field(default_factory=list)
    memory: Sequence[float | None] = field(default_factory=list)

    @property
    def acts(self) -> list[tuple[str, acts.Act]]:
        """What may be done to it as it is now."""
        return acts.fitting(self.host)

    @property
    def held(self) -> int:
        """How many of its slots are taken."""
        return int(self.host.running_count)  # type: ignore[attr-defined]  # annotated

    @property
    def icon(self) -> str:
        """The drawing of its kind."""
        return icon_of(self.host.executor_type)

    @property
    def is_bad(self) -> bool:
        """Whether somebody has to do something about it."""
        return self.host.is_active and (self.host.state in _BAD or self.is_unwatched)

    @property
    def is_unwatched(self) -> bool:
        """Whether it should have a worker and has none, so that what is told of it is old."""
        return self.host.is_active and self.host.archived_at is None and self.worker is None

    @property
    def unwatched(self) -> str:
        """A sentence for that; empty if it is watched."""
        if not self.is_unwatched:
            return ""
        return _("No worker watches it: what is said here is from when it was last seen.")

    @property
    def wanted(self) -> str:
        """What operators want of it, in one word."""
        return str(self.host.availability) if self.host.is_active else OFF

    @property
    def wanted_label(self) -> str:
        """The same for people."""
        if not self.host.is_active:
            return _("switched off")
        return {Availability.CORDONED: _("cordoned"), Availability.DRAINING: _("draining")}.get(
            Availability(self.host.availability), _("active")
        )

    @property
    def cpu_words(self) -> str:
        """Its CPU line in words."""
        return _in_words(_("CPU"), self.cpu, "{:.0f} %")

    @property
    def memory_words(self) -> str:
        """Its memory line in words."""
        return _in_words(
            _("Memory"), [None if one is None else one / 1024**3 for one in self.memory], "{:.1f} GiB"
        )


def hosts_of(filters: Filters) -> QuerySet[DockerHost]:
    """The hosts that are asked for, by name; without their secrets, which no list needs."""
    hosts = DockerHost.objects.filter(archived_at=None).defer("secret_config")
    return with_running_count(filters.apply(hosts)).order_by("name")


def read(hosts: Iterable[DockerHost]) -> list[HostRow]:
    """The rows of these hosts: three queries, however many they are."""
    found = list(hosts)
    keys = [host.pk for host in found]
    workers, tests, lines = _workers(keys), _tests(keys), _lines(keys)
    rows = []
    for host in found:
        cpu, memory = lines.get(host.pk, ([], []))
        rows.append(HostRow(host, workers.get(host.pk), tests.get(host.pk), cpu, memory))
    return rows


def _workers(keys: Sequence[UUID]) -> Mapping[UUID | None, SupervisorProcess]:
    """Those that live, and those that a living supervisor says to be down. The newest wins."""
    alive = SupervisorProcess.objects.alive().filter(role__in=[Role.WORKER, Role.STANDALONE])
    return {one.host_id: one for one in alive.filter(host_id__in=keys).order_by("started_at")}


def _tests(keys: Sequence[UUID]) -> Mapping[UUID, HostRequest]:
    recent = HostRequest.objects.filter(host_id__in=keys, at__gt=Now() - _TEST_SHOWN_FOR)
    return {one.host_id: one for one in recent.filter(verb=RequestVerb.EXAMINE).defer("steps").order_by("at")}


def _lines(keys: Sequence[UUID]) -> dict[UUID, tuple[list[float | None], list[float | None]]]:
    """CPU and memory of the last half hour, a value for every two minutes; None where nothing was told."""
    samples = HostSample.objects.filter(
        host_id__in=keys, at__gt=Now() - timedelta(minutes=SPARK_MINUTES), cpu_percent__isnull=False
    )
    read_of: dict[UUID, dict[int, tuple[float | None, float | None]]] = defaultdict(dict)
    grouped = samples.order_by().annotate(step=_Step("at")).values("host_id", "step")
    for one in grouped.annotate(cpu=Avg("cpu_percent"), memory=Avg("memory_used_bytes")):
        read_of[one["host_id"]][one["step"]] = one["cpu"], one["memory"]
    last = int(timezone.now().timestamp()) // STEP_SECONDS
    steps = range(last - SPARK_MINUTES * 60 // STEP_SECONDS, last)
    nothing = (None, None)
    return {
        host: (
            [told.get(step, nothing)[0] for step in steps],
            [told.get(step, nothing)[1] for step in steps],
        )
        for host, told in read_of.items()
    }


def _in_words(name: str, values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return _("%(name)s: not told") % {"name": name}
    says = {"name": name, "last": form.format(known[-1]), "most": form.format(max(known))}
    return _("%(name)s of the last 30 minutes: now %(last)s, at most %(most)s") % says
