"""Chaos: jobs on two engines under two supervisors, while a monkey kills and freezes whatever it finds.

Every choice comes from one seed; when it takes effect depends on the machine, so a seed narrows a failure
down and does not replay it to the microsecond. `run` returns what is wrong, in words; nothing is good.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import psutil

from hosts.models import DockerHost, HostLease
from jobs import operations
from jobs.models import Attempt, ContainerJob
from jobs.states import ENDED_STATUSES, AttemptState
from tests.faults.accounts import audit
from tests.faults.counting import COUNTED, RunCounter
from tests.faults.mix import Expected, Mix
from tests.support.engines import Engine
from tests.support.supervising import ROOT, StartCounter
from tests.support.taps import EngineTap
from tests.support.waiting import wait_until

LEASE_SECONDS = 30.0
_SETTLE_SECONDS = 120.0  # a lease that runs out, then whatever the last act left behind
_CLEAN_SECONDS = 75.0  # two reconciliations


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much of what. The monkey acts for `seconds`, and over that time the jobs come in."""

    seed: int
    jobs: int
    seconds: float
    long_freezes: int = 1  # of a whole supervisor, over its leases' end
    engines_restart: bool = False  # their containers run on: start them with --live-restore
    pause: tuple[float, float] = (0.3, 1.6)
    freeze: tuple[float, float] = (0.1, 5.0)


class Supervisor:
    """A `supervise` in a session of its own, so that what a dead master leaves behind is still found."""

    def __init__(self, number: int, database_url: str, log: Path) -> None:
        self._environment = {**os.environ, "DATABASE_URL": database_url, "LOG_LEVEL": "INFO"}
        self.number, self._log = number, log
        self._sessions: list[int] = []
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "supervise", "--poll-interval", "1"],
                env=self._environment,
                stdout=log,
                stderr=log,
                cwd=ROOT,
                start_new_session=True,
            )
        self._sessions.append(self.process.pid)

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def processes(self) -> list[psutil.Process]:
        """All of it, also what earlier masters left behind."""
        return [process for process in psutil.process_iter() if _session(process.pid) in self._sessions]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(15)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


