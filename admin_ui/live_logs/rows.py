"""A log as pages and sockets send it: rows of a line's number, stream, time and text. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from hosts.executors import frames
from jobs import spec
from jobs.log_lines import Line, Lines
from jobs.models import Attempt, ContainerExecution, JobEvent
from jobs.states import AttemptState

# [number, stream (0: the engine's), milliseconds since 1970, text]; and the size of a line that is cut.
Row: TypeAlias = list[Any]

STREAMS = ("all", "stdout", "stderr", "docker")
_MOST_EVENTS = 200
_MOST_PLACED = 30


def row(line: Line) -> Row:
    """A line as JSON; what is no UTF-8 is replaced."""
    is_cut = line.size > len(line.data)
    text = line.data.decode(errors="replace").removesuffix("\r")
    if not is_cut:
        return [line.number, line.stream, line.at_ms, text]
    return [line.number, line.stream, line.at_ms, text.rstrip("\N{REPLACEMENT CHARACTER}"), line.size]


def rows(lines: Iterable[Line]) -> list[Row]:
    """Lines as JSON."""
    return [row(line) for line in lines]


def is_final(attempt: Attempt) -> bool:
    """Whether nothing more comes: the rest of a log is written with its attempt's end."""
    return attempt.state == AttemptState.ENDED


def count(attempt: Attempt, stream: str) -> int:
    """How many lines there are to be had in the end, those left out included."""
    return 0 if attempt.logs_deleted_at else Lines(attempt.pk, stream).count(attempt)


@dataclass(frozen=True, slots=True)
class Event:
    """What an engine, or our worker, did with the container."""

    at: datetime | None
    text: str

    @property
    def at_ms(self) -> int:
        """Its time; 0 for none."""
        return frames.nanoseconds(self.at) // 1_000_000 if self.at else 0


def events(attempt: Attempt) -> list[Event]:
    """The engine's own as soon as the attempt has ended; until then, what its worker noted."""
    executions = ContainerExecution.objects.filter(job=attempt.job_id, attempt_number=attempt.number)
    text = executions.values_list("docker_log", flat=True).first()
    if text:
        return [_event(line) for line in text.splitlines()]
    noted = JobEvent.objects.filter(job=attempt.job_id, attempt_number=attempt.number).order_by("at", "id")
    found = noted.values_list("at", "kind", "message")[:_MOST_EVENTS]
    return [Event(at, f"{kind} {message}".strip()) for at, kind, message in found]


def _event(line: str) -> Event:
    time, _space, rest = line.partition(" ")
    try:
        at = parse_datetime(time)
    except ValueError:
        at = None
    return Event(at, rest) if at else Event(None, line)


def event_rows(attempt: Attempt) -> list[Row]:
    """The events as lines of a log of their own."""
    return [[number, 0, event.at_ms, event.text] for number, event in enumerate(events(attempt))]


def about(attempt: Attempt, stream: str) -> dict[str, Any]:
    """All there is to know of a log beside its lines."""
    has_lines = stream != "docker" and not attempt.logs_deleted_at
    gap = None
    if has_lines and attempt.log_gap_bytes:
        gap = Lines(attempt.pk, stream).gap(spec.complete(attempt.spec)["max_log_bytes"])
    return {
        "gap": gap,
        "gap_bytes": attempt.log_gap_bytes,
        "events": _placed(attempt) if stream == "all" else [],
        "notice": _notice(attempt),
        "began": frames.nanoseconds(attempt.started_at or attempt.claimed_at) // 1_000_000,
    }


def _placed(attempt: Attempt) -> list[Row]:
    """[the line that an event comes before, milliseconds, text]."""
    lines, found, searched = Lines(attempt.pk), list[Row](), 0
    for event in events(attempt):
        place = found[-1][0] if found else 0
        if event.at and searched < _MOST_PLACED and not attempt.logs_deleted_at:
            searched += 1
            place = max(place, lines.line_at(event.at))
        found.append([place, event.at_ms, event.text])
    return found


def _notice(attempt: Attempt) -> str:
    if attempt.logs_deleted_at:
        return attempt.logs_note or _("The log was deleted.")
    if attempt.logs_note:
        return attempt.logs_note
    if is_final(attempt) and not attempt.logs_complete:
        return _("The end of this log could not be read: it may be incomplete.")
    return ""


def newest(found: Sequence[Row], most_rows: int, most_characters: int) -> list[Row]:
    """The last rows, no more of them than that."""
    size, kept = 0, list[Row]()
    for one in reversed(found[-most_rows:]):
        size += len(one[3])
        if kept and size > most_characters:
            break
        kept.append(one)
    return kept[::-1]
