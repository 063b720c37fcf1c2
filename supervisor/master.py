"""The master: forks, reaps, obeys signals. One thread, no database, no engine, nothing that can hang.

Read `run` first. Each child has a progress pipe, on which it shows that it turns, and a control pipe, on
which it is told what to do; both tell the other side at once when one of the two dies.
"""

from __future__ import annotations

import gc
import os
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.db import connections
from setproctitle import setproctitle

from hosts import identity
from hosts.executors import registry
from hosts.identity import boot_clock
from supervisor import database
from supervisor.child import CLERK, Child, process_row
from supervisor.clerk import start_clerk
from supervisor.deaths import DeathBook, blamed, memory_kills, words
from supervisor.exit_codes import CONFIGURATION, NOT_FOUND, OK, TRY_LATER
from supervisor.fork import ChildPipes, fork
from supervisor.lines import LineSocket
from supervisor.models import Role
from supervisor.restarts import RestartPolicy
from supervisor.signals import SignalInbox
from supervisor.worker.breadcrumb import Breadcrumbs
from supervisor.worker.inbox import Wake
from supervisor.worker_process import DRAIN, LESS, MORE, POKE, WorkerOptions, WorkerProcess

logger = structlog.get_logger(__name__)

BOOT_SECONDS = 90.0
STALL_SECONDS = 30.0
_STACKS_SECONDS = 2.0
_REPORT_EVERY_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 1.0
_OVERSLEPT_SECONDS = 3.0
_SIGNALS = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGHUP,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTTIN,
    signal.SIGTTOU,
    signal.SIGCHLD,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A host that shall have a worker; `row_key` changes when its row does."""

    name: str
    row_key: str


@dataclass(slots=True)
class Master:
    """See the module."""

    options: WorkerOptions
    host_names: Sequence[str] = ()
    id: UUID = field(default_factory=uuid4)
    children: dict[str, Child] = field(default_factory=dict)
    policies: dict[str, RestartPolicy] = field(default_factory=dict)
    wanted: dict[str, Wanted] = field(default_factory=dict)
    exit_code: int = OK
    _stopping: bool = False
    _draining: bool = False
    _booted: bool = False
    _extra_slots: int = 0
    _report_clock: float = 0.0
    _wake: Wake = field(default_factory=Wake)
    _signals: SignalInbox = field(init=False)
    _line: LineSocket | None = None
    _deaths: DeathBook = field(default_factory=DeathBook)
    _turn_clock: float = 0.0

    def run(self) -> int:
        """Supervise until told to stop; the exit code of the command."""
        self._prepare()
        while not self._stopping:
            self._act_on_signals()
            self._reap()
            self._forgive_sleep()
            self._read_progress()
            self._hear_clerk()
            self._stop_the_stuck()
            self._start_missing()
            self._report()
            self._wait()
        return self._shut_down()

    def _prepare(self) -> None:
        setproctitle("tallyman: master")
        self._signals = SignalInbox(self._wake, _SIGNALS)
        registry.executor_class("docker")  # imported here once, shared by all workers
        database.known_migrations()
        connections.close_all()
        gc.collect()
        gc.disable()
        gc.freeze()
        logger.info("supervisor starts", supervisor=str(self.id))

    # ── children ──────────────────────────────────────────────────────────────────────────────────────

    def _start_missing(self) -> None:
        now = boot_clock()
        if CLERK not in self.children and self._policy(CLERK).may_start(key="", now=now):
            self._start_clerk()
        for key, wanted in self.wanted.items():
            missing = key not in self.children and not self._draining and not self._deaths.hold_back(key, now)
            if missing and self._policy(key).may_start(key=wanted.row_key, now=now):
                self._start_worker(key, wanted)

    def _start_clerk(self) -> None:
        if self._line:
            self._line.close()
        ours, theirs = socket.socketpair()
        self._line = LineSocket(ours)
        supervisor, names = self.id, self.host_names
        self._fork(CLERK, "clerk", "", lambda pipes: start_clerk(supervisor, names, theirs, pipes))
        theirs.close()
        self._deaths.tell(self._line)

    def _start_worker(self, key: str, wanted: Wanted) -> None:
        options, crumbs = self.options, Breadcrumbs()
        kills = memory_kills()
        child = self._fork(
            key,
            wanted.name,
            wanted.row_key,
            lambda pipes: WorkerProcess(UUID(key), options, pipes, crumbs).run(),
        )
        child.crumbs, child.memory_kills = crumbs, kills
        child.tell((MORE if self._extra_slots > 0 else LESS) * abs(self._extra_slots))

    def _fork(self, key: str, name: str, row_key: str, main: Callable[[ChildPipes], int]) -> Child:
        title = "tallyman: clerk" if key == CLERK else f"tallyman: worker[{name}] starting"
        stacks = os.memfd_create("stacks")
        pid, progress, control = fork(title, main, close=self._descriptors(), stacks=stacks)
        now = boot_clock()
        child = Child(
            key=key,
            name=name,
            pid=pid,
            pidfd=os.pidfd_open(pid),
            progress=progress,
            control=control,
            start_ticks=identity.start_ticks(pid) or 0,
            started_clock=now,
            seen_clock=now,
            row_key=row_key,
            stacks=stacks,
        )
        self.children[key] = child
        self._report_clock = 0.0
        logger.info("child started", child=name, child_pid=pid, restarts=self._policy(key).restarts)
        return child

    def _descriptors(self) -> list[int]:
        held = [*self._wake.descriptors()]
        if self._line:
            held.append(self._line.fileno())
        for child in self.children.values():
            held += child.descriptors()
        return held

    def _policy(self, key: str) -> RestartPolicy:
        return self.policies.setdefault(key, RestartPolicy())

    def _reap(self) -> None:
        for child in list(self.children.values()):
            code = child.exit_code()
            if code is not None:
                self._ended(child, code)
        if os.getpid() == 1:
            self._reap_strangers()

    def _ended(self, child: Child, code: int) -> None:
        del self.children[child.key]
        now = boot_clock()
        self._look_for_blame(child, code, now)
        child.close()
        ready = now - child.ready_clock if child.ready_clock is not None else 0.0
        policy = self._policy(child.key)
        policy.note_exit(code, key=child.row_key, ready_seconds=ready, now=now)
        self._report_clock = 0.0
        level = logger.info if code in {OK, TRY_LATER} else logger.warning
        level(
            "child ended",
            child=child.name,
            child_pid=child.pid,
            exit=policy.last_exit,
            failures=policy.failures,
        )
        if policy.is_crash_looping:
            logger.error("child crash-loops; it is started ever more seldom", child=child.name)
        # Later on the clerk may come and go with the database: workers run on without it.
        if child.key == CLERK and not self._booted and code in {CONFIGURATION, TRY_LATER, NOT_FOUND}:
            self._stopping, self.exit_code = True, code

    def _look_for_blame(self, child: Child, code: int, now: float) -> None:
        stacks = child.said_when_it_crashed()
        if stacks:
            logger.error("where its threads were", child=child.name, child_pid=child.pid, stacks=stacks)
        left = child.crumbs.left() if child.crumbs else []
        killed = child.memory_kills is not None and (memory_kills() or 0) > child.memory_kills
        stuck = child.stacks_clock is not None
        attempt = blamed(code, left, stacks=stacks, stuck=stuck, memory_kill=killed)
        if attempt:
            what = words(code, child.name, child.pid)
            logger.error("a job killed its worker", attempt=str(attempt.attempt_id), what=what)
            self._deaths.add(str(attempt.attempt_id), child.key, what, now)
            self._deaths.tell(self._line)

    def _reap_strangers(self) -> None:
        """As PID 1, orphans of anybody become our children; nobody else would reap them."""
        ours = {child.pid for child in self.children.values()}
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if found is None or found.si_pid in ours:
                return
            os.waitpid(found.si_pid, 0)

    # ── what children say ─────────────────────────────────────────────────────────────────────────────

    def _read_progress(self) -> None:
        now = boot_clock()
        for child in self.children.values():
            said = child.progress_said()
            if said:
                child.seen_clock = now
                if b"R" in said and child.ready_clock is None:
                    child.ready_clock = now
                    self._booted = self._booted or child.key == CLERK
                    self._report_clock = 0.0

    def _hear_clerk(self) -> None:
        if not self._line:
            return
        for message in self._line.receive():
            if "hosts" in message:
                self._want(message["hosts"])
            elif "poke" in message:
                for child in self._workers():
                    if message["poke"] in {"any", child.key}:
                        child.tell(POKE)
            elif "written" in message:
                self._deaths.written(message["written"])

    def _want(self, hosts: list[dict[str, Any]]) -> None:
        self.wanted = {host["id"]: Wanted(host["name"], host["key"]) for host in hosts}
        for key in self.policies.keys() - self.wanted.keys() - self.children.keys() - {CLERK}:
            del self.policies[key]
        for child in self._workers():
            if child.key not in self.wanted:
                child.send(signal.SIGTERM)
            elif child.row_key != self.wanted[child.key].row_key:
                child.row_key = self.wanted[child.key].row_key
                child.tell(POKE)

    def _workers(self) -> list[Child]:
        return [child for child in self.children.values() if child.key != CLERK]

    def _forgive_sleep(self) -> None:
        """A machine that was suspended, or a master that was frozen, saw no sign of life of its children."""
        now = boot_clock()
        late = now - self._turn_clock - _LONGEST_WAIT_SECONDS
        if self._turn_clock and late > _OVERSLEPT_SECONDS:
            logger.info("the master did not run for a while", seconds=round(late, 1))
            for child in self.children.values():
                child.overslept(late)
        self._turn_clock = now

    def _stop_the_stuck(self) -> None:
        now = boot_clock()
        for child in self.children.values():
            if child.stacks_clock is not None:
                if now >= child.stacks_clock + _STACKS_SECONDS:
                    child.send(signal.SIGKILL)
            elif now - child.seen_clock > STALL_SECONDS or self._boots_too_long(child, now):
                logger.error("child is stuck; its stacks follow", child=child.name, child_pid=child.pid)
                child.stacks_clock = now
                child.send(signal.SIGABRT)

    def _boots_too_long(self, child: Child, now: float) -> bool:
        return child.ready_clock is None and now - child.started_clock > BOOT_SECONDS

    def _report(self) -> None:
        now = boot_clock()
        if self._line and now >= self._report_clock:
            self._report_clock = now + _REPORT_EVERY_SECONDS
            self._line.send({"processes": self._process_rows()})

    def _process_rows(self) -> list[dict[str, Any]]:
        me = identity.current()
        state = "draining" if self._draining else "running"
        rows = [process_row(Role.MASTER.value, me.pid, me.start_ticks, state)]
        for child in self.children.values():
            role, host_id = (Role.CLERK, None) if child.key == CLERK else (Role.WORKER, child.key)
            rows.append(child.row(role.value, host_id, self._policy(child.key).restarts))
        return rows

    # ── signals ───────────────────────────────────────────────────────────────────────────────────────

    def _act_on_signals(self) -> None:
        for number in self._signals.take():
            match number:
                case signal.SIGTERM | signal.SIGINT:
                    self._stopping = True
                case signal.SIGQUIT:
                    self._stopping = True
                    self._send_all(signal.SIGQUIT)
                case signal.SIGHUP:
                    self._reset()
                case signal.SIGUSR1:
                    self._log_status()
                case signal.SIGUSR2:
                    self._drain()
                case signal.SIGTTIN | signal.SIGTTOU:
                    self._change_slots(1 if number is signal.SIGTTIN else -1)

    def _send_all(self, number: signal.Signals) -> None:
        for child in self.children.values():
            child.send(number)

    def _reset(self) -> None:
        for policy in self.policies.values():
            policy.reset()
        if self._line:
            self._line.send({"processes": self._process_rows(), "hosts_again": True})

    def _log_status(self) -> None:
        for row in self._process_rows():
            logger.info("process", **{key: value for key, value in row.items() if value is not None})

    def _drain(self) -> None:
        logger.info("draining: no new jobs")
        self._draining = True
        for child in self._workers():
            child.tell(DRAIN)

    def _change_slots(self, by: int) -> None:
        self._extra_slots += by
        for child in self._workers():
            child.tell(MORE if by > 0 else LESS)

    # ── waiting and ending ────────────────────────────────────────────────────────────────────────────

    def _wait(self) -> None:
        if self._draining and not self._workers():
            self._stopping = True
        if self._stopping:
            return
        starts = [self._policy(key).start_clock for key in (*self.wanted, CLERK) if key not in self.children]
        soonest = min(
            [clock - boot_clock() for clock in starts if clock > boot_clock()], default=_LONGEST_WAIT_SECONDS
        )
        watched = [child.pidfd for child in self.children.values()]
        watched += [self._line.fileno()] if self._line and not self._line.is_closed else []
        self._wake.wait(min(soonest, _LONGEST_WAIT_SECONDS), also=watched)

    def _shut_down(self) -> int:
        """TERM to the workers, then to the clerk, then KILL to what is left; containers run on."""
        logger.info("supervisor stops; containers run on")
        until = boot_clock() + self.options.shutdown_timeout_seconds
        for child in self._workers():
            child.send(signal.SIGTERM)
        # A clerk that a hung database holds needs its time, too.
        self._await(self._workers, until - self.options.shutdown_timeout_seconds / 2)
        self._send_all(signal.SIGTERM)
        self._await(lambda: list(self.children.values()), until)
        for child in list(self.children.values()):
            logger.warning("child did not end in time", child=child.name, child_pid=child.pid)
            child.send(signal.SIGKILL)
            os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED)
            child.close()
        return self.exit_code

    def _await(self, whom: Callable[[], list[Child]], until: float) -> None:
        while whom() and boot_clock() < until:
            self._wake.wait(until - boot_clock(), also=[child.pidfd for child in whom()])
            if {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT} & set(self._signals.take()):
                self._send_all(signal.SIGQUIT)
            self._reap()
