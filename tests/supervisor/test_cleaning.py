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
from jobs.kept_containers import Keep
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
    return keeper_of(host, asked, Keep())


def keeper_of(host: DockerHost, asked: list[str], keep: Keep) -> HostKeeper:
    settings = WorkerSettings(installation=uuid.uuid4(), identity=identity.current(), who="test", keep=keep)
    engine: Any = SimpleNamespace(step=lambda _host, _step, _call, container_id: asked.append(container_id))
    return HostKeeper(host, take(host), engine, settings, structlog.get_logger())


def kept_containers(host: DockerHost) -> list[Observation]:
    """Those of jobs that ended an hour ago, one after the other."""
    attempts = [make_attempt("exited", job=make_job(), host=host) for _ in range(COUNT)]
    for attempt in attempts:
        end(attempt)
    for number, attempt in enumerate(attempts):
        ended_at = F("ended_at") - timedelta(hours=1, seconds=COUNT - number)
        Attempt.objects.filter(pk=attempt.pk).update(ended_at=ended_at)
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


@pytest.mark.parametrize(
    ("keep", "gone"),
    [
        (Keep(hours=2), 0),
        (Keep(hours=0.5), COUNT),
        (Keep(hours=2, count=4), COUNT - 4),
        (Keep(hours=2, count=COUNT), 0),
        (Keep(hours=0.5, count=4), COUNT),
    ],
    ids=str,
)
def test_of_those_that_are_kept_a_while_the_newest_stay_and_no_more_than_the_count(
    host: DockerHost, asked: list[str], keep: Keep, gone: int
) -> None:
    present, keeper = kept_containers(host), keeper_of(host, asked, keep)
    look(keeper, host, present)
    for _ in present:
        keeper.cleaned()
    assert asked == [f"c{number}" for number in range(gone)]


def test_what_still_runs_is_not_among_those_that_are_counted(host: DockerHost, asked: list[str]) -> None:
    present, keeper = kept_containers(host), keeper_of(host, asked, Keep(hours=2, count=COUNT))
    running = make_attempt("running", job=make_job(), host=host)
    labels = {"job": running.job_id, "attempt": running.number, "host": host.pk}
    words = {LABEL_PREFIX + key: str(value) for key, value in labels.items()}
    seen = Observation(container_id="r", name=running.container_name, state="running", labels=words)
    look(keeper, host, [seen, *present])
    assert asked == []
