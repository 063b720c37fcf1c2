"""An engine that says what no database stores: its worker goes on, and the attempt ends with a sentence."""

from __future__ import annotations

import math
import uuid
from dataclasses import replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
import structlog

from hosts import identity
from hosts.errors import DockerConnectionError
from hosts.executors.contract import EngineFacts, Usage
from hosts.models import DockerHost, HostRequest, HostSample, HostState
from jobs import usage
from jobs.models import Attempt, ContainerExecution
from jobs.states import AttemptState, Outcome
from supervisor.worker import ledger
from supervisor.worker.breadcrumb import Breadcrumbs
from supervisor.worker.keeper import HostKeeper
from supervisor.worker.run import LogStage, Need, Run
from supervisor.worker.sampler import UsageRead
from supervisor.worker.settings import WorkerSettings
from supervisor.worker.steps import StepDone
from tests.jobs.attempts import make_attempt, take
from tests.supervisor.runs import NOW, answer, make_run, observation
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

CRUMB = Breadcrumbs().main
HOSTILE = "a\x00b\ud800c" + "x" * 300_000
AT = datetime(2026, 1, 1, tzinfo=UTC)


def runs(state: AttemptState) -> list[Run]:
    """The run that the engine is hostile to, and one beside it."""
    host, template = make_host(), make_template()
    attempts = [make_attempt(state, job=make_job(template), host=host, container_id=f"c{n}") for n in (1, 2)]
    return [Run.of(attempt, infra_failures=0) for attempt in attempts]


def ended(*some: Run) -> dict[uuid.UUID, Attempt]:
    for run in some:
        run.need, run.log = Need.END, LogStage.DONE
    held, stale = ledger.write_ends(some, "host-a", "test", CRUMB)
    assert (held, stale) == (list(some), [])
    return {attempt.id: attempt for attempt in Attempt.objects.all()}


def test_whatever_is_said_of_an_exit_the_attempt_ends_and_so_does_the_one_beside_it() -> None:
    hostile, beside = runs(AttemptState.RUNNING)
    said = {"error": HOSTILE, "image_digest": HOSTILE, "metadata": {HOSTILE: [HOSTILE, math.nan]}}
    answer(hostile, "OBSERVE", observation(hostile, "exited", exit_code=10**30, **said))
    answer(beside, "OBSERVE", observation(beside, "exited", exit_code=0, finished_at=AT, container_id="c2"))
    for run in (hostile, beside):
        assert run.move is not None
    held, stale = ledger.write_moves([hostile, beside], "test", CRUMB)
    assert (set(map(id, held)), stale) == ({id(hostile), id(beside)}, [])
    rows = ended(hostile, beside)
    assert rows[beside.attempt_id].outcome == Outcome.SUCCEEDED
    row = rows[hostile.attempt_id]
    assert (row.outcome, row.failure_class) == (Outcome.USER, "exit_code")
    assert str(10**30) in row.failure_message


@pytest.mark.parametrize(
    "said",
    [
        {"exit_code": "137"},
        {"exit_code": 0, "started_at": AT, "finished_at": AT.replace(tzinfo=None)},
        {"exit_code": 0, "started_at": 5, "finished_at": AT},
    ],
    ids=["code", "naive", "number"],
)
def test_an_exit_that_nobody_can_reckon_with_ends_the_attempt_with_a_sentence(said: dict[str, Any]) -> None:
    hostile, beside = runs(AttemptState.EXITED)
    hostile.seen = observation(hostile, "exited", **said)
    beside.seen = observation(beside, "exited", exit_code=0)
    rows = ended(hostile, beside)
    assert rows[beside.attempt_id].outcome == Outcome.SUCCEEDED
    row = rows[hostile.attempt_id]
    assert (row.outcome, row.failure_class) == (Outcome.INTERRUPTED, "unreadable_end")
    assert "cannot be understood" in row.failure_message


def test_readings_that_cannot_be_stored_do_not_keep_an_attempt_from_its_end() -> None:
    hostile, beside = runs(AttemptState.EXITED)
    reading, left_out = usage.storable(Usage(memory_bytes=10**30, pids=-1, cpu_seconds=math.nan))
    assert set(left_out) == {"memory_bytes", "pids", "cpu_seconds"}
    for run, measures in ((hostile, reading), (beside, Usage(memory_bytes=7))):
        run.usage.add(replace(measures, at=datetime.now(UTC)))
        run.seen = observation(run, "exited", exit_code=0)
    hostile.usage.network_rx_bytes = 10**30  # the sum of many may be too much where each was not
    readings = [UsageRead(run.attempt_id, reading, run.usage) for run in (hostile, beside)]
    ledger.store_usage(readings, {run.attempt_id: run for run in (hostile, beside)})
    ended(hostile, beside)
    peaks = dict(ContainerExecution.objects.values_list("job_id", "peak_memory_bytes"))
    assert peaks == {hostile.job_id: None, beside.job_id: 7}


