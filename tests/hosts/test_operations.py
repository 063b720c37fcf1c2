"""What people ask of hosts is written down; a removed host is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from hosts import operations
from hosts.models import Availability, HostRequest, RequestVerb
from hosts.operations import HostRefused
from tests.support.factories import make_host

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("wish", "availability"),
    [
        (operations.cordon, Availability.CORDONED),
        (operations.drain, Availability.DRAINING),
        (operations.activate, Availability.ACTIVE),
    ],
)
@pytest.mark.parametrize("before", Availability)
def test_a_wish_replaces_the_one_before(wish, availability, before):
    host = make_host(availability=before)
    wish(host.id)
    host.refresh_from_db()
    assert host.availability == availability


def test_a_host_that_was_switched_off_is_switched_on_by_activate_only():
    host = make_host(is_active=False)
    for wish, is_active in ((operations.cordon, False), (operations.activate, True)):
        wish(host.id)
        host.refresh_from_db()
        assert host.is_active is is_active


@pytest.mark.parametrize("wish", [operations.cordon, operations.drain, operations.activate])
def test_a_removed_host_is_refused(wish):
    host = make_host(archived_at="2026-01-01T00:00:00Z")
    with pytest.raises(HostRefused, match="removed"):
        wish(host.id)


def test_a_test_is_asked_for_and_expires_if_nobody_takes_it():
    request = operations.request_test(make_host().id, by="ann")
    row = HostRequest.objects.annotate(now=Now()).get(pk=request.pk)
    assert (row.verb, row.by, row.taken_at, row.ok) == (RequestVerb.TEST, "ann", None, None)
    assert timedelta(seconds=55) < row.expires_at - row.now <= operations.REQUEST_LASTS
