"""Whom the clerk wakes: on SQLite nobody tells it anything, on PostgreSQL it must not miss what is told."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Iterator

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now

from hosts import inotify
from hosts.models import DockerHost
from hosts.wakeups import ANY, _send
from jobs import log_watch
from jobs.models import ContainerJob
from jobs.states import AttemptState
from supervisor.listening import PostgresListener, SqliteListener
from supervisor.worker.inbox import Wake
from tests.jobs.attempts import make_attempt
from tests.support.factories import make_host, make_job

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def listener() -> Iterator[SqliteListener]:
    listener = SqliteListener(Wake())
    listener.take()
    yield listener
    listener.close()


def elsewhere(act: object) -> None:
    """Write as another process would: the data version tells of other connections only."""

    def run() -> None:
        try:
            act()  # type: ignore[operator]
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def woken(listener: SqliteListener) -> list[str]:
    """Whom it wakes once it has seen that something was written."""
    listener.wait(0.2)
    return listener.take()


@pytest.mark.sqlite_only
def test_a_job_for_a_host_wakes_that_host_once(listener: SqliteListener) -> None:
    host, other = make_host("a"), make_host("b")
    elsewhere(lambda: make_job(host=host))
    assert woken(listener) == [str(host.pk)]
    elsewhere(lambda: DockerHost.objects.filter(pk=other.pk).update(seen_at=Now()))
    assert woken(listener) == []


@pytest.mark.sqlite_only
def test_a_job_for_any_host_wakes_them_all(listener: SqliteListener) -> None:
    make_host("a")
    elsewhere(make_job)
    assert woken(listener) == [ANY]


@pytest.mark.sqlite_only
def test_a_job_that_is_pending_again_wakes_its_host_again(listener: SqliteListener) -> None:
    host = make_host("a")
    elsewhere(lambda: make_job(host=host))
    woken(listener)
    for status, expected in (("running", []), ("pending", [str(host.pk)])):
        elsewhere(lambda status=status: ContainerJob.objects.update(status=status))
        assert woken(listener) == expected


@pytest.mark.sqlite_only
def test_what_was_written_while_nobody_waited_is_found(listener: SqliteListener) -> None:
    host = make_host("a")
    elsewhere(lambda: make_job(host=host))
    began = time.monotonic()
    listener.wait(5)
    assert time.monotonic() - began < 1
    assert listener.take() == [str(host.pk)]


@pytest.mark.sqlite_only
def test_a_write_ends_a_long_wait(listener: SqliteListener) -> None:
    threading.Timer(0.1, lambda: elsewhere(make_job)).start()
    began = time.monotonic()
    listener.wait(10)
    assert time.monotonic() - began < 3
    assert listener.take() == [ANY]


@pytest.mark.sqlite_only
def test_a_transaction_that_is_seen_long_after_it_was_written_ends_the_wait(
    listener: SqliteListener,
) -> None:
    """SQLite writes pages of a large one before its end: the kernel tells of those, and of no more."""

    def write_much() -> None:
        with transaction.atomic():
            connection.cursor().execute("PRAGMA cache_size=1")
            for _ in range(20):
                make_job()
            time.sleep(0.3)

    threading.Timer(0.1, lambda: elsewhere(write_much)).start()
    began = time.monotonic()
    listener.wait(10)
    assert time.monotonic() - began < 5
    assert listener.take() == [ANY]


@pytest.mark.sqlite_only
def test_where_the_kernel_tells_nothing_the_file_is_looked_at(
    transactional_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: str) -> int:
        raise OSError(errno.ENOSPC, "no inotify watches left")

    monkeypatch.setattr(inotify, "watch", refuse)
    listener = SqliteListener(Wake())
    listener.take()
    threading.Timer(0.1, lambda: elsewhere(make_job)).start()
    began = time.monotonic()
    listener.wait(10)
    assert time.monotonic() - began < 0.9
    assert listener.take() == [ANY]
    listener.close()


@pytest.mark.sqlite_only
def test_somebody_elses_wake_up_is_not_lost_behind_a_write(transactional_db: None) -> None:
    wake = Wake()
    listener = SqliteListener(wake)
    listener.take()
    connection.cursor().execute("PRAGMA user_version=7")  # its own: no news, though the file was written
    wake.set()
    began = time.monotonic()
    listener.wait(10)
    assert time.monotonic() - began < 3
    assert listener.take() == []
    listener.close()


@pytest.mark.sqlite_only
def test_an_unchanged_file_is_waited_on_for_as_long_as_was_asked(listener: SqliteListener) -> None:
    began = time.monotonic()
    listener.wait(0.2)
    assert time.monotonic() - began >= 0.2
    assert listener.take() == []


@pytest.fixture
def told(transactional_db: None) -> Iterator[PostgresListener]:
    listener = PostgresListener(Wake())
    listener.take()
    yield listener
    listener.close()
    connection.close()


@pytest.mark.postgres_only
def test_what_is_told_ends_the_wait(told: PostgresListener) -> None:
    threading.Timer(0.1, lambda: elsewhere(lambda: _send("h"))).start()
    began = time.monotonic()
    told.wait(5)
    assert time.monotonic() - began < 3
    assert told.take() == ["h"]


@pytest.mark.postgres_only
def test_what_is_told_while_the_clerk_asks_something_itself_ends_the_next_wait(
    told: PostgresListener,
) -> None:
    elsewhere(lambda: _send("h"))
    DockerHost.objects.count()  # takes the word off the socket
    began = time.monotonic()
    told.wait(5)
    assert time.monotonic() - began < 3
    assert told.take() == ["h"]


@pytest.mark.postgres_only
def test_at_first_everybody_is_woken(transactional_db: None) -> None:
    listener = PostgresListener(Wake())
    assert (listener.take(), listener.take()) == ([ANY], [])
    listener.close()


@pytest.mark.sqlite_only
def test_whoever_begins_to_look_at_a_log_wakes_its_host_once(listener: SqliteListener) -> None:
    attempt = make_attempt(AttemptState.RUNNING)
    woken(listener)
    elsewhere(lambda: log_watch.mark([attempt.pk]))
    assert woken(listener) == [str(attempt.host_id)]
    elsewhere(lambda: DockerHost.objects.update(seen_at=Now()))
    assert woken(listener) == []
