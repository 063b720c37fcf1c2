"""The tasks of this installation, as they were last described: asked for a hundred at a time.

ECS answers a hundred tasks in one call as fast as one, and allows few calls. So whoever asks about one task
has those beside it that were not looked at for longest described as well, and others find them fresh.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hosts.errors import DockerConnectionError
from hosts.executors.contract import LABEL_PREFIX, HostView
from hosts.executors.fargate import identity, readings
from hosts.executors.fargate.clients import AwsAnswer, Clients
from hosts.executors.fargate.readings import Task
from hosts.identity import boot_clock

AT_ONCE = 100
_KEPT_SECONDS = 2 * 3600.0
_LONG_AGO_SECONDS = 120.0  # more than two machines' clocks differ


@dataclass(slots=True)
class _Known:
    """One task; `task` is None while ECS has not shown it, or when it shows it no more."""

    arn: str
    task: Task | None = None
    learned: float = field(default_factory=boot_clock)
    described: float = -float("inf")
    stopped: float | None = None  # when it was first seen to have stopped, or earlier
    is_removed: bool = False

    @property
    def is_open(self) -> bool:
        return self.stopped is None and not self.is_removed

    def take(self, task: Task | None, asked: float) -> None:
        self.task, self.described = task, asked
        if task and readings.is_stopped(task) and self.stopped is None:
            at = task.get("stoppedAt")
            age = (datetime.now(UTC) - at).total_seconds() if isinstance(at, datetime) else 0.0
            self.stopped = boot_clock() - (age if age > _LONG_AGO_SECONDS else 0.0)


class Tasks:
    """For all threads. Raises DockerConnectionError where ECS gives no answer."""

    def __init__(self, clients: Clients, host: HostView, cluster: str, fresh_seconds: float) -> None:
        """What was asked `fresh_seconds` ago is as good as new, where nobody says otherwise."""
        self._clients, self._host, self._cluster = clients, host, cluster
        self._fresh_seconds = fresh_seconds
        self._lock = threading.Lock()  # over what is known
        self._calls = threading.Lock()  # over the calls: who waits finds what the one before has asked for
        self._known: dict[str, _Known] = {}
        self._arns: dict[str, str] = {}  # by container id
        self._listed = -float("inf")

    def arn_of(self, container_id: str) -> str | None:
        """The ARN of an attempt's task, if it is known."""
        return self._arns.get(container_id)

    def learn(self, task: Task) -> None:
        """A task that was just started, as RunTask shows it."""
        self._take(task["taskArn"], task, boot_clock())

    def learn_arn(self, container_id: str, arn: str) -> None:
        """A task of which ECS has told the ARN only."""
        with self._lock:
            self._known.setdefault(arn, _Known(arn))
            self._arns[container_id] = arn

    def known_seconds(self, arn: str) -> float:
        """For how long it is known that there is such a task."""
        return boot_clock() - self._known[arn].learned

    def stopped_seconds(self, arn: str, *, max_age: float) -> float | None:
        """For how long it has been stopped at least; None: it has not. Asked anew if last seen before."""
        self.look(arn, max_age=max_age)
        stopped = self._known[arn].stopped
        return None if stopped is None else boot_clock() - stopped

    def look(self, arn: str, *, max_age: float | None = None) -> Task | None:
        """The task as it was `max_age` seconds ago at most; None: ECS does not show it."""
        since = boot_clock() - (self._fresh_seconds if max_age is None else max_age)
        if not self._is_fresh(arn, since):
            with self._calls:
                if not self._is_fresh(arn, since):
                    self._describe([arn, *self._stalest(arn, since)])
        return self._known[arn].task

    def poll(self, *, max_age: float) -> None:
        """Look at all that have not stopped."""
        with self._calls:
            since = boot_clock() - max_age
            due = [known.arn for known in self._all() if known.is_open and known.described < since]
            for arns in _batches(due):
                self._describe(arns)

    def refresh(self, *, anew: bool = False) -> None:
        """List all tasks of this installation, unless that was done a moment ago; `anew`: all the same."""
        since = boot_clock() if anew else boot_clock() - self._fresh_seconds
        with self._calls:
            if self._listed >= since:
                return
            began = boot_clock()
            listed = {*self._list("RUNNING"), *self._list("STOPPED")}
            new = [arn for arn in sorted(listed) if arn not in self._known or self._known[arn].is_open]
            for arns in _batches(new):
                self._describe(arns)
            self._forget_old(listed)
            self._listed = began

    def ours(self) -> list[Task]:
        """All that are known and shown, but for those that count as removed."""
        return [known.task for known in self._all() if known.task and not known.is_removed]

    def set_removed(self, arn: str) -> None:
        """Nobody wants to hear of it any more. ECS forgets it an hour after its end; before, it cannot."""
        self._known[arn].is_removed = True

    def is_removed(self, arn: str) -> bool:
        """Whether `set_removed` was called."""
        return self._known[arn].is_removed

    def _all(self) -> list[_Known]:
        with self._lock:
            return list(self._known.values())

    def _is_fresh(self, arn: str, since: float) -> bool:
        known = self._known[arn]
        return known.stopped is not None or known.described >= since

    def _stalest(self, arn: str, since: float) -> list[str]:
        others = [each for each in self._all() if each.is_open and each.arn != arn and each.described < since]
        others.sort(key=lambda known: known.described)
        return [known.arn for known in others[: AT_ONCE - 1]]

    def _describe(self, arns: list[str]) -> None:
        asked = boot_clock()
        reply = self._clients.call(
            "ecs", "describe_tasks", cluster=self._cluster, tasks=arns, include=["TAGS"]
        )
        shown = {task["taskArn"]: task for task in reply.get("tasks") or ()}
        other = [one for one in reply.get("failures") or () if one.get("reason") != "MISSING"]
        if other and not shown:
            reason = other[0].get("detail") or other[0].get("reason")
            raise DockerConnectionError(f"{self._host.name}: ECS cannot describe its tasks: {reason}.")
        unclear = {one.get("arn") for one in other}
        for arn in arns:
            if arn not in unclear:
                self._take(arn, shown.get(arn), asked)

    def _take(self, arn: str, task: Task | None, asked: float) -> None:
        with self._lock:
            if task is None:
                if arn in self._known:
                    self._known[arn].take(None, asked)
                return
            who = readings.identity_of(task)
            ours = readings.labels(task).get(LABEL_PREFIX + "installation") == str(self._host.installation)
            if who is None or not ours:
                return
            self._known.setdefault(arn, _Known(arn)).take(task, asked)
            self._arns[str(who)] = arn

    def _list(self, status: str) -> Iterator[str]:
        try:
            yield from self._pages(desiredStatus=status, startedBy=identity.started_by(self._host))
        except AwsAnswer as exc:
            # Its documentation wants startedBy alone; what is not ours is left out when it is described.
            if exc.code != "InvalidParameterException":
                raise
            yield from self._pages(desiredStatus=status)

    def _pages(self, **filters: str) -> Iterator[str]:
        token: dict[str, Any] = {}
        while True:
            reply = self._clients.call("ecs", "list_tasks", cluster=self._cluster, **filters, **token)
            yield from reply.get("taskArns") or ()
            if not reply.get("nextToken"):
                return
            token = {"nextToken": reply["nextToken"]}

    def _forget_old(self, listed: set[str]) -> None:
        before = boot_clock() - _KEPT_SECONDS
        with self._lock:
            self._known = {
                arn: known
                for arn, known in self._known.items()
                if arn in listed or known.learned > before or known.is_open
            }
            self._arns = {key: arn for key, arn in self._arns.items() if arn in self._known}


def _batches(arns: Iterable[str]) -> Iterator[list[str]]:
    rest = list(arns)
    for start in range(0, len(rest), AT_ONCE):
        yield rest[start : start + AT_ONCE]
