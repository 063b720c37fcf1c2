"""Work on a thread of its own: what hangs there holds up nobody, however often it is asked for.

A database that was stopped with a signal neither answers nor refuses. A probe that waited for it on its own
request's thread would leave one hanging thread, and one database session, for every probe until it is back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

import structlog
from django.db import DatabaseError, InterfaceError, connections
from health_check.base import HealthCheck
from health_check.exceptions import HealthCheckException, ServiceWarning

T = TypeVar("T")

logger = structlog.get_logger(__name__)

PATIENCE_SECONDS = 3.0
AWAY = "the database does not answer"


@dataclass(frozen=True, slots=True)
class Result:
    """What a check found; `status` is ok, warn or fail."""

    check: str
    status: str
    message: str
    milliseconds: float


class SingleFlight(Generic[T]):
    """Does one piece of work at a time: whoever asks meanwhile gets the result of the one under way."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="probe")
        self._lock = Lock()
        self._flight: Future[T] | None = None
        self._began = 0.0

    async def result(self) -> T:
        """What the work returns or raises; TimeoutError once it takes longer than PATIENCE_SECONDS."""
        flight, left = self._join()
        # Not wait_for, which would cancel it: it belongs to everybody who waits.
        await asyncio.wait({asyncio.wrap_future(flight)}, timeout=left)
        return flight.result(timeout=0)

    def _join(self) -> tuple[Future[T], float]:
        with self._lock:
            now = time.monotonic()
            if self._flight is None or self._flight.done():
                self._flight, self._began = self._thread.submit(self._in_thread), now
            return self._flight, max(0.0, self._began + PATIENCE_SECONDS - now)

    def _in_thread(self) -> T:
        try:
            return self._work()
        finally:
            connections.close_all()


def run(checks: Iterable[HealthCheck]) -> list[Result]:
    """Run the checks, one after the other.

    Once the database was found away, those that ask it are not made to find out for themselves.
    """
    results: list[Result] = []
    is_away = False
    for check in checks:
        asks = getattr(check, "asks_database", False)
        results.append(Result(name_of(check), "fail", AWAY, 0.0) if is_away and asks else _result(check))
        is_away = is_away or results[-1].message == AWAY
    return results


def overdue(checks: Iterable[HealthCheck]) -> list[Result]:
    """What is said of checks that have not answered in time."""
    message = f"no answer within {PATIENCE_SECONDS:g} seconds; the database may hang"
    return [Result(name_of(check), "fail", message, PATIENCE_SECONDS * 1000) for check in checks]


def _result(check: HealthCheck) -> Result:
    began = time.perf_counter()
    try:
        check.run()
        status, message = "ok", ""
    except ServiceWarning as exc:
        status, message = "warn", exc.message
    except HealthCheckException as exc:
        status, message = "fail", exc.message
    except (DatabaseError, InterfaceError):
        status, message = "fail", AWAY
    except Exception:  # a check that breaks must not hide what the others found
        logger.exception("a health check is broken", check=name_of(check))
        status, message = "fail", "this check is broken; see the log"
    return Result(name_of(check), status, message, round((time.perf_counter() - began) * 1000, 1))


def name_of(check: HealthCheck) -> str:
    """The name under which a check is told."""
    return type(check).__name__
