"""Samples of hosts, thinned out as they age: each for an hour, then one for every five minutes."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.db.models.functions import Now

from hosts.models import HostSample

WHOLE_FOR = timedelta(hours=1)
STEP_SECONDS = 300
BATCH = 2000


class SampleThinner:
    """Goes through the samples from old to new, a batch a call, and remembers how far it is.

    It begins anew with each process, so nothing is left for long that another did not get to.
    """

    def __init__(self) -> None:
        self._after: datetime | None = None
        self._kept: dict[UUID, int] = {}  # the last step of each host that has its sample

    def thin(self) -> bool:
        """Thin the next batch; whether there may be more to do at once."""
        samples = HostSample.objects.filter(at__lt=Now() - WHOLE_FOR).order_by("at", "pk")
        if self._after is not None:
            samples = samples.filter(at__gte=self._after)
        batch = list(samples.values_list("pk", "host_id", "at")[:BATCH])
        surplus = []
        for key, host_id, at in batch:
            step = int(at.timestamp()) // STEP_SECONDS
            if self._kept.get(host_id) == step and at != self._after:
                surplus.append(key)
            self._kept[host_id] = step
        HostSample.objects.filter(pk__in=surplus).delete()
        if batch:
            self._after = batch[-1][2]
        return len(batch) == BATCH