def test_a_container_with_an_endless_id_is_not_started() -> None:
    run = make_run()
    answer(run, "ENSURE", observation(run, "created", fresh=True, container_id="c" * 201))
    assert run.verdict is not None
    assert (run.verdict.outcome, run.need, run.move) == (Outcome.REJECTED, Need.END, None)
    assert "201 characters" in run.verdict.message


@pytest.fixture
def host() -> DockerHost:
    return make_host()


@pytest.fixture
def keeper(host: DockerHost) -> HostKeeper:
    settings = WorkerSettings(installation=uuid.uuid4(), identity=identity.current(), who="test")
    engine: Any = SimpleNamespace(hands=SimpleNamespace(engine_id=""))
    return HostKeeper(host, take(host), engine, settings, structlog.get_logger())


def hear(keeper: HostKeeper, host: DockerHost, **said: Any) -> DockerHost:
    """Let the keeper write one answer of the engine; the host's row."""
    keeper.take(StepDone(host.id, "CHECK", **said), NOW)
    keeper.write({}, NOW)
    host.refresh_from_db()
    return host


def test_an_engine_that_lies_about_itself_is_online_all_the_same(
    host: DockerHost, keeper: HostKeeper
) -> None:
    facts = EngineFacts(
        engine_id=HOSTILE,
        version=HOSTILE,
        cpus=-(10**12),
        memory_bytes=10**30,
        containers_running=10**12,
    )
    for _ in range(2):
        assert hear(keeper, host, result=facts).state == HostState.ONLINE
    assert (host.engine_cpus, host.engine_memory_bytes, len(host.engine_version)) == (None, None, 100)
    assert HostSample.objects.get().containers_running is None
    assert keeper.may_touch


def test_an_engine_in_bad_condition_is_degraded_with_the_reason_until_it_is_well_again(
    host: DockerHost, keeper: HostKeeper
) -> None:
    well = EngineFacts(
        engine_id="e",
        version="27",
        containers_running=7,
        cpu_percent=12.5,
        memory_used_bytes=2**30,
        disk_free_bytes=60,
        disk_total_bytes=100,
    )
    hear(keeper, host, result=replace(well, disk_free_bytes=2))
    assert (host.state, host.state_reason) == ("degraded", "less than 5% of its disk is free")
    assert keeper.may_claim
    since = host.state_since_at
    hear(keeper, host, result=replace(well, disk_free_bytes=1))
    assert host.state_since_at == since
    assert hear(keeper, host, result=well).state == HostState.ONLINE
    assert (host.containers_running, host.disk_free_bytes, host.disk_total_bytes) == (7, 2, 100)
    sample = HostSample.objects.get()
    assert (sample.cpu_percent, sample.memory_used_bytes, sample.disk_free_bytes) == (12.5, 2**30, 2)


def test_an_engine_that_is_another_hosts_is_asked_again_ever_more_seldom(
    host: DockerHost, keeper: HostKeeper
) -> None:
    make_host("owner", engine_id="e")
    waits = []
    for _ in range(6):
        assert hear(keeper, host, result=EngineFacts(engine_id="e", version="27")).state == HostState.PARKED
        waits.append(keeper.next_clock - NOW)
    assert "the engine of host 'owner' already" in host.state_reason
    assert not keeper.may_touch
    assert waits[0] > 0.5
    assert waits[-1] >= 8


def test_what_is_on_an_engine_is_asked_as_soon_as_it_is_known(host: DockerHost, keeper: HostKeeper) -> None:
    hear(keeper, host, result=EngineFacts(engine_id="e", version="27"))
    assert keeper.next_clock <= NOW
    keeper.take(StepDone(host.id, "LIST", result=[]), NOW)
    keeper.write({}, NOW)
    assert keeper.next_clock >= NOW + 5


def test_an_error_with_any_text_is_the_reason_shown_and_answers_requests(
    host: DockerHost, keeper: HostKeeper
) -> None:
    request = HostRequest.objects.create(host=host, verb="test", expires_at=datetime(2100, 1, 1, tzinfo=UTC))
    keeper.refresh({})
    assert hear(keeper, host, error=DockerConnectionError(HOSTILE)).state == HostState.UNREACHABLE
    assert host.state_reason.startswith("a\ufffdb\ufffdc")
    request.refresh_from_db()
    assert request.ok is False
