"""A host with very many containers that nobody needs any more."""

from __future__ import annotations

import uuid
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
import structlog
from django.db.models import F

from hosts import identity
from hosts.executors.contract import LABEL_PREFIX, Observation
from hosts.models import DockerHost
from jobs.models import Attempt
from supervisor.worker.cleaning import AT_ONCE
from supervisor.worker.keeper import HostKeeper
from supervisor.worker.settings import WorkerSettings
from supervisor.worker.steps import StepDone
from tests.jobs.attempts import end, make_attempt, take
from tests.supervisor.runs import NOW
from tests.support.factories import make_host, make_job

pytestmark = pytest.mark.django_db
COUNT = 6


@pytest.fixture
def host() -> DockerHost:
    return make_host()


@pytest.fixture
def asked() -> list[str]:
    """The ids of the containers whose removal was handed to a thread."""
    return []


@pytest.fixture
def keeper(host: DockerHost, asked: list[str]) -> HostKeeper:
    settings = WorkerSettings(installation=uuid.uuid4(), identity=identity.current(), who="test")
    engine: Any = SimpleNamespace(step=lambda _host, _step, _call, container_id: asked.append(container_id))
    return HostKeeper(host, take(host), engine, settings, structlog.get_logger())


def kept_containers(host: DockerHost) -> list[Observation]:
    """Those of jobs that ended an hour ago."""
    attempts = [make_attempt("exited", job=make_job(), host=host) for _ in range(COUNT)]
    for attempt in attempts:
        end(attempt)
    Attempt.objects.update(ended_at=F("ended_at") - timedelta(hours=1))
    names = {"job": "job_id", "attempt": "number", "host": "host_id"}
    return [
        Observation(
            container_id=f"c{number}",
            name=attempt.container_name,
            state="exited",
            labels={LABEL_PREFIX + key: str(getattr(attempt, name)) for key, name in names.items()},
        )
        for number, attempt in enumerate(attempts)
    ]


def look(keeper: HostKeeper, host: DockerHost, present: list[Observation]) -> None:
    keeper.take(StepDone(host.id, "LIST", result=present), NOW)
    keeper.write({}, NOW)


def test_they_go_a_few_at_a_time_however_often_the_engine_is_looked_at(
    keeper: HostKeeper, host: DockerHost, asked: list[str]
) -> None:
    present = kept_containers(host)
    for _ in range(3):
        look(keeper, host, present)
        assert asked == ["c0", "c1"]
    assert len(asked) == AT_ONCE
    look(keeper, host, present[AT_ONCE:])
    for _ in present:
        keeper.cleaned()
    assert asked == [f"c{number}" for number in range(COUNT)]
