"""Stopping all claims of the whole installation at once, and letting them go on.

A claim locks its host's lease FOR SHARE and then reads the installation's row in the statement that picks
jobs. A pause locks every lease first: it waits for the claims under way, and those that come after see it.
So once `pause_all` has returned nothing is claimed any more, at the cost of one look at one row a claim.
"""

from __future__ import annotations

from django.db import transaction
from django.db.models.functions import Now

from audit import acts
from hosts import installation, wakeups
from hosts.models import HostLease, Installation

_WHO_LENGTH = Installation._meta.get_field("paused_by").max_length


@acts.noted("installation.pause", kind="installation", tell="was_going")
def pause_all(*, by: str) -> bool:
    """Let nobody claim a job on any host; what runs goes on. False: it was paused already."""
    installation.current()
    with transaction.atomic():
        list(HostLease.objects.select_for_update().order_by("pk").values_list("pk"))
        going = Installation.objects.filter(paused_at=None)
        return bool(going.update(paused_at=Now(), paused_by=by[:_WHO_LENGTH]))


@acts.noted("installation.resume", kind="installation", tell="was_paused")
def resume_all() -> bool:
    """Let jobs be claimed again. False: nothing was paused."""
    resumed = Installation.objects.exclude(paused_at=None).update(paused_at=None, paused_by="")
    wakeups.notify(None)
    return bool(resumed)
