"""The processes of a running job: signal them, measure them, wait for them."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import psutil

from hosts.errors import DockerConnectionError
from hosts.executors.contract import Usage
from hosts.executors.process.store import Run
from hosts.identity import start_ticks

# Every process of a job carries it in its environment, so those can be found whose parents are gone.
MARK = "TALLYMAN_CONTAINER_ID"


@contextlib.contextmanager
def handle(pid: int, ticks: int) -> Iterator[int | None]:
    """A pidfd of exactly this process, or None if it is gone (or a zombie)."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        yield None
        return
    try:
        yield pidfd if start_ticks(pid) == ticks else None
    finally:
        os.close(pidfd)


def require_visible(run: Run) -> None:
    """DockerConnectionError if the job runs where we cannot see its processes."""
    if run.pid_namespace != os.readlink("/proc/self/ns/pid"):
        raise DockerConnectionError("The job runs in another PID namespace, out of reach from here.")


def send(run: Run, number: signal.Signals) -> None:
    """Send a signal to the job's first process, if it is still there."""
    with handle(run.job_pid, run.job_ticks) as job:
        if job is not None:
            _send(job, number)


def kill(run: Run, container_id: str) -> None:
    """Kill the job's first process, its process group and all it started."""
    with handle(run.job_pid, run.job_ticks) as job:
        if job is not None:
            # While its leader is there, the number of the group cannot be another one's.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(run.job_pid, signal.SIGKILL)
            _send(job, signal.SIGKILL)
    for process in members(container_id):
        with contextlib.suppress(psutil.Error):
            process.kill()
    # A stopped shim could not bury the job, nor record its end.
    with handle(run.shim_pid, run.shim_ticks) as shim:
        if shim is not None:
            _send(shim, signal.SIGCONT)


def wait_for_end(run: Run, container_id: str, *, timeout_seconds: float) -> None:
    """Return when the shim and every process of the job are gone, or the time is up."""
    deadline = time.monotonic() + timeout_seconds
    with handle(run.shim_pid, run.shim_ticks) as shim:
        if shim is not None:
            waiting = select.poll()
            waiting.register(shim, select.POLLIN)
            waiting.poll(timeout_seconds * 1000)
    psutil.wait_procs(members(container_id), timeout=max(0.0, deadline - time.monotonic()))


def members(container_id: str) -> list[psutil.Process]:
    """Every process here that carries the job's mark."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get(MARK) == container_id:
                found.append(process)
    return found


def measure(run: Run) -> Usage | None:
    """One reading of all processes of the job together; None if there is none.

    Without block I/O: what a process did is forgotten when it ends, so the sum would be too small.
    """
    with handle(run.shim_pid, run.shim_ticks) as shim:
        if shim is None:
            return None
        try:
            keeper = psutil.Process(run.shim_pid)
            # The shim adopts orphans, so its descendants are the whole job, and what the dead
            # ones used is counted with the children of the living.
            tree, buried = keeper.children(recursive=True), keeper.cpu_times()
        except psutil.Error:
            return None
    readings = [reading for reading in map(_measure_one, tree) if reading]
    if not readings:
        return None
    return Usage(
        at=datetime.now(UTC),
        memory_bytes=int(sum(memory for memory, _ in readings)),
        cpu_seconds=round(sum(cpu for _, cpu in readings) + buried.children_user + buried.children_system, 2),
        pids=len(readings),
    )


def _measure_one(process: psutil.Process) -> tuple[float, float] | None:
    try:
        with process.oneshot():
            memory, cpu = process.memory_info().rss, process.cpu_times()
    except psutil.Error:
        return None
    used = cpu.user + cpu.system + cpu.children_user + cpu.children_system
    return memory, used


def _send(pidfd: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(pidfd, number)
