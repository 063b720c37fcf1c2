"""The rows of a supervisor's processes: kept alive cheaply, and written when there is something to say."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from hosts import identity
from supervisor import processes
from supervisor.models import Role, SupervisorProcess
from supervisor.processes import Heartbeat, Known

pytestmark = pytest.mark.django_db


@pytest.fixture
def known() -> Known:
    me = identity.current()
    return Known(role=Role.MASTER, pid=me.pid, start_ticks=me.start_ticks, state="running")


@pytest.fixture
def heartbeat() -> Heartbeat:
    return Heartbeat(uuid.uuid4())


@pytest.fixture
def other() -> Iterator[Known]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield Known(
        role=Role.WORKER, pid=process.pid, start_ticks=identity.start_ticks(process.pid) or 0, state="running"
    )
    process.communicate()


def rows() -> list[dict[str, Any]]:
    return list(SupervisorProcess.objects.order_by("role").values("role", "state", "rss_bytes", "uss_bytes"))


def make_stale() -> None:
    SupervisorProcess.objects.update(heartbeat_at=Now() - timedelta(minutes=1), rss_bytes=1)


def test_the_first_beat_says_what_the_kernel_tells(heartbeat: Heartbeat, known: Known) -> None:
    heartbeat.beat([known])
    (row,) = rows()
    assert (row["role"], row["state"]) == ("master", "running")
    assert row["rss_bytes"] >= row["uss_bytes"] > 2**20


def test_the_next_one_only_says_that_all_are_alive(heartbeat: Heartbeat, known: Known) -> None:
    heartbeat.beat([known])
    make_stale()
    heartbeat.beat([known])
    assert SupervisorProcess.objects.alive().get().rss_bytes == 1


def test_now_and_then_everything_is_written_again(
    heartbeat: Heartbeat, known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_WRITE_EVERY_SECONDS", 0.0)
    heartbeat.beat([known])
    make_stale()
    heartbeat.beat([known])
    assert SupervisorProcess.objects.alive().get().rss_bytes > 1


def test_who_came_went_or_changed_is_written_at_once(
    heartbeat: Heartbeat, known: Known, other: Known
) -> None:
    heartbeat.beat([known])
    heartbeat.beat([known, other])
    assert [row["role"] for row in rows()] == ["master", "worker"]
    heartbeat.beat([dataclasses.replace(known, state="draining")])
    assert [(row["role"], row["state"]) for row in rows()] == [("master", "draining")]


def test_rows_that_somebody_deleted_come_back(heartbeat: Heartbeat, known: Known) -> None:
    heartbeat.beat([known])
    SupervisorProcess.objects.all().delete()
    heartbeat.beat([known])
    assert len(rows()) == 1


def test_nothing_is_said_of_a_process_whose_pid_is_anothers(heartbeat: Heartbeat, known: Known) -> None:
    heartbeat.beat([dataclasses.replace(known, start_ticks=1)])
    assert (rows()[0]["rss_bytes"], rows()[0]["uss_bytes"]) == (None, None)
