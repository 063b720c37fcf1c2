"""The cap on what is kept of an attempt's log: its head and its tail stay, what lies between is left out.

The cap (`max_log_bytes` of the frozen spec) counts what the container wrote, not the frames around it.

* Head: the frames that begin in the first half of the cap. A chunk never lies on both sides of that border.
* Tail: the newest chunks that fit into what the head leaves of the cap.

So a log up to the cap is kept whole, and of a longer one the cap is never exceeded. Chunks keep the numbers
and counters that they had in the full log: a jump in them is the gap, and tells its size per stream.
"""

from __future__ import annotations

from uuid import UUID

from django.db.models import F, Q

from hosts.executors import frames
from hosts.executors.registry import configured_log_limit
from hosts.models import DockerHost
from jobs import deflate
from jobs.logs import Piece
from jobs.models import Attempt, ContainerTemplate, LogChunk
from jobs.states import DECLARED_LOST, OPEN_STATES, AttemptState

_MOST_NAMES = 5
_BEGIN = F("stdout_bytes_before") + F("stderr_bytes_before")


def warning_for(host: DockerHost) -> str:
    """A sentence if the host's engine drops a part of logs that their templates want whole; else empty."""
    limit = configured_log_limit(host.executor_type, host.executor_config)
    if limit is None:
        return ""
    live = ContainerTemplate.objects.filter(archived_at=None, max_log_bytes__gte=limit)
    names = list(live.order_by("name").values_list("name", flat=True)[: _MOST_NAMES + 1])
    if not names:
        return ""
    named = ", ".join(names[:_MOST_NAMES]) + (" and others" if len(names) > _MOST_NAMES else "")
    return (
        f"Host {host.name} drops the oldest of a log at {limit} bytes (log_max_size), less than "
        f"max_log_bytes of {named}: leave log_max_size out, or make it four times what is to be kept."
    )


def split(piece: Piece, *, begin: int, cap: int) -> tuple[Piece, Piece] | None:
    """The piece as two, where the head ends inside it; `begin` is its place in the full log."""
    head = cap // 2
    if not begin < head < begin + piece.payload_bytes:
        return None
    data = deflate.decompress(piece.data)
    place = frames.cut_at_payload(data, head - begin)
    return (Piece.of(data[:place]), Piece.of(data[place:])) if place < len(data) else None


def trim(attempt_id: UUID, epoch: int, cap: int, *, from_seq: int = 0) -> int:
    """Leave out the oldest chunks of the tail that the cap has no room for; the number of its first one.

    Call it in one transaction with the append before it. `from_seq` is the answer of the call before: where
    to look for the tail (0: anywhere). The newest chunk stays, whatever its size.
    """
    archived = Q(state=AttemptState.ENDED, failure_class=DECLARED_LOST)
    attempt = Attempt.objects.filter(Q(state__in=OPEN_STATES) | archived, pk=attempt_id, epoch=epoch)
    counted = attempt.values_list("stdout_bytes", "stderr_bytes", "log_gap_bytes").first()
    if counted is None:
        return from_seq
    over = counted[0] + counted[1] - counted[2] - cap
    chunks = LogChunk.objects.filter(attempt_id=attempt_id, seq__gte=from_seq).order_by("seq")
    tail = chunks.annotate(begin=_BEGIN).filter(begin__gte=cap // 2).values_list("seq", "begin")
    first = tail.first() if over > 0 else None
    if first is None:
        return from_seq
    kept = tail.filter(begin__gte=first[1] + over).first() or tail.last() or first
    if kept != first:
        attempt.update(log_gap_bytes=F("log_gap_bytes") + kept[1] - first[1])
        LogChunk.objects.filter(attempt_id=attempt_id, seq__range=(first[0], kept[0] - 1)).delete()
    return int(kept[0])
