"""How an attempt is called on ECS, so that whoever comes later finds its task again. Pure.

The id that stands in the attempt's row is made before there is a task: the attempt's own id, which is the
token of its only RunTask, the job's, and the attempt's number. The task carries them in its tags.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from hosts.executors.contract import LABEL_PREFIX, HostView, JobView, labels_for

ATTEMPT_TAG = LABEL_PREFIX + "attempt_id"
# A token is good for as long as its task is, and an hour more; a stopped task is shown for an hour.
REMEMBERED = timedelta(minutes=55)


class Identity(NamedTuple):
    """What a container id says."""

    attempt_id: UUID
    job_id: UUID
    number: int

    @classmethod
    def of(cls, job: JobView) -> Identity:
        """Of an attempt."""
        return cls(job.attempt_id, job.id, job.attempt)

    @classmethod
    def parse(cls, container_id: str) -> Identity | None:
        """Of a container id; None for a text that is none."""
        try:
            attempt, job, number = container_id.split(".")
            return cls(UUID(attempt), UUID(job), int(number))
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.attempt_id}.{self.job_id}.{self.number}"

    def claimed_at(self) -> datetime | None:
        """When the attempt was made, which its id tells (RFC 9562, version 7); None: this one does not."""
        if self.attempt_id.version != 7:  # noqa: PLR2004
            return None
        return datetime.fromtimestamp((self.attempt_id.int >> 80) / 1000, UTC)


def started_by(host: HostView) -> str:
    """What all tasks of this installation are listed by."""
    return f"tallyman-{host.installation}"


def container_name(host: HostView, job: str) -> str:
    """The contract's name of a job's container; no two installations share one."""
    return f"tallyman-{host.installation}-{job}"


def labels_known(host: HostView, who: Identity) -> dict[str, str]:
    """What of the labels an attempt's id tells, for one that has no task."""
    return {
        LABEL_PREFIX + "installation": str(host.installation),
        LABEL_PREFIX + "host": str(host.id),
        LABEL_PREFIX + "job": str(who.job_id),
        LABEL_PREFIX + "attempt": str(who.number),
        ATTEMPT_TAG: str(who.attempt_id),
    }


def tags_of(host: HostView, job: JobView) -> dict[str, str]:
    """The labels of a task, as tags."""
    return {**labels_for(host, job), ATTEMPT_TAG: str(job.attempt_id)}
