"""The process that tests one host's connection, step by step, for whoever asked, and ends.

It needs no lease, as it changes nothing at the engine and nothing of the host's row; so a host may be tested
that is switched off, parked, or held by a worker. Forked by the master like any child, so one that hangs
shows no progress and is killed. Its main thread is the only user of its database connection and writes what
each step found; the steps run on a thread beside it, which is given up if one of them takes too long.
"""

from __future__ import annotations

import queue
import signal
import threading
from typing import Any
from uuid import UUID

import structlog
from django.db import DatabaseError, InterfaceError
from django.db.models.functions import Now
from setproctitle import setproctitle

from hosts import examination, fitting, installation, log_fields, wakeups
from hosts.errors import ConfigurationError
from hosts.examination import Examination
from hosts.identity import boot_clock
from hosts.models import DockerHost, HostRequest
from supervisor import database
from supervisor.exit_codes import OK, TRY_LATER
from supervisor.fork import ChildPipes
from supervisor.signals import SignalInbox
from supervisor.watchdog import Watchdog
from supervisor.worker.inbox import Wake

logger = structlog.get_logger(__name__)

# Two calls of ten seconds each at most, and a moment.
STEP_SECONDS = 25.0
ALL_SECONDS = 60.0
_LOOK_EVERY_SECONDS = 0.5
_ROLE = "examiner"

Steps = list[dict[str, Any]]


class Examiner:
    """See the module. Made in the child."""

    def __init__(self, request_id: UUID, pipes: ChildPipes) -> None:
        self._request_id, self._pipes = request_id, pipes
        self._wake = Wake(also=[pipes.control])
        self._signals = SignalInbox(self._wake, (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT))
        self._told: queue.SimpleQueue[Steps | BaseException | None] = queue.SimpleQueue()
        self._steps: Steps = []

    def run(self) -> int:
        """Test, write what was found, and end; one of `supervisor.exit_codes`."""
        log_fields.begin(role=_ROLE)
        database.use_own_options()
        Watchdog(is_stopping=lambda: self._signals.any_came, progress=lambda: self._pipes.tell(b"."))
        if not database.wait_for(self._tick, self._wake):
            return TRY_LATER
        self._pipes.tell(b"R")
        try:
            return self._examine()
        except (DatabaseError, InterfaceError) as exc:
            logger.warning("a test was cut off by the database", reason=str(exc).strip())
            return TRY_LATER

    def _tick(self) -> bool:
        self._pipes.tell(b".")
        return not self._signals.take()

    def _examine(self) -> int:
        request = HostRequest.objects.filter(pk=self._request_id, done_at=None).first()
        if request is None:
            return OK
        try:
            test = self._prepared(request.host_id)
        except DockerHost.DoesNotExist:
            return OK
        except ConfigurationError as exc:  # a secret of it that no key of ours decrypts
            self._end(ok=False, result=str(exc))
            return OK
        setproctitle(f"tallyman: test of {test.view.name}")
        threading.Thread(target=self._take_steps, args=(test,), name="steps", daemon=True).start()
        return self._follow()

    def _prepared(self, host_id: UUID) -> Examination:
        host = DockerHost.objects.get(pk=host_id)
        others = DockerHost.objects.exclude(pk=host_id).exclude(engine_id=None)
        return Examination(
            view=host.view(installation.current().id),
            others={str(engine): name for engine, name in others.values_list("engine_id", "name")},
            known_id=host.engine_id or "",
            tell=self._told.put,
            secrets=examination.secret_texts(host.secret_config),
        )

    def _take_steps(self, test: Examination) -> None:
        try:
            test.run()
        except BaseException as exc:  # noqa: BLE001 (told where it is waited for)
            self._told.put(exc)
        else:
            self._told.put(None)

    def _follow(self) -> int:
        """Write what comes from the thread until it is done, or takes too long."""
        step_clock = began = boot_clock()
        while self._tick():
            try:
                said = self._told.get(timeout=_LOOK_EVERY_SECONDS)
            except queue.Empty:
                now = boot_clock()
                if now - step_clock > STEP_SECONDS or now - began > ALL_SECONDS:
                    self._give_up(now - step_clock)
                    return OK
                continue
            if said is None:
                self._end(**_verdict(self._steps))
                return OK
            if isinstance(said, BaseException):
                raise said
            self._steps, step_clock = said, boot_clock()
            self._write(steps=said)
        self._end(ok=False, result="The test was cut off: its supervisor ends.")
        return OK

    def _give_up(self, seconds: float) -> None:
        for one in self._steps:
            if one["state"] == "running":
                one |= {"state": "failed", "detail": f"No answer within {seconds:.0f} s.", "seconds": seconds}
            elif one["state"] == "waiting":
                one["state"] = "skipped"
        self._write(steps=self._steps)
        self._end(**_verdict(self._steps))

    def _end(self, *, ok: bool, result: str) -> None:
        self._write(done_at=Now(), ok=ok, result=result)
        wakeups.notify_supervisors()  # others may wait for their turn

    def _write(self, **values: Any) -> None:
        fitted = fitting.fitted(HostRequest, **values)
        HostRequest.objects.filter(pk=self._request_id, done_at=None).update(**fitted)


def _verdict(steps: Steps) -> dict[str, Any]:
    """Whether all is well, in one sentence: the first thing that is not, or what the engine said."""
    failed = [one for one in steps if one["state"] == "failed"]
    if failed:
        return {"ok": False, "result": f"{failed[0]['name']}: {failed[0]['detail']}"}
    warnings = sum(one["state"] == "warning" for one in steps)
    answer = next((one["detail"] for one in steps if one["name"] == examination.ENGINE), "")
    remark = f" {warnings} warning(s)." if warnings else ""
    return {"ok": True, "result": f"Reachable: {answer}.{remark}"}
