"""When a child that ended is started again. Pure.

At once the first time, then with a wait that doubles up to a cap, and is forgotten after a minute of ready
uptime. There is no giving up: a host that comes back must never wait for a person. What a person has to
mend (a wrong setting) is parked instead, until its row changes. Database trouble never counts: it is not
the child's fault, and every child has it at once.
Source: the s6 and OTP supervisors, which judge by cause; see also gunicorn's HaltServer for the opposite.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from supervisor.exit_codes import CONFIGURATION, OK, TRY_LATER

_FIRST_SECONDS = 0.5
_CAP_SECONDS = 60.0
_FORGET_AFTER_SECONDS = 60.0
_TRY_LATER_SECONDS = 1.0
_SHORTEST_LIFE_SECONDS = 1.0
_CRASH_LOOP = 5


@dataclass(slots=True)
class RestartPolicy:
    """One child's history. `parked_key` is the state of the row whose settings were wrong.

    `last_pid` and `last_start_ticks` are of the process that ended last; None before the first end.
    """

    failures: int = 0
    restarts: int = 0
    last_exit: str = ""
    cause: str = ""
    exit_clock: float | None = None
    failing_clock: float | None = None
    start_clock: float = 0.0
    parked_key: str = ""
    last_pid: int | None = None
    last_start_ticks: int = 0

    @property
    def is_crash_looping(self) -> bool:
        """Whether it failed again and again without a minute in between."""
        return self.failures >= _CRASH_LOOP

    def is_forgiven(self, ready_seconds: float) -> bool:
        """Whether a child that has been ready for so long has left its former failures behind."""
        return ready_seconds >= _FORGET_AFTER_SECONDS

    @property
    def last_words(self) -> str:
        """How the last one ended, and of what; empty if none has."""
        return f"{self.last_exit}: {self.cause}" if self.cause else self.last_exit

    def note_exit(
        self,
        exit_code: int,
        *,
        key: str,
        ready_seconds: float,
        now: float,
        jitter: float | None = None,
        cause: str = "",
    ) -> None:
        """The child ended with this code (negative: by this signal) after so long a ready life."""
        self.last_exit, self.cause, self.exit_clock = _words(exit_code), cause, now
        self.restarts += 1
        if self.is_forgiven(ready_seconds):
            self.failures, self.failing_clock = 0, None
        if exit_code == CONFIGURATION and key:  # the clerk has no row: nothing would ever unpark it
            self.parked_key = key
        elif exit_code == OK:
            # One that ends as soon as it is ready (over a limit it can never keep, say) must not spin.
            self.start_clock = now if ready_seconds >= _SHORTEST_LIFE_SECONDS else now + _TRY_LATER_SECONDS
        elif exit_code == TRY_LATER:
            self.start_clock = now + _TRY_LATER_SECONDS
        else:
            self.failures += 1
            self.failing_clock = self.failing_clock or now
            share = 0.5 + (random.random() if jitter is None else jitter)
            self.start_clock = now + _wait_after(self.failures) * share

    def may_start(self, *, key: str, now: float) -> bool:
        """Whether the child may be started now; a parked one only once its row has changed."""
        if self.parked_key and self.parked_key == key:
            return False
        self.parked_key = ""
        return now >= self.start_clock

    def reset(self) -> None:
        """A person says: try again now."""
        self.failures, self.failing_clock, self.start_clock, self.parked_key = 0, None, 0.0, ""


def _wait_after(failures: int) -> float:
    # The number of doublings is bounded too: after a day of failures the power would overflow.
    doublings = min(failures - 2, 10)
    return 0.0 if failures == 1 else min(_CAP_SECONDS, _FIRST_SECONDS * 2**doublings)


def _words(exit_code: int) -> str:
    return f"signal {-exit_code}" if exit_code < 0 else f"exit code {exit_code}"
