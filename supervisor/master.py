"""The master: forks, reaps, obeys signals. One thread, no database, no engine, nothing that can hang.

Read `run` first. Each child has a progress pipe, on which it shows that it turns, and a control pipe, on
which it is told what to do; both tell the other side at once when one of the two dies.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import structlog
from django.conf import settings
from setproctitle import setproctitle

from hosts import log_fields
from hosts.identity import boot_clock
from supervisor import pulse, shared
from supervisor.child import CLERK, EXAMINER, Child
from supervisor.children import Children
from supervisor.clerk import start_clerk
from supervisor.deaths import DeathBook, memory_kills, words
from supervisor.examiner import Examiner
from supervisor.exit_codes import CONFIGURATION, NOT_FOUND, OK, TRY_LATER
from supervisor.fork import ChildPipes
from supervisor.lines import LineSocket
from supervisor.models import DRAINING, RUNNING, STOPPING, Role
from supervisor.postmortem import Death
from supervisor.pulse import Pulse
from supervisor.reloading import Reload
from supervisor.reporting import process_rows
from supervisor.requests import Restarts
from supervisor.shutdown import Shutdown
from supervisor.signals import SignalInbox
from supervisor.worker.breadcrumb import Breadcrumbs
from supervisor.worker.inbox import Wake
from supervisor.worker_process import DRAIN, LESS, MORE, POKE, WorkerOptions, WorkerProcess

logger = structlog.get_logger(__name__)

_REPORT_EVERY_SECONDS = 5.0
_LONGEST_WAIT_SECONDS = 1.0
_OVERSLEPT_SECONDS = 3.0
_SHORTEST_LIFE_SECONDS = 10.0  # of a worker over its memory limit: one that can never keep it must not spin
_ENDS_THE_BOOT = {CONFIGURATION, TRY_LATER, NOT_FOUND}
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
    kind: str


@dataclass(slots=True)
class Master:
    """See the module."""

    options: WorkerOptions
    host_names: Sequence[str] = ()
    probe_port: int = 0
    id: UUID = field(default_factory=uuid4)
    children: Children = field(default_factory=Children)
    wanted: dict[str, Wanted] = field(default_factory=dict)
    exit_code: int = OK
    _stopping: bool = False
    _replacing: bool = False
    _reload: Reload = field(default_factory=Reload)
    _draining: bool = False
    _undrained: set[str] = field(default_factory=set)  # hosts whose jobs are still waited for
    _booted: bool = False
    _extra_slots: int = 0
    _report_clock: float = 0.0
    _wake: Wake = field(default_factory=Wake)
    _signals: SignalInbox = field(init=False)
    _line: LineSocket | None = None
    _deaths: DeathBook = field(default_factory=DeathBook)
    _restarts: Restarts = field(init=False)
    _pulse: Pulse = field(init=False)
    _executors: shared.Executors = field(default_factory=shared.Executors)
    _turn_clock: float = 0.0
    _title: str = ""

    def run(self) -> int:
        """Supervise until told to stop; the exit code of the command."""
        self._prepare()
        while True:
            self._supervise()
            if not self._shut_down():
                self._pulse.stop()
                return self.exit_code
            # Only if this fails it comes back, and the old code goes on.
            self._reload.program.replace(_SIGNALS)
            self._replacing = False

    def _supervise(self) -> None:
        while not (self._stopping or self._replacing):
            self._act_on_signals()
            self._hear_clerk()
            self._reap()
            self._forgive_sleep()
            self._read_progress()
            self.children.stop_the_stuck()
            self._start_missing()
            self._report()
            self._entitle()
            self._replacing = self._reload.is_due()
            self._wait()

    def _prepare(self) -> None:
        self._entitle()
        log_fields.begin(role=Role.MASTER.value)
        self._restarts = Restarts(self.children)
        pulse.forget_the_dead(settings.TALLYMAN_RUN_DIR)
        self._pulse = Pulse(settings.TALLYMAN_RUN_DIR)
        self._signals = SignalInbox(self._wake, _SIGNALS)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)  # held back if we were executed anew
        self._reload.program.remember()
        shared.freeze()
        logger.info("supervisor starts", supervisor=str(self.id))

    # ── children ──────────────────────────────────────────────────────────────────────────────────────

    def _start_missing(self) -> None:
        now = boot_clock()
        if CLERK not in self.children.running and self.children.policy(CLERK).may_start(key="", now=now):
            self._start_clerk()
        for key, wanted in self.wanted.items():
            if key in self.children.running or self._deaths.hold_back(key, now):
                continue
            if self._draining and key not in self._undrained:
                continue
            if self.children.policy(key).may_start(key=wanted.row_key, now=now):
                self._start_worker(key, wanted)

    def _start_clerk(self) -> None:
        if self._line:
            self._line.close()
        ours, theirs = socket.socketpair()
        self._line = LineSocket(ours)
        clerk = partial(start_clerk, self.id, self.host_names, theirs, probe_port=self.probe_port)
        self._fork(CLERK, "clerk", "", clerk)
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
        child.tell(DRAIN if self._draining else b"")
        child.tell((MORE if self._extra_slots > 0 else LESS) * abs(self._extra_slots))

    def _fork(self, key: str, name: str, row_key: str, main: Callable[[ChildPipes], int]) -> Child:
        held = [*self._wake.descriptors(), *([self._line.fileno()] if self._line else [])]
        held += self._reload.descriptors()
        self._report_clock = 0.0
        return self.children.fork(key, name, row_key, main, close=held)

    def _reap(self) -> None:
        for death in self.children.reap(spare=self._reload.pids()):
            self._report_clock = 0.0
            self._count_against(death)
            if death.child.request:
                self._answer_for(death)
            if death.code == OK:
                self._undrained.discard(death.child.key)
            # Later on the clerk may come and go with the database: workers run on without it.
            if death.child.key == CLERK and not self._booted and death.code in _ENDS_THE_BOOT:
                self._stopping, self.exit_code = True, death.code

    def _count_against(self, death: Death) -> None:
        if death.attempt:
            child, attempt = death.child, str(death.attempt.attempt_id)
            what = words(death.code, child.name, child.pid)
            logger.error("a job killed its worker", attempt_id=attempt, what=what)
            self._deaths.add(attempt, child.key, what, boot_clock())
            self._deaths.tell(self._line)

    def _forgive_sleep(self) -> None:
        """A machine that was suspended, or a master that was frozen, saw no sign of life of its children."""
        now = boot_clock()
        late = now - self._turn_clock - _LONGEST_WAIT_SECONDS
        if self._turn_clock and late > _OVERSLEPT_SECONDS:
            logger.info("the master did not run for a while", seconds=round(late, 1))
            self.children.forgive(late)
        self._turn_clock = now

    def _read_progress(self) -> None:
        for child in self.children.read_progress():
            self._booted = self._booted or child.key == CLERK
            self._report_clock = 0.0

    # ── the clerk ─────────────────────────────────────────────────────────────────────────────────────

    def _hear_clerk(self) -> None:
        actions: dict[str, Callable[[Any], None]] = {
            "hosts": self._want,
            "poke": self._poke,
            "restart": self._restart,
            "examine": self._examine,
            "too_big": self._recycle,
            "written": self._deaths.written,
        }
        for message in self._line.receive() if self._line else ():
            for word, said in message.items():
                actions[word](said)

    def _poke(self, whom: str) -> None:
        for child in self.children.workers():
            if whom in {"any", child.key}:
                child.tell(POKE)

    def _restart(self, asked: dict[str, str]) -> None:
        if self._draining and self._line:
            refusal = "Its supervisor is draining, and starts no worker any more."
            self._line.send({"answer": {"request": asked["request"], "ok": False, "result": refusal}})
            return
        worker = self._restarts.begin(**asked, now=boot_clock())
        if worker:
            worker.send(signal.SIGTERM)

    def _examine(self, asked: dict[str, str]) -> None:
        request, name = asked["request"], asked["name"]
        self._fork(
            f"{EXAMINER}{request}",
            f"test of {name}",
            "",
            lambda pipes: Examiner(UUID(request), pipes).run(),
        )

    def _answer_for(self, death: Death) -> None:
        """One that ended in order has answered by itself; then this says nothing any more."""
        if self._line:
            result = f"The test was cut off: its process ended ({death.cause or death.code})."
            answer = {"request": death.child.request, "ok": False, "result": result}
            self._line.send({"answer": answer})

    def _want(self, hosts: list[dict[str, Any]]) -> None:
        self.wanted = {host["id"]: Wanted(host["name"], host["key"], host["kind"]) for host in hosts}
        self._executors.load(wanted.kind for wanted in self.wanted.values())
        self.children.forget([*self.wanted, CLERK])
        for child in self.children.workers():
            if child.key not in self.wanted:
                child.send(signal.SIGTERM)
            elif child.row_key != self.wanted[child.key].row_key:
                child.row_key = self.wanted[child.key].row_key
                child.tell(POKE)

    def _recycle(self, too_big: dict[str, int]) -> None:
        """Let workers whose memory, by their pid, is over the limit give way to fresh ones."""
        for child in self.children.workers():
            memory = too_big.get(str(child.pid))
            if (
                memory
                and child.holds_host
                and not self._draining
                and boot_clock() - child.started_clock > _SHORTEST_LIFE_SECONDS
            ):
                logger.warning(
                    "worker is recycled", child=child.name, reason=f"it takes {memory} bytes of memory"
                )
                child.send(signal.SIGTERM)

    def _report(self) -> None:
        now = boot_clock()
        for answer in self._restarts.settled(now):
            if self._line:
                self._line.send({"answer": answer})
        if self._line and now >= self._report_clock:
            self._report_clock = now + _REPORT_EVERY_SECONDS
            self._pulse.beat([child.name for child in self.children.running.values()])
            self._line.send({"processes": self._process_rows()})

    def _process_rows(self) -> list[dict[str, Any]]:
        return process_rows(self.children, self.wanted, state=self._state)

    @property
    def _state(self) -> str:
        if self._stopping or self._replacing:
            return STOPPING
        return DRAINING if self._draining else RUNNING

    def _entitle(self) -> None:
        """Let `ps` tell how many of the hosts that shall have a worker have one."""
        held = sum(child.holds_host for child in self.children.workers())
        state = f", {self._state}" if self._state != RUNNING else ""
        title = f"tallyman: master {held}/{len(self.wanted)} hosts{state}"
        if title != self._title:
            self._title = title
            setproctitle(title)

    # ── signals ───────────────────────────────────────────────────────────────────────────────────────

    def _act_on_signals(self) -> None:
        for number in self._signals.take():
            match number:
                case signal.SIGTERM | signal.SIGINT:
                    self._stopping = True
                case signal.SIGQUIT:
                    self._stopping = True
                    self.children.send_all(signal.SIGQUIT)
                case signal.SIGHUP:
                    self._reset()
                case signal.SIGUSR1:
                    self._log_status()
                case signal.SIGUSR2:
                    self._drain()
                case signal.SIGTTIN | signal.SIGTTOU:
                    self._change_slots(1 if number is signal.SIGTTIN else -1)

    def _reset(self) -> None:
        for policy in self.children.policies.values():
            policy.reset()
        if self._line:
            self._line.send({"processes": self._process_rows(), "hosts_again": True})
        if not self._draining:  # it ends anyway, when its jobs have
            self._reload.begin()

    def _log_status(self) -> None:
        for row in self._process_rows():
            logger.info("process", **{key: value for key, value in row.items() if value is not None})

    def _drain(self) -> None:
        logger.info("draining: no new jobs")
        self._draining = True
        self._undrained |= {child.key for child in self.children.workers()}
        for child in self.children.workers():
            child.tell(DRAIN)

    def _change_slots(self, by: int) -> None:
        self._extra_slots += by
        for child in self.children.workers():
            child.tell(MORE if by > 0 else LESS)

    # ── waiting and ending ────────────────────────────────────────────────────────────────────────────

    def _wait(self) -> None:
        # One that crashed is started again for its jobs' sake; one that has none left ends in order.
        if self._draining and not (self.children.workers() or self._undrained & self.wanted.keys()):
            self._stopping = True
        if self._stopping or self._replacing:
            return
        now, running = boot_clock(), self.children.running
        starts = [
            self.children.policy(key).start_clock for key in (*self.wanted, CLERK) if key not in running
        ]
        soonest = min([clock - now for clock in starts if clock > now], default=_LONGEST_WAIT_SECONDS)
        watched = [child.pidfd for child in running.values()]
        watched += [
            child.progress for child in running.values() if not child.holds_host and child.key != CLERK
        ]
        watched += self._reload.watched()
        watched += [self._line.fileno()] if self._line and not self._line.is_closed else []
        self._wake.wait(min(soonest, _LONGEST_WAIT_SECONDS), also=watched)

    def _shut_down(self) -> bool:
        """End all children. True: to start anew, unless somebody has said stop meanwhile."""
        if self._replacing:
            logger.info("supervisor starts anew; containers run on")
        else:
            logger.info("supervisor stops; containers run on")
        self._entitle()
        self._reload.give_up()
        end = Shutdown(self.children, self._signals, self._wake, bury=self._reap, tell=self._log_status)
        end.run(self.options.shutdown_timeout_seconds)
        return self._replacing and not (self._stopping or end.told_to_stop)
