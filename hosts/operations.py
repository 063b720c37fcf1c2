"""What people may ask of hosts. Pages and commands call these; a worker carries them out."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.db.models.functions import Now

from hosts import wakeups
from hosts.errors import TallymanError
from hosts.models import Availability, DockerHost, HostRequest, RequestVerb

REQUEST_LASTS = timedelta(seconds=60)


class HostRefused(TallymanError):
    """The operation does not fit the host as it is; the text says why."""


def cordon(host_id: UUID) -> None:
    """Take no new jobs on the host; the running ones go on."""
    _want(host_id, availability=Availability.CORDONED)


def drain(host_id: UUID) -> None:
    """Take no new jobs on the host, and wait for the running ones to end."""
    _want(host_id, availability=Availability.DRAINING)


def activate(host_id: UUID) -> None:
    """Let the host take jobs again, if it was cordoned, draining or switched off."""
    _want(host_id, availability=Availability.ACTIVE, is_active=True)


def request_test(host_id: UUID, *, by: str) -> HostRequest:
    """Ask the worker that holds the host to test its connection; the answer comes into the row."""
    request = HostRequest.objects.create(
        host_id=host_id, verb=RequestVerb.TEST, by=by, expires_at=Now() + REQUEST_LASTS
    )
    wakeups.notify(host_id)
    return request


def _want(host_id: UUID, **wishes: object) -> None:
    if not DockerHost.objects.filter(pk=host_id, archived_at=None).update(**wishes, updated_at=Now()):
        raise HostRefused("This host was removed; add it again first.")
    wakeups.notify(host_id)
