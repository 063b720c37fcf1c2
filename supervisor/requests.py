"""What is asked of a host's supervisor: taken by its clerk, carried out by its master, answered by the clerk.

A restart is asked of the supervisor and not of the worker, because the worker may be down or stuck. A test
step by step is, because a host that is switched off has no worker; the process that the master forks for it
(`supervisor.examiner`) answers by itself, and the clerk only if that one could not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from hosts import fitting
from hosts.kept import KeptQuery
from hosts.models import OF_SUPERVISORS, HostRequest, RequestVerb
from supervisor.child import Child
from supervisor.children import Children

_PATIENCE_SECONDS = 9.0  # who asked waits ten
_MOST_EXAMINATIONS = 6  # at once: each is a process, and may wait for an engine that hangs
# After which nobody waits any more for a test whose process and supervisor have both died.
_EXAMINED_WITHIN = timedelta(seconds=90)


def asked() -> KeptQuery:
    """Whether there is anything to take, for a look that costs next to nothing."""
    open_ones = HostRequest.objects.filter(taken_at=None, done_at=None, expires_at__gt=Now())
    return KeptQuery(open_ones.filter(verb__in=OF_SUPERVISORS).order_by().values_list("pk")[:1])


def take(hosts: Iterable[UUID]) -> list[dict[str, str]]:
    """Restarts that were asked of these hosts, each once, as the master is told of them."""
    asked = HostRequest.objects.filter(verb=RequestVerb.RESTART, taken_at=None, expires_at__gt=Now())
    taken = []
    for request in asked.filter(done_at=None, host_id__in=hosts).order_by("at"):
        if HostRequest.objects.filter(pk=request.pk, taken_at=None).update(taken_at=Now()):
            taken.append({"request": str(request.pk), "host": str(request.host_id)})
    return taken


def take_examinations(*, not_of: Collection[UUID], names: Collection[str] = ()) -> list[dict[str, str]]:
    """Tests that were asked for, each once, oldest first, as the master is told of them.

    Those of hosts `not_of` are left to other supervisors: whoever holds a host sees it as its worker does.
    With `names`, only of hosts of these names.
    """
    asked = HostRequest.objects.filter(verb=RequestVerb.EXAMINE, done_at=None, expires_at__gt=Now())
    under_way = asked.exclude(taken_at=None).count()
    waiting = asked.filter(taken_at=None).exclude(host_id__in=not_of).select_related("host")
    waiting = waiting.defer("host__secret_config")
    if names:
        waiting = waiting.filter(host__name__in=names)
    taken = []
    for request in waiting.order_by("at")[: max(0, _MOST_EXAMINATIONS - under_way)]:
        times = {"taken_at": Now(), "expires_at": Now() + _EXAMINED_WITHIN}
        if HostRequest.objects.filter(pk=request.pk, taken_at=None, done_at=None).update(**times):
            taken.append({"request": str(request.pk), "name": request.host.name})
    return taken


def answer(said: dict[str, Any]) -> None:
    """Write what the master says became of a request."""
    values = fitting.fitted(HostRequest, done_at=Now(), ok=said["ok"], result=said["result"])
    HostRequest.objects.filter(pk=said["request"], done_at=None).update(**values)


@dataclass(slots=True)
class _Restart:
    request: str
    host: str
    before: int | None  # the pid of the process that is to be replaced
    ends_before: int
    clock: float
    is_replaced: bool = False


@dataclass(slots=True)
class Restarts:
    """The restarts that a master has in hand; `settled` tells which of them are over, and how."""

    children: Children
    _open: list[_Restart] = field(default_factory=list)

    def begin(self, request: str, host: str, now: float) -> Child | None:
        """Take one up: forget the host's backoff. The worker that is to detach now, if there is one."""
        policy, child = self.children.policy(host), self.children.running.get(host)
        policy.reset()
        self._open.append(_Restart(request, host, child.pid if child else None, policy.restarts, now))
        return child

    def settled(self, now: float) -> list[dict[str, Any]]:
        """What became of those that are over, for `answer`."""
        answers = []
        for one in list(self._open):
            outcome = self._outcome(one, now)
            if outcome:
                ok, result = outcome
                answers.append({"request": one.request, "ok": ok, "result": result})
                self._open.remove(one)
        return answers

    def _outcome(self, one: _Restart, now: float) -> tuple[bool, str] | None:
        child, policy = self.children.running.get(one.host), self.children.policy(one.host)
        if child and child.pid != one.before and child.holds_host:
            former = f" in place of process {one.before}" if one.before else ""
            return True, f"Process {child.pid} holds the host{former}."
        # Its former process ended for the restart; whoever ended after that did so by itself.
        ends = policy.restarts - one.ends_before - (1 if one.before else 0)
        if ends > 0:
            return False, f"The worker does not stay up: {policy.last_words}"
        if ends == 0 and not child and not one.is_replaced:
            policy.reset()  # however it ended just now: a person wants another one
            one.is_replaced = True
        if now - one.clock > _PATIENCE_SECONDS:
            return False, "The next worker does not hold the host yet; see manage.py supervisor status"
        return None