class Monkey:
    """Kills and freezes. What it froze thaws when its time has come, or at `thaw_all`."""

    def __init__(
        self, plan: Plan, supervisors: Sequence[Supervisor], engines: Sequence[Engine], diary: TextIO
    ) -> None:
        self._plan, self._supervisors, self._engines, self._diary = plan, supervisors, engines, diary
        self._rng = random.Random(f"monkey {plan.seed}")
        self._thaws: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._began = time.monotonic()
        self._next = self._began + 2.0
        spread = max(1.0, plan.seconds - LEASE_SECONDS - 6.0)
        places = range(plan.long_freezes)
        self._long = [self._began + 3.0 + spread * place / plan.long_freezes for place in places]
        self._restarts: dict[int, float] = {}
        self._sleepers: set[int] = set()  # pids that shall live to see that their leases ran out
        self.acts: dict[str, int] = {}
        self._weights: dict[Callable[[], None], int] = {
            self._kill_worker: 5,
            self._freeze_worker: 5,
            self._kill_clerk: 1,
            self._freeze_clerk: 1,
            self._kill_master: 2,
            self._freeze_master: 2,
            self._kill_everything: 1,
            self._pause_engine: 2,
            self._restart_engine: 2 if plan.engines_restart else 0,
        }

    def turn(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        self._thaw_until(now)
        for supervisor in self._supervisors:
            self._bring_back(supervisor, now)
        if self._long and now >= self._long[0] + (0.0 if _launches() else 5.0):
            self._long.pop(0)
            self._freeze_supervisor()
        if now >= self._next:
            self._next = now + self._rng.uniform(*self._plan.pause)
            (act,) = self._rng.choices(list(self._weights), weights=list(self._weights.values()))
            act()

    def thaw_all(self) -> None:
        """Everything runs, and both supervisors are there."""
        self._thaw_until(float("inf"))
        for supervisor in self._supervisors:
            self._bring_back(supervisor, float("inf"))

    def _bring_back(self, supervisor: Supervisor, now: float) -> None:
        if supervisor.alive:
            return
        due = self._restarts.setdefault(supervisor.number, now + self._rng.uniform(0.0, 3.0))
        if now >= due:
            del self._restarts[supervisor.number]
            supervisor.start()
            self._note("start", f"supervisor {supervisor.number}")

    def _thaw_until(self, now: float) -> None:
        while self._thaws and self._thaws[0][0] <= now:
            heapq.heappop(self._thaws)[2]()

    def _note(self, act: str, what: str) -> None:
        self.acts[act] = self.acts.get(act, 0) + 1
        self._diary.write(f"{time.time():.3f} {time.monotonic() - self._began:7.3f} {act} {what}\n")
        self._diary.flush()

    def _some(self, *words: str) -> psutil.Process | None:
        found = [
            process
            for supervisor in self._supervisors
            for process in supervisor.processes()
            if _title(process).startswith(words) and process.pid not in self._sleepers
        ]
        return self._rng.choice(sorted(found, key=lambda process: process.pid)) if found else None

    def _kill(self, process: psutil.Process | None) -> None:
        if process:
            title = _title(process)
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
                self._note("kill", f"{process.pid} {title}")

    def _freeze(self, process: psutil.Process | None, seconds: float | None = None) -> None:
        seconds = self._rng.uniform(*self._plan.freeze) if seconds is None else seconds
        if not process:
            return
        title = _title(process)
        with contextlib.suppress(psutil.NoSuchProcess):
            process.suspend()
            self._note("freeze", f"{process.pid} {title} for {seconds:.2f} s")
            self._later(seconds, lambda: self._thaw(process))

    def _thaw(self, process: psutil.Process) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            self._sleepers.discard(process.pid)
            process.resume()
            self._note("thaw", str(process.pid))

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._thaws, (time.monotonic() + seconds, next(self._order), act))

    def _kill_worker(self) -> None:
        self._kill(self._some("tallyman: worker"))

    def _freeze_worker(self) -> None:
        self._freeze(self._some("tallyman: worker"))

    def _kill_clerk(self) -> None:
        self._kill(self._some("tallyman: clerk"))

    def _freeze_clerk(self) -> None:
        self._freeze(self._some("tallyman: clerk"))

    def _kill_master(self) -> None:
        self._kill(self._some("tallyman: master"))

    def _freeze_master(self) -> None:
        self._freeze(self._some("tallyman: master"))

    def _kill_everything(self) -> None:
        found = self._rng.choice(self._supervisors).processes()
        if not self._sleepers & {process.pid for process in found}:
            for process in found:
                self._kill(process)

    def _pause_engine(self) -> None:
        engine, seconds = self._rng.choice(self._engines), self._rng.uniform(*self._plan.freeze)
        engine.pause()
        self._note("pause", f"engine {engine.pid} for {seconds:.2f} s")
        self._later(seconds, lambda: engine.resume() if engine.running else None)

    def _restart_engine(self) -> None:
        engine = self._rng.choice(self._engines)
        engine.resume()
        engine.stop()
        self._note("restart", f"engine {engine.pid}")
        time.sleep(self._rng.uniform(0.0, 3.0))
        engine.start()

    def _freeze_supervisor(self) -> None:
        """Freeze all of a supervisor that holds a host until after the lease has run out."""
        holders = set(HostLease.objects.filter(released_at=None).values_list("pid", flat=True))
        holding = [
            supervisor
            for supervisor in self._supervisors
            if any(process.pid in holders for process in supervisor.processes())
        ]
        seconds = self._rng.uniform(LEASE_SECONDS + 1.0, LEASE_SECONDS + 5.0)
        for process in self._rng.choice(holding or self._supervisors).processes():
            self._sleepers.add(process.pid)
            # The workers first: a master that wakes before them ends them as stuck.
            extra = 0.0 if _title(process).startswith("tallyman: worker") else 2.0
            self._freeze(process, seconds + extra)
        self._note("long freeze", f"{seconds:.2f} s")


def _launches() -> bool:
    """Whether a container is between its making and its start: the worst moment to fall asleep."""
    return Attempt.objects.filter(state=AttemptState.CREATED).exists()


def _title(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline()).strip()
    return ""


