"""Statements that are made once and sent many times."""

from __future__ import annotations

import pytest
from django.db import connection
from django.db.models.functions import Now

from hosts.kept import KeptQuery, KeptUpdate
from hosts.models import DockerHost
from tests.support.factories import make_host

pytestmark = pytest.mark.django_db


def test_a_kept_query_says_what_is_there_each_time_it_is_asked() -> None:
    kept = KeptQuery(DockerHost.objects.filter(is_active=True).order_by("name").values_list("name", "weight"))
    assert kept.rows() == []
    make_host("b", weight=7)
    make_host("a", weight=8)
    assert kept.rows() == [("a", 8), ("b", 7)]
    DockerHost.objects.filter(name="a").update(is_active=False)
    assert kept.rows() == [("b", 7)]


def test_a_kept_update_changes_what_it_fits_each_time_and_counts_it() -> None:
    kept = KeptUpdate(DockerHost.objects.filter(weight=7), weight=9, seen_at=Now())
    assert kept.run() == 0
    host, other = make_host("a", weight=7), make_host("b", weight=8)
    assert (kept.run(), kept.run()) == (1, 0)
    host.refresh_from_db()
    other.refresh_from_db()
    assert (host.weight, other.weight, other.seen_at) == (9, 8, None)
    assert host.seen_at is not None


@pytest.mark.parametrize("name", ["it's", 'a "b"', "100 %s", "%", "ü\\n", "?", "None"])
def test_values_are_kept_as_they_are(name: str) -> None:
    make_host(name, weight=5)
    kept = KeptQuery(DockerHost.objects.filter(name=name).values_list("name", "weight"))
    assert kept.rows() == kept.rows() == [(name, 5)]
    assert KeptUpdate(DockerHost.objects.filter(name=name), state_reason=name, weight=7).run() == 1
    assert DockerHost.objects.get(state_reason=name).weight == 7


def test_it_is_made_without_a_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise AssertionError("it connects")

    with monkeypatch.context() as patched:
        patched.setattr(connection, "ensure_connection", refuse)
        kept = KeptQuery(DockerHost.objects.filter(weight=7).values_list("name"))
    assert kept.rows() == []
