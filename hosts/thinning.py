"""Samples of hosts, thinned out as they age: each for an hour, then one for every five minutes."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.db.models.functions import Now

from hosts.models import HostSample

WHOLE_FOR = timedelta(hours=1)
STEP_SECONDS = 300
BATCH = 500


class SampleThinner:
    """Goes through the samples from old to new, a batch a call, and remembers how far it is.

    A new process begins with the oldest again. Several may be at it: what the one left, the other does.
    """

    def __init__(self) -> None:
        self._after = 0  # primary keys grow with time
        self._kept: dict[UUID, int] = {}  # the newest step of each host that has its sample

    def thin(self) -> bool:
        """Thin the next batch; whether there may be more to do at once."""
        samples = HostSample.objects.filter(pk__gt=self._after, at__lt=Now() - WHOLE_FOR).order_by("pk")
        batch = list(samples.values_list("pk", "host_id", "at")[:BATCH])
        kept, surplus = dict(self._kept), []
        for key, host_id, at in batch:
            step = int(at.timestamp()) // STEP_SECONDS
            if kept.get(host_id) == step:
                surplus.append(key)
            kept[host_id] = step
        HostSample.objects.filter(pk__in=surplus).delete()
        if batch:  # not before the deletion held: else a batch tried again would lose what it shall keep
            self._after, self._kept = batch[-1][0], kept
        return len(batch) == BATCH
