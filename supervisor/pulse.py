"""The master's sign of life in a file, for probes that run beside it: no database, no network, no waiting.

One small file a supervisor, replaced whole every few seconds: a reader sees an old one or a new one, never
half of one. What a dead supervisor left behind is told by its pid and start ticks, and taken away.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from hosts import identity
from hosts.identity import boot_clock

logger = structlog.get_logger(__name__)

STALE_AFTER_SECONDS = 15.0
_PATTERN = "supervisor-*.json"


class Pulse:
    """The file of this process. A folder that cannot be written is logged once, and stops nobody."""

    def __init__(self, folder: Path) -> None:
        self._me = identity.current()
        self._path = folder / f"supervisor-{self._me.pid}.json"
        self._is_broken = False

    def beat(self, children: Sequence[str]) -> None:
        """Show that this process lives; `children` are the names of those that run."""
        content = {
            "pid": self._me.pid,
            "start_ticks": self._me.start_ticks,
            "at": boot_clock(),
            "children": list(children),
        }
        new = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            new.write_text(json.dumps(content))
            new.replace(self._path)
        except OSError as exc:
            if not self._is_broken:
                logger.warning(
                    "no probe can see this supervisor", folder=str(self._path.parent), reason=str(exc)
                )
            self._is_broken = True

    def stop(self) -> None:
        """The process ends in order."""
        with contextlib.suppress(OSError):
            self._path.unlink()


@dataclass(frozen=True, slots=True)
class Look:
    """What a probe found; `message` is a sentence."""

    is_alive: bool
    message: str


def look(folder: Path) -> Look:
    """Whether a supervisor of this machine, and of this container, lives and turns."""
    stuck = ""
    for path in sorted(folder.glob(_PATTERN)):
        told = _read(path)
        if told is None or identity.start_ticks(told["pid"]) != told["start_ticks"]:
            continue
        age = boot_clock() - told["at"]
        if age <= STALE_AFTER_SECONDS:
            names = ", ".join(told["children"]) or "no child"
            return Look(True, f"The supervisor (pid {told['pid']}) lives and runs {names}.")
        stuck = f"The supervisor (pid {told['pid']}) has shown no sign of life for {age:.0f} s."
    return Look(False, stuck or f"No supervisor runs here (there is no living one's file in {folder}).")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        told = json.loads(path.read_text())
        return {
            "pid": int(told["pid"]),
            "start_ticks": int(told["start_ticks"]),
            "at": float(told["at"]),
            "children": [str(name) for name in told["children"]],
        }
    except (OSError, ValueError, KeyError, TypeError):
        return None


def forget_the_dead(folder: Path) -> None:
    """Take away what supervisors left that were killed."""
    for path in folder.glob(_PATTERN):
        told = _read(path)
        if told is None or identity.start_ticks(told["pid"]) != told["start_ticks"]:
            with contextlib.suppress(OSError):
                os.unlink(path)
