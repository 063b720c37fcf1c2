"""When an engine is asked whether it is there, and what is on it, and how long an answer is waited for.

Main thread only: the questions themselves go to threads of their own, and `answered` is told what came.
"""

from __future__ import annotations

import random
from uuid import UUID

from hosts.errors import DockerConnectionError
from hosts.executors.contract import CHECK_SECONDS
from supervisor.worker import steps
from supervisor.worker.engine import Engine
from supervisor.worker.steps import StepDone

# What is due so soon is done with what is due now: an idle worker wakes up half as often.
SLACK_SECONDS = 0.8
_CHECK_EVERY_SECONDS = 10.0
_LIST_EVERY_SECONDS = 30.0
# An executor keeps its own timeouts; one that does not is called away after that many of them.
_CALLS_OF_A_QUESTION = 2
# A host that stays away is asked ever more seldom, and not by all workers in step.
_CHECK_AWAY_SECONDS = (1.0, 2.0, 5.0, 5.0, 5.0, 10.0)
_JITTER = 0.2
_NEVER = float("inf")


class Questions:
    """See the module. One of each kind is under way at most."""

    def __init__(self, engine: Engine, host_id: UUID, host_name: str) -> None:
        self._engine, self._host_id, self._host_name = engine, host_id, host_name
        self._under_way: dict[str, float] = {}  # and until when the answer is waited for
        self._check_clock = 0.0
        self._list_clock = 0.0
        self._failures = 0

    @property
    def next_clock(self) -> float:
        """When there is something to ask, or somebody to give up waiting for."""
        return min([*self._under_way.values(), _NEVER if "CHECK" in self._under_way else self._check_clock])

    def ask(self, now: float, *, knows_it: bool) -> None:
        """Ask what is due; what is on an engine only of one that we know (`knows_it`)."""
        if "CHECK" in self._under_way or now < self._check_clock - (SLACK_SECONDS if knows_it else 0.0):
            return
        hands, timeout = self._engine.hands, self._engine.timeout_seconds
        if knows_it and now >= self._list_clock and "LIST" not in self._under_way:
            self._list_clock = now + _LIST_EVERY_SECONDS
            # A long list takes its time; whether its engine is still there is asked all the same.
            self._check_clock = now + CHECK_SECONDS
            self._under_way["LIST"] = now + _CALLS_OF_A_QUESTION * timeout
            self._engine.probe(self._host_id, "LIST", lambda: steps.list_containers(hands))
        else:
            self._under_way["CHECK"] = now + _CALLS_OF_A_QUESTION * min(timeout, CHECK_SECONDS)
            self._engine.probe(self._host_id, "CHECK", lambda: steps.check(hands))

    def silence(self, now: float) -> StepDone | None:
        """The error that it is, once, when an answer is overdue: whatever comes of it later still counts."""
        overdue = [step for step, until in self._under_way.items() if now >= until]
        for step in overdue:
            self._under_way[step] = _NEVER
        if not overdue:
            return None
        timeout = self._engine.timeout_seconds
        seconds = _CALLS_OF_A_QUESTION * (min(timeout, CHECK_SECONDS) if "CHECK" in overdue else timeout)
        words = f"{self._host_name}: its executor hangs: no answer for {seconds:g} s."
        return StepDone(self._host_id, overdue[0], error=DockerConnectionError(words))

    def answered(self, done: StepDone, now: float) -> None:
        """An answer has come, be it an error."""
        self._under_way.pop(done.step, None)
        if done.error is None:
            self._check_clock = now + _CHECK_EVERY_SECONDS
        else:
            self.be_patient(now)

    def be_patient(self, now: float) -> None:
        """It is of no use now: ask again after a while, and ever more seldom."""
        self._failures += 1
        seconds = _CHECK_AWAY_SECONDS[min(self._failures, len(_CHECK_AWAY_SECONDS)) - 1]
        self._check_clock = now + seconds * random.uniform(1 - _JITTER, 1 + _JITTER)

    def be_content(self) -> None:
        """It is there, and the one that we know."""
        self._failures = 0

    def check_now(self) -> None:
        """Somebody doubts that it is there, or wants to know."""
        self._check_clock = 0.0

    def list_within(self, clock: float) -> None:
        """Look at what is on it then, if not before."""
        self._list_clock = min(self._list_clock, clock)
        self._check_clock = min(self._check_clock, clock)
