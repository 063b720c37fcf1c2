"""What is asked of a host's supervisor: taken by its clerk, carried out by its master, answered by the clerk.

A restart is asked of the supervisor and not of the worker, because the worker may be down or stuck.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.db.models.functions import Now

from hosts import fitting
from hosts.kept import KeptQuery
from hosts.models import HostRequest, RequestVerb
from supervisor.child import Child
from supervisor.children import Children

_PATIENCE_SECONDS = 9.0  # who asked waits ten


def asked() -> KeptQuery:
    """Whether there is anything to take, for a look that costs next to nothing."""
    open_ones = HostRequest.objects.filter(taken_at=None, done_at=None, expires_at__gt=Now())
    return KeptQuery(open_ones.filter(verb=RequestVerb.RESTART).order_by().values_list("pk")[:1])


def take(hosts: Iterable[UUID]) -> list[dict[str, str]]:
    """Restarts that were asked of these hosts, each once, as the master is told of them."""
    asked = HostRequest.objects.filter(verb=RequestVerb.RESTART, taken_at=None, expires_at__gt=Now())
    taken = []
    for request in asked.filter(done_at=None, host_id__in=hosts).order_by("at"):
        if HostRequest.objects.filter(pk=request.pk, taken_at=None).update(taken_at=Now()):
            taken.append({"request": str(request.pk), "host": str(request.host_id)})
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
