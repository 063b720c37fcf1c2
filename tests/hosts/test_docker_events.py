"""The engine's news: at once, only ours, and over when we say so."""

from __future__ import annotations

import itertools
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from hosts.errors import DockerConnectionError
from hosts.executors.docker import DockerExecutor, events
from tests.support.containers import host_view, job_view, launch, script, until_exited
from tests.support.relay import Relay
from tests.support.waiting import wait_until

pytestmark = pytest.mark.docker

SLEEP = ("sleep", "60")


def test_news_comes_at_once_and_names_the_job(executor):
    stop = threading.Event()
    hints = executor.watch(stop)
    assert next(hints).action == "connected"
    job = script("exit 3")

    container_id = launch(executor, job)
    news = list(itertools.takewhile(lambda hint: hint.action != "die", hints))
    heard_at = datetime.now(UTC)

    assert [hint.action for hint in news] == ["create", "start"]
    assert {(hint.container_id, hint.job) for hint in news} == {(container_id, str(job.id))}
    died_at = until_exited(executor, container_id).finished_at
    assert heard_at - died_at < timedelta(seconds=2)
    hints.close()


def test_a_death_is_told_within_milliseconds(executor):
    container_id = launch(executor, job_view(*SLEEP))
    hints = executor.watch(threading.Event())
    next(hints)
    executor.signal(container_id, "KILL")

    died = next(hint for hint in hints if hint.action == "die")
    delay = datetime.now(UTC) - died.at

    assert delay < timedelta(milliseconds=250)
    hints.close()


def test_watching_ends_within_a_second_of_stop(executor):
    stop = threading.Event()
    heard = []
    watcher = threading.Thread(target=lambda: heard.extend(executor.watch(stop)))
    watcher.start()
    wait_until(lambda: heard, 5, "the watcher to connect")

    stop.set()
    started = time.monotonic()
    watcher.join(2)

    assert not watcher.is_alive()
    assert time.monotonic() - started < 1
    assert [hint.action for hint in heard] == ["connected"]


def test_a_quiet_stream_of_news_is_made_anew(executor, monkeypatch):
    monkeypatch.setattr(events, "IDLE_SECONDS", 0.3)
    hints = executor.watch(threading.Event())

    assert [next(hints).action for _ in range(2)] == ["connected", "connected"]
    hints.close()


def test_an_engine_that_sends_no_news_at_all_is_an_error(docker_engine, monkeypatch):
    monkeypatch.setattr(events, "ANSWER_SECONDS", 0.3)
    with Relay(docker_engine.url.removeprefix("unix://")) as relay:
        executor = DockerExecutor(host_view(relay.url))
        executor.check()
        relay.freeze()

        with pytest.raises(DockerConnectionError, match="fell silent"):
            next(executor.watch(threading.Event()))

        executor.close()


def test_news_of_other_installations_is_not_heard(executor, docker_engine):
    other = DockerExecutor(host_view(docker_engine.url))
    hints = executor.watch(threading.Event())
    next(hints)

    theirs = other.create(script("true"))
    ours = executor.create(script("true"))

    assert next(hints).container_id == ours.container_id
    hints.close()
    other.remove(theirs.container_id)
    other.close()
