"""The master's database work, in a process of its own: a database that hangs must not hang the one who reaps.

It tells the master, as JSON lines over a socket pair, which hosts shall have a worker and whom to wake; the
master tells it which processes there are. It keeps the process rows, and writes why pending jobs wait.
"""

from __future__ import annotations

import contextlib
import hashlib
import signal
import socket
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import structlog
from django.conf import settings
from django.db import (
    DatabaseError,
    InterfaceError,
    OperationalError,
    close_old_connections,
    connection,
)
from django.db.models import QuerySet

from hosts import identity, installation, log_fields
from hosts.errors import ConfigurationError
from hosts.identity import boot_clock
from hosts.kept import KeptQuery
from hosts.models import DockerHost
from hosts.thinning import SampleThinner
from hosts.wakeups import SUPERVISORS
from jobs import poison, reasons, start_deadline
from jobs.models import Attempt, ContainerJob
from jobs.retention import Policy
from supervisor import database, membership, processes, requests
from supervisor.exit_codes import CONFIGURATION, NOT_FOUND, OK, TRY_LATER
from supervisor.fork import ChildPipes
from supervisor.lines import LineSocket
from supervisor.listening import Listener, listener
from supervisor.models import DRAINING, Role
from supervisor.probe_port import Signs, open_port
from supervisor.processes import Heartbeat, Known
from supervisor.retention import Retention
from supervisor.sharing import Share
from supervisor.signals import SignalInbox
from supervisor.watchdog import Watchdog
from supervisor.worker.inbox import Wake

logger = structlog.get_logger(__name__)

_HOSTS_EVERY_SECONDS = 2.0
_BEAT_EVERY_SECONDS = 5.0
_REASONS_EVERY_SECONDS = 2.0
_AFTER_TROUBLE_SECONDS = 1.0
_THIN_EVERY_SECONDS = 60.0
_THIN_AGAIN_SECONDS = 1.0
# After an outage: longer than others take to find that it is over, to beat, and to renew their leases.
_QUIET_SECONDS = 15.0
_LONG_WAIT_SECONDS = 2.0
_TOLD = ("name", "updated_at", "executor_type", "connection_string", "executor_config", "is_active")


