"""Making a host's executor, which may be anybody's: it is imported and made on a thread, and not waited for
for ever."""

from __future__ import annotations

import queue
import threading

from hosts.errors import ConfigurationError
from hosts.executors.contract import ContainerExecutor, HostView
from hosts.executors.registry import executor_for

# Shorter than a worker's loop may stand still: the host's row is to say what hangs, not the master's log.
PATIENCE_SECONDS = 20.0


def executor_within(host: HostView, seconds: float | None = None) -> ContainerExecutor:
    """As `executor_for`; ConfigurationError if it takes longer than that, or PATIENCE_SECONDS."""
    seconds = PATIENCE_SECONDS if seconds is None else seconds
    made: queue.SimpleQueue[ContainerExecutor | BaseException] = queue.SimpleQueue()

    def make() -> None:
        try:
            made.put(executor_for(host))
        except BaseException as exc:  # noqa: BLE001 (raised where it is waited for)
            made.put(exc)

    threading.Thread(target=make, name="executor", daemon=True).start()
    try:
        executor = made.get(timeout=seconds)
    except queue.Empty:
        raise ConfigurationError(
            f"The executor {host.executor_type!r} hangs: it was not imported and made within {seconds:g} s."
        ) from None
    if isinstance(executor, BaseException):
        raise executor
    return executor
