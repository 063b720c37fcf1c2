"""What a container that was found under a job's name means for the attempt that is to run. Pure."""

from __future__ import annotations

from enum import Enum, auto
from uuid import UUID

from hosts.executors.contract import ContainerState, Observation


class Found(Enum):
    """What was found, and so what to do."""

    FOREIGN = auto()  # not this row's: reject the attempt, never touch the container
    OLDER = auto()  # an earlier attempt's, which has ended: clear it away
    UNSTARTED = (
        auto()
    )  # this attempt's, made by an owner who did not start it: delete without force, make anew
    STARTING = auto()  # this attempt's, on its way: wait
    RUNNING = auto()  # this attempt's: adopt
    EXITED = auto()  # this attempt's: harvest


def classify(seen: Observation, *, installation: UUID, job_id: UUID, number: int) -> Found:
    """Read the container's labels and state, and nothing else of it."""
    if seen.label("installation") != str(installation) or seen.label("job") != str(job_id):
        return Found.FOREIGN
    if not seen.label("attempt").isdecimal():
        return Found.FOREIGN
    attempt = int(seen.label("attempt"))
    if attempt > number:
        # The row is the older one: a restored backup. What runs there may be wanted; it is not ours to end.
        return Found.FOREIGN
    if attempt < number:
        return Found.OLDER
    return _BY_STATE[seen.state]


_BY_STATE: dict[ContainerState, Found] = {
    "created": Found.UNSTARTED,
    "starting": Found.STARTING,
    "running": Found.RUNNING,
    "exited": Found.EXITED,
}
