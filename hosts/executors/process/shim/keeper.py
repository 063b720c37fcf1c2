"""The keeper's own life: leave the worker, take the lock, run the job once, record how it ended.

It answers on its standard output with one JSON object: `{"answer": "started"}`, `"refused"` (with what
refused it), `"taken"` (it runs, or ran), `"gone"` (this folder holds another job, or none), or `"failed"`
with a text (ask the folder what became of it).

What keeps a job from running twice: `run.json` is made by link(2), which succeeds once, by a holder of the
lock, and the job's process executes nothing before that. Whoever deletes a job that has not started makes
`run.json` first; so one of the two loses, however late it wakes up.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import resource
import signal
from typing import Any

from . import files, job, processes

_IGNORED = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
_HIGH_DESCRIPTOR = 100  # out of the way of shell scripts, which name theirs with one digit
_DRAFT = files.EXIT + ".new"


class Unstartable(Exception):
    """Nothing was started; `args[0]` is the answer."""


def main(folder: str, container_id: str) -> None:
    """Run the job of the folder to its end, unless it ran already."""
    try:
        _detach()
        lock = _take_over(folder, container_id)
        _run(folder, lock)
    except Unstartable as exc:
        _answer({"answer": exc.args[0]})
    except Exception as exc:  # noqa: BLE001 (whatever it is, the worker shall hear of it)
        number = exc.errno if isinstance(exc, OSError) else None
        _answer({"answer": "failed", "errno": number, "text": f"{type(exc).__name__}: {exc}"})


def _detach() -> None:
    """Become nobody's child, in a session of which nobody is the leader, deaf to everything but KILL."""
    os.umask(0o077)
    if os.getsid(0) != os.getpid():
        os.setsid()
    if os.fork():
        os._exit(0)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    processes.adopt_orphans()


def _take_over(folder: str, container_id: str) -> int:
    """The lock, held, with the folder as the current one."""
    try:
        os.chdir(folder)
        if files.read_json(files.SPEC)["id"] != container_id:
            raise Unstartable("gone")
        lock = os.open(files.LOCK, os.O_RDWR)
    except FileNotFoundError:
        raise Unstartable("gone") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Unstartable("taken") from None
    if os.path.exists(files.RUN):
        raise Unstartable("taken")
    return lock


def _run(folder: str, lock: int) -> None:
    spec, environment = files.read_json(files.SPEC), files.read_json(files.ENVIRONMENT)
    record = files.reserve(_DRAFT)
    # The job holds the lock too: if the keeper is killed, the lock says "alive" until the job is dead.
    os.set_inheritable(fcntl.fcntl(lock, fcntl.F_DUPFD, _HIGH_DESCRIPTOR), True)
    gate_read, gate_write = os.pipe()
    fault_read, fault_write = os.pipe()
    keeper = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(gate_write)
        job.become(spec, environment, keeper=keeper, gate=gate_read, fault=fault_write)
    os.close(fault_write)
    started_at = files.utc_now()
    _commit(folder, {**processes.identities(pid), "started_at": started_at})
    os.write(gate_write, b"1")
    refusal = _read_all(fault_read)
    if refusal:
        _refuse(pid, record, json.loads(refusal))
    else:
        _answer({"answer": "started"})
        _record(record, {"started_at": started_at, **_wait_for_end(pid)})


def _commit(folder: str, run: dict[str, Any]) -> None:
    """Make `run.json`; from here on the job counts as started."""
    try:
        if not files.make_once(files.RUN, run, by=str(os.getpid())):
            raise Unstartable("taken")
    except FileNotFoundError:
        raise Unstartable("gone") from None
    # A remover renames before it deletes: if the name still leads here, none was at work.
    if not files.same_folder(folder, "."):
        raise Unstartable("gone")
    os.unlink(files.ENVIRONMENT)  # It may hold secrets, and nobody needs it any more.
    files.sync_folder(".")


def _refuse(pid: int, record: int, refusal: dict[str, Any]) -> None:
    os.waitpid(pid, 0)
    _record(record, {"refusal": refusal, "finished_at": files.utc_now()})
    _answer({"answer": "refused", "refusal": refusal})


def _wait_for_end(pid: int) -> dict[str, Any]:
    """Wait for the job, kill what it left behind (as a container's end does), and tell how it ended."""
    ended = status = 0
    while ended != pid:
        ended, status = os.wait()  # Orphans of the job come to us too, and are buried here.
    finished_at = files.utc_now()
    processes.kill_all_children()
    code = os.waitstatus_to_exitcode(status)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "exit_code": code if code >= 0 else 128 - code,
        "finished_at": finished_at,
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 6),
        "max_rss_bytes": used.ru_maxrss * 1024,
    }


def _record(record: int, end: dict[str, Any]) -> None:
    files.fill_reserved(record, end)
    os.rename(_DRAFT, files.EXIT)
    files.sync_folder(".")


def _read_all(descriptor: int) -> bytes:
    """Everything until every writer has closed."""
    content = b""
    while block := os.read(descriptor, 65536):
        content += block
    os.close(descriptor)
    return content


def _answer(message: dict[str, Any]) -> None:
    """Tell whoever started us, if it still listens, and close the pipe."""
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(message).encode())
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
