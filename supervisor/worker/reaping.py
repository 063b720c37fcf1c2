"""Containers of which no row tells: told of in the host's row, removed as settings or people say."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from hosts import fitting
from hosts.executors.contract import Observation
from hosts.leases import Lease
from hosts.models import Action, DockerHost, HostRequest
from hosts.models.count import count
from jobs import reconcile, restored
from jobs.models import ContainerJob
from supervisor.worker import audited, steps
from supervisor.worker.engine import Engine
from supervisor.worker.orphans import Orphans, Removal
from supervisor.worker.settings import WorkerSettings

_LOOK_AGAIN_SECONDS = 1.0
_WISH_LASTS_SECONDS = 90.0
# A removal that is under way is not asked for again so soon.
_STEP_LASTS_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Wish:
    """What a person wants removed, by container id."""

    containers: frozenset[str]
    until_clock: float


class Reaper:
    """Of one host, for the worker's main thread. `mine` gives the host's row while the lease is ours."""

    def __init__(
        self,
        host: DockerHost,
        lease: Lease,
        engine: Engine,
        settings: WorkerSettings,
        log: Any,
        mine: Callable[[], Any],
    ) -> None:
        self._host, self._lease, self._engine, self._log, self._mine = host, lease, engine, log, mine
        self._who = settings.who
        self._orphans = Orphans(host.orphans, settings.reap)
        self._wishes: dict[UUID, _Wish] = {}
        self._sent: dict[tuple[str, str], float] = {}

    @property
    def has_something(self) -> bool:
        """Whether a look matters though there may be nothing on the engine."""
        return bool(self._orphans.stored or self._wishes)

    @property
    def requests(self) -> Collection[UUID]:
        """The requests that are taken and not answered yet."""
        return self._wishes.keys()

    # ── what people ask for ───────────────────────────────────────────────────────────────────────────

    def take(self, ids: Collection[UUID], now: float) -> bool:
        """Note what is asked for; whether the engine is to be looked at for it."""
        mine = HostRequest.objects.filter(pk__in=ids, done_at=None)
        if not ids or not mine.update(taken_at=Now()):
            return False
        for pk, args in mine.values_list("pk", "args"):
            named = args.get("containers") if isinstance(args, dict) else None
            containers = frozenset(map(str, named if isinstance(named, list) else ()))
            self._wishes[pk] = _Wish(containers, now + _WISH_LASTS_SECONDS)
        return True

    def refuse(self, reason: str) -> None:
        """The engine cannot be looked at: say so to whoever asked for something."""
        for request in list(self._wishes):
            self._answer(request, ok=False, result=reason)

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────

    def look(self, present: Sequence[Observation], now: float) -> float | None:
        """Take in what was seen and remove what is due; in how many seconds to look again, if so soon."""
        before = self._orphans.stored
        if not present and not self.has_something:
            return None
        moment = DockerHost.objects.filter(pk=self._host.pk).values_list(Now(), flat=True).get()
        for seen in self._orphans.see(present, moment):
            self._log.warning("container without a row", container=seen.name, id=seen.container_id)
            count(self._host.pk, Action.ORPHAN)
        if self._orphans.stored != before:
            self._mine().update(orphans=self._orphans.stored)
        spared = self._spared(present)
        self._remove(spared, moment, now)
        self._answer_wishes(present, spared, now)
        return _LOOK_AGAIN_SECONDS if self._wishes else self._orphans.look_again_seconds()

    def _spared(self, present: Sequence[Observation]) -> set[str]:
        """The jobs that there are rows of: such a job may be about to start again, in its container."""
        jobs = {job for job, _ in reconcile.keys(present)}
        for job in restored.send_to_container(jobs, self._host, self._lease, who=self._who):
            self._log.warning("a waiting job has a container here already, and is sent to it", job=str(job))
            count(self._host.pk, Action.PINNED)
        return set(map(str, ContainerJob.objects.filter(pk__in=jobs).values_list("pk", flat=True)))

    def _remove(self, spared: Collection[str], moment: datetime, now: float) -> None:
        asked = frozenset[str]().union(*(wish.containers for wish in self._wishes.values()))
        self._sent = {key: at for key, at in self._sent.items() if now - at < _STEP_LASTS_SECONDS}
        for removal in self._orphans.due(spared, moment, asked=asked):
            self._send(removal, now)

    def _send(self, removal: Removal, now: float) -> None:
        seen = removal.seen
        if (seen.container_id, removal.how) in self._sent:
            return
        self._sent[seen.container_id, removal.how] = now
        words = {"container": seen.name, "id": seen.container_id, "who": self._who}
        self._log.warning("reaping a container without a row", how=removal.how, **words)
        audited.reaping(self._host, removal, who=self._who)
        self._engine.step(self._host.pk, "REAP", steps.reap, seen, removal.how)
        count(self._host.pk, Action.REAPED)

    # ── answers ───────────────────────────────────────────────────────────────────────────────────────

    def _answer_wishes(self, present: Sequence[Observation], spared: Collection[str], now: float) -> None:
        for request, wish in list(self._wishes.items()):
            left = [seen for seen in present if seen.container_id in wish.containers]
            kept = [seen.name for seen in left if seen.label("job") in spared]
            if len(left) > len(kept) and now < wish.until_clock:
                continue
            there = [seen.name for seen in left if seen.name not in kept]
            parts = [f"{len(wish.containers) - len(left)} removed."]
            parts += [f"Kept, for there is a job of it by now: {', '.join(kept)}."] if kept else []
            parts += [f"Still there: {', '.join(there)}."] if there else []
            self._answer(request, ok=not left, result=" ".join(parts))

    def _answer(self, request: UUID, *, ok: bool, result: str) -> None:
        answer = fitting.fitted(HostRequest, done_at=Now(), ok=ok, result=result)
        HostRequest.objects.filter(pk=request, done_at=None).update(**answer)
        del self._wishes[request]