class Chaos:
    """One run, from the first job to the audit."""

    def __init__(self, plan: Plan, engines: Sequence[Engine], database_url: str, folder: Path) -> None:
        self.plan, self.engines, self.folder = plan, engines, folder
        self._database_url = database_url
        self._rng = random.Random(f"jobs {plan.seed}")
        self._naps = random.Random(f"naps {plan.seed}")
        self._jobs: dict[ContainerJob, Expected] = {}
        self._cancels: list[tuple[float, int, ContainerJob]] = []
        self.acts: dict[str, int] = {}

    def run(self) -> list[str]:
        """Everything that is wrong in the end."""
        starts = StartCounter(*self.engines)
        with (
            RunCounter() as runs,
            (self.folder / "diary").open("w") as diary,
            contextlib.ExitStack() as taps,
        ):
            for name, engine in zip("ab", self.engines, strict=True):
                tap = taps.enter_context(EngineTap(engine.url.removeprefix("unix://")))
                tap.nap = self._nap
                DockerHost.objects.create(
                    name=name, connection_string=tap.url, max_concurrent_jobs=6, policy=COUNTED
                )
            try:
                wrong = self._play(Mix(self._rng, runs.port), diary)
            finally:
                starts.close()
        # A subscription does not outlive its engine; the containers' own count does.
        counted = runs.runs if self.plan.engines_restart else starts.starts
        return wrong + audit(self._jobs, counted, runs.runs, engines_lose=self.plan.engines_restart)

    def _nap(self) -> float:
        """How long a call to an engine, or its answer, is under way: there is time to die between steps."""
        return self._naps.choice((0.0, 0.0, self._naps.uniform(0.0, 0.2), self._naps.uniform(0.2, 1.0)))

    def _play(self, mix: Mix, diary: TextIO) -> list[str]:
        supervisors = [
            Supervisor(number, self._database_url, self.folder / f"supervisor-{number}.log")
            for number in (1, 2)
        ]
        monkey = Monkey(self.plan, supervisors, self.engines, diary)
        try:
            self._run_about(mix, monkey)
            wrong = self._settle(monkey)
            return wrong + self._stop(supervisors)
        finally:
            self.acts = monkey.acts
            monkey.thaw_all() if all(one.alive for one in supervisors) else monkey._thaw_until(float("inf"))
            _end(supervisors)

    def _run_about(self, mix: Mix, monkey: Monkey) -> None:
        began = time.monotonic()
        while (passed := time.monotonic() - began) < self.plan.seconds:
            # A quarter at once, so that slots are short; the others over the time that is left.
            due = self.plan.jobs * (1 + 3.2 * passed / self.plan.seconds) / 4
            while len(self._jobs) < min(self.plan.jobs, due):
                self._submit(mix)
            self._cancel(time.monotonic())
            monkey.turn()
            time.sleep(0.02)
        while len(self._jobs) < self.plan.jobs:
            self._submit(mix)

    def _submit(self, mix: Mix) -> None:
        job, expected = mix.submit(len(self._jobs))
        self._jobs[job] = expected
        if expected.cancel_after_seconds is not None:
            due = time.monotonic() + expected.cancel_after_seconds
            heapq.heappush(self._cancels, (due, len(self._jobs), job))

    def _cancel(self, until: float) -> None:
        while self._cancels and self._cancels[0][0] <= until:
            _, _, job = heapq.heappop(self._cancels)
            operations.cancel(job.id, who="test", force=self._rng.random() < 0.3)

    def _settle(self, monkey: Monkey) -> list[str]:
        monkey.thaw_all()
        self._cancel(float("inf"))
        unended = ContainerJob.objects.exclude(status__in=ENDED_STATUSES)
        wrong = _until(lambda: not unended.exists(), _SETTLE_SECONDS, "every job to end")
        return wrong + _until(self._empty, _CLEAN_SECONDS, "no container to be left")

    def _empty(self) -> bool:
        return not any(engine.api.containers(all=True) for engine in self.engines)

    def _stop(self, supervisors: Sequence[Supervisor]) -> list[str]:
        wrong = []
        for supervisor in supervisors:
            began = time.monotonic()
            code = supervisor.stop()
            if code or time.monotonic() - began > 5:
                took = time.monotonic() - began
                wrong.append(f"supervisor {supervisor.number} ended with {code} after {took:.1f} s")
        for supervisor in supervisors:
            left = [f"{process.pid} {_title(process)}" for process in supervisor.processes()]
            wrong += [f"a process was left: {words}" for words in left]
        if HostLease.objects.filter(released_at=None).exists():
            wrong.append("a host is still leased")
        return wrong


def _until(condition: Callable[[], object], seconds: float, what: str) -> list[str]:
    try:
        wait_until(condition, seconds, what)
    except AssertionError as exc:
        return [str(exc)]
    return []


def _end(supervisors: Sequence[Supervisor]) -> None:
    left = [process for supervisor in supervisors for process in supervisor.processes()]
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    for supervisor in supervisors:
        supervisor.process.wait(10)
    psutil.wait_procs(left, timeout=10)
