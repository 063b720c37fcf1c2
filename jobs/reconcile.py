"""What is on an engine beside what the rows say. Pure.

Open attempts look after their containers themselves; this finds the containers that no open attempt of the
host claims, of this installation only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from uuid import UUID

from hosts.executors.contract import Observation


@dataclass(frozen=True, slots=True)
class Plan:
    """`remove`: containers of attempts that have ended; `orphans`: containers of which no row tells."""

    remove: tuple[Observation, ...]
    orphans: tuple[Observation, ...]


def plan(
    present: Iterable[Observation],
    *,
    in_hand: Set[UUID],
    known: Mapping[tuple[UUID, int], bool],
    host_id: UUID,
) -> Plan:
    """Sort the containers that no run of this worker looks after.

    `in_hand` are the jobs with an open attempt; `known` maps (job, number) of the attempts that there are
    rows of to whether they have ended and their retention is over.
    """
    remove, orphans = [], []
    for seen in present:
        key = _key(seen)
        if key is None or key[0] in in_hand:
            continue
        if known.get(key):
            remove.append(seen)
        elif key not in known and seen.label("host") == str(host_id):
            orphans.append(seen)
    return Plan(tuple(remove), tuple(orphans))


def keys(present: Iterable[Observation]) -> set[tuple[UUID, int]]:
    """The (job, attempt number) pairs that the containers' labels name."""
    return {key for key in map(_key, present) if key is not None}


def _key(seen: Observation) -> tuple[UUID, int] | None:
    try:
        return UUID(seen.label("job")), int(seen.label("attempt"))
    except ValueError:
        return None