class Clerk:
    """See the module. Made in the child."""

    def __init__(
        self,
        supervisor: UUID,
        host_names: Sequence[str],
        pipe: socket.socket,
        pipes: ChildPipes,
        probe_port: int = 0,
    ) -> None:
        self._supervisor, self._host_names, self._pipes = supervisor, host_names, pipes
        self._line = LineSocket(pipe)
        self._wake = Wake(also=[pipe.fileno(), pipes.control])
        self._signals = SignalInbox(self._wake, (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT))
        self._known: list[Known] = []
        self._deaths: list[dict[str, Any]] = []
        self._answers: list[dict[str, Any]] = []
        self._hosts_clock = self._beat_clock = self._reasons_clock = self._thin_clock = 0.0
        self._claim_watch = reasons.ClaimWatch()
        self._thinner = SampleThinner()
        self._retention = Retention(supervisor, Policy.of_settings())
        self._heartbeat = Heartbeat(supervisor)
        self._listener: Listener | None = None
        self._share: Share | None = None
        self._asked: KeptQuery | None = None
        self._others: KeptQuery | None = None
        self._theirs: frozenset[UUID] = frozenset()
        self._wanted: KeptQuery | None = None
        self._host_rows: list[tuple[Any, ...]] | None = None
        self._read: list[DockerHost] = []
        self._told: dict[UUID, dict[str, str]] = {}
        self._stopping = self._in_trouble = False
        self._signs, self._probe_port = Signs(), probe_port

    def run(self) -> int:
        """Work until told to stop; one of `supervisor.exit_codes`."""
        log_fields.begin(role=Role.CLERK.value)
        database.use_own_options()
        open_port(self._probe_port, self._signs)
        Watchdog(is_stopping=lambda: self._signals.any_came, progress=lambda: self._pipes.tell(b"."))
        began = boot_clock()
        if not database.wait_for(self._tick, self._wake):
            return OK if self._stopping else TRY_LATER
        self._in_trouble = boot_clock() - began > _LONG_WAIT_SECONDS
        try:
            code = self._refusal()
        except (OperationalError, InterfaceError) as exc:
            logger.warning("the database went away while the clerk booted", reason=str(exc).strip())
            return TRY_LATER
        if code != OK:
            return code
        self._pipes.tell(b"R")
        while self._tick():
            self._wait(self._turn())
        database.hurry()
        if not self._in_trouble:  # else it would be waited for in vain, and the rows are forgotten in time
            with contextlib.suppress(DatabaseError, InterfaceError):
                processes.forget(self._supervisor)
        return OK

    def _refusal(self) -> int:
        """Why nothing may be done with this database, as an exit code; OK if it may."""
        try:
            installation.current()
        except ConfigurationError as exc:
            logger.error("supervisor refuses to work", reason=str(exc))
            return CONFIGURATION
        if unknown := self._unknown_hosts():
            logger.error("there is no host of that name", names=unknown, known=_some_names())
            return NOT_FOUND
        return OK

    def _tick(self) -> bool:
        self._pipes.tell(b".")
        if self._signals.take() or self._line.is_closed:
            self._stopping = True
        for message in self._line.receive():
            self._hear(message)
        return not self._stopping

    def _hear(self, message: dict[str, Any]) -> None:
        if "death" in message:
            self._deaths.append(message["death"])
        elif "answer" in message:
            self._answers.append(message["answer"])
        else:
            self._signs.hear()
            known = [_known(row) for row in message["processes"]]
            if known != self._known:
                self._known, self._beat_clock = known, 0.0
            if message.get("hosts_again"):
                self._hosts_clock = 0.0
                if self._share:
                    self._share.try_all_again()

    def _wait(self, seconds: float) -> None:
        if self._listener is None:
            self._wake.wait(seconds)
            return
        try:
            self._listener.wait(seconds)
        except (DatabaseError, InterfaceError) as exc:
            self._note_trouble(exc)

    def _turn(self) -> float:
        now = boot_clock()
        try:
            close_old_connections()
            self._be_quiet_after_trouble(now)
            self._write_what_was_told()
            self._listener = self._listener or listener(self._wake)
            self._pass_on(self._listener.take())
            if now >= self._beat_clock:
                self._beat_clock = now + _BEAT_EVERY_SECONDS
                self._beat()
            if now >= self._hosts_clock and self._known:
                self._hosts_clock = now + _HOSTS_EVERY_SECONDS
                self._tell_hosts()
            if now >= self._reasons_clock:
                self._reasons_clock = now + _REASONS_EVERY_SECONDS
                self._look_after_pending()
            self._thin(now)
            self._retention.turn(now)
        except (DatabaseError, InterfaceError) as exc:
            self._note_trouble(exc)
            return _AFTER_TROUBLE_SECONDS
        self._in_trouble, self._signs.trouble = False, ""
        next_clock = min(self._hosts_clock, self._beat_clock, self._reasons_clock, self._retention.next_clock)
        return max(0.0, next_clock - boot_clock())

    def _note_trouble(self, error: Exception) -> None:
        if not self._in_trouble:
            logger.warning("database trouble", reason=str(error).strip())
        self._in_trouble, self._signs.trouble = True, "the database does not answer"
        self._forget_connection()

    def _look_after_pending(self) -> None:
        if ContainerJob.objects.pending().exists():
            start_deadline.expire()
            reasons.write(self._claim_watch)

    def _be_quiet_after_trouble(self, now: float) -> None:
        if self._in_trouble and self._share:
            self._share.be_quiet_until(now + _QUIET_SECONDS)

    def _pass_on(self, pokes: list[str]) -> None:
        for poke in pokes:
            if poke == SUPERVISORS:
                self._hosts_clock = 0.0
            else:
                self._line.send({"poke": poke})

    def _thin(self, now: float) -> None:
        if now >= self._thin_clock:
            more = self._thinner.thin()
            self._thin_clock = now + (_THIN_AGAIN_SECONDS if more else _THIN_EVERY_SECONDS)

    def _beat(self) -> None:
        memory = self._heartbeat.beat(self._known)
        limit = settings.TALLYMAN_WORKER_MAX_MEMORY_BYTES
        if limit and (too_big := {pid: size for pid, size in memory.items() if size > limit}):
            self._line.send({"too_big": too_big})

    def _tell_hosts(self) -> None:
        hosts = self._hosts()
        self._line.send({"hosts": [self._told[host.pk] for host in hosts]})
        self._asked = self._asked or requests.asked()
        if self._asked.rows():
            for restart in requests.take([host.pk for host in hosts]):
                self._line.send({"restart": restart})
            if not self._is_draining:
                for test in requests.take_examinations(not_of=self._theirs, names=self._host_names):
                    self._line.send({"examine": test})

    def _write_what_was_told(self) -> None:
        while self._deaths:
            death = self._deaths[0]
            poison.note_kill(UUID(death["attempt"]), death["what"], who="supervisor")
            self._line.send({"written": death["id"]})
            del self._deaths[0]
        while self._answers:
            requests.answer(self._answers[0])
            del self._answers[0]

    def _forget_connection(self) -> None:
        if self._listener:
            self._listener.close()
            self._listener = None
        connection.close()

    def _unknown_hosts(self) -> list[str]:
        known = DockerHost.objects.filter(name__in=self._host_names, archived_at=None)
        return sorted(set(self._host_names) - set(known.values_list("name", flat=True)))

    def _wanted_hosts(self) -> QuerySet[DockerHost]:
        hosts = DockerHost.objects.active()
        # A host that was switched off keeps its worker until nothing runs on it any more.
        busy = Attempt.objects.open().values("host_id")
        wanted = hosts | DockerHost.objects.filter(pk__in=busy)
        if self._host_names:
            wanted = wanted.filter(name__in=self._host_names)
        return wanted.distinct().defer("secret_config")

    def _read_hosts(self) -> list[DockerHost]:
        """The hosts that anybody shall hold: read anew only if what is told of one of them has changed."""
        self._wanted = self._wanted or KeptQuery(self._wanted_hosts().values_list("pk", "state", *_TOLD))
        rows = self._wanted.rows()
        if rows != self._host_rows:
            self._read = list(self._wanted_hosts())
            self._told = {host.pk: _told(host) for host in self._read}
            self._host_rows = rows
        return self._read

    @property
    def _is_draining(self) -> bool:
        return any(known.state == DRAINING for known in self._known)

    def _hosts(self) -> list[DockerHost]:
        """The hosts that this supervisor shall hold."""
        now, hosts = boot_clock(), self._read_hosts()
        if self._share is None:  # a new clerk: the master has what the one before it decided
            before = {known.host_id: now for known in self._known if known.host_id}
            self._share = Share(self._supervisor, before)
            if before:
                self._be_quiet_after_trouble(now)
        self._others = self._others or membership.anybody_else(self._supervisor)
        others = membership.colleagues(self._supervisor) if self._others.rows() else membership.NOBODY
        members = {**others.counts, self._supervisor: len(self._share.held)}
        seen = membership.sights(hosts, others, self._known)
        held = self._share.decide(seen, members, now, may_take=not self._is_draining)
        self._theirs = others.taken
        return [host for host in hosts if host.pk in held]


def _told(host: DockerHost) -> dict[str, str]:
    """What the master is told of a host; `key` changes when its settings do, however they were changed."""
    settings = repr([getattr(host, name) for name in _TOLD if name != "name"])
    key = hashlib.sha256(settings.encode()).hexdigest()
    return {"id": str(host.pk), "name": host.name, "key": key, "kind": host.executor_type}


def _some_names() -> list[str]:
    return list(DockerHost.objects.filter(archived_at=None).values_list("name", flat=True)[:5])


def _known(row: dict[str, Any]) -> Known:
    proper = {
        "role": Role(row["role"]),
        "start_ticks": row["start_ticks"] or identity.start_ticks(row["pid"]) or 0,
        "host_id": UUID(row["host_id"]) if row.get("host_id") else None,
    }
    return Known(**{**row, **proper})


def start_clerk(
    supervisor: UUID, host_names: Sequence[str], pipe: socket.socket, pipes: ChildPipes, *, probe_port: int
) -> int:
    """What the forked clerk runs."""
    return Clerk(supervisor, host_names, pipe, pipes, probe_port).run()
