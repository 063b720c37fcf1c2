"""What a worker answers to people who want something of its host."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import create_autospec

import pytest
import structlog
from django.db import connection

from hosts import identity
from hosts import operations as host_operations
from hosts.installation import current
from hosts.models import HostRequest
from jobs import claims
from supervisor.worker.engine import Engine
from supervisor.worker.keeper import HostKeeper
from supervisor.worker.settings import WorkerSettings
from tests.support.factories import make_host

pytestmark = pytest.mark.django_db(transaction=True)


@contextlib.contextmanager
def after_the_first(words: str, act: Callable[[], Any]) -> Iterator[None]:
    """Acts once, right after a statement with these words."""
    due = [act]

    def look(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        found = execute(sql, *rest)
        if words in sql and due:
            due.pop()()
        return found

    with connection.execute_wrapper(look):
        yield
    assert not due, f"there was no {words}"


def test_a_pause_in_the_middle_of_a_look_is_not_answered_with_what_was_before_it() -> None:
    host = make_host("here")
    who = identity.current()
    lease = claims.take_host(host.id, who=who)
    assert lease is not None
    settings = WorkerSettings(installation=current().pk, identity=who, who="test")
    keeper = HostKeeper(host, lease, create_autospec(Engine, instance=True), settings, structlog.get_logger())
    keeper.may_touch = True
    with after_the_first('FROM "hosts_dockerhost"', lambda: host_operations.pause(host.pk, by="test")):
        assert keeper.refresh({}) == ""
    assert keeper.refresh({}) == ""
    assert HostRequest.objects.get().result == "Takes no new jobs; 0 running."
