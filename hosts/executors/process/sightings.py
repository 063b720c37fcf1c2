"""What callers were shown last, so that nobody deletes a job that ran in the belief that it never did.

Without this a start of an earlier worker could slip in between the look ("created") and the removal: a job
of a few milliseconds would be over by then, be deleted as if it had not run, and be run again.
"""

from __future__ import annotations

from collections.abc import Collection

from hosts.executors.contract import Observation


class Sightings:
    """Remembers, per job, whether it was shown as started. It never goes back from started."""

    def __init__(self) -> None:
        self._started: dict[str, bool] = {}

    def note(self, seen: Observation) -> Observation:
        """Remember what is about to be shown."""
        before = self._started.get(seen.container_id, False)
        self._started[seen.container_id] = before or seen.started_at is not None
        return seen

    def is_believed_unstarted(self, container_id: str) -> bool:
        """True only if it was shown, and never as started."""
        return not self._started.get(container_id, True)

    def forget(self, container_id: str) -> None:
        self._started.pop(container_id, None)

    def forget_all_but(self, container_ids: Collection[str]) -> None:
        for container_id in self._started.keys() - set(container_ids):
            self.forget(container_id)
