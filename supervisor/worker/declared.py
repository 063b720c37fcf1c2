"""Attempts that a person has called lost, where their executor can be asked for nothing.

Everybody else's runs hear of it at their next write. These have nothing to write: they ask again and again
what nobody can tell, and hold a slot.
"""

from __future__ import annotations

from collections.abc import Iterable

from hosts.leases import Lease
from jobs.models import Attempt
from jobs.states import AttemptState
from supervisor.worker.run import Run


def over(runs: Iterable[Run], lease: Lease) -> list[Run]:
    """Those of the runs whose attempts have ended by somebody else's word."""
    open_here = {run.attempt_id: run for run in runs if run.state is not AttemptState.ENDED}
    if not open_here:
        return []
    ours = Attempt.objects.open().filter(pk__in=open_here, epoch=lease.epoch)
    still = set(ours.values_list("pk", flat=True))
    return [run for key, run in open_here.items() if key not in still]
