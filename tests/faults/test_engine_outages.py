"""Engines that go away, come back without their containers, or come back as another one."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from hosts.models import DockerHost, HostState
from jobs.models import Attempt
from tests.faults.bench import Bench, log_of, make_template
from tests.faults.counting import COUNTED
from tests.faults.soak import OUTAGE_SECONDS
from tests.support import supervising
from tests.support.engines import Engine, running_engine
from tests.support.supervising import wait_for_all_ended, wait_for_status
from tests.support.taps import EngineTap
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.docker,
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.postgres_only,
    pytest.mark.django_db(transaction=True),
]


def becomes(host: DockerHost, state: HostState) -> None:
    seen = DockerHost.objects.filter(pk=host.pk, state=state)
    wait_until(seen.exists, timeout_seconds=25, what=f"the host to be {state}")


@pytest.mark.parametrize("away", [Engine.stop, Engine.kill], ids=["stopped", "killed"])
def test_what_dies_with_its_engine_is_interrupted_and_fails_only_when_the_engine_is_back(
    bench: Bench, away: Callable[[Engine], None]
) -> None:
    again = make_template("again", max_attempts=2, retry_on=["interrupted"], retry_delay_seconds=0)
    with supervising.running("supervise", database_url=bench.database_url):
        bench.holder()
        once = bench.submit("echo here; exec sleep 600")
        twice = bench.submit("echo here; [ $TALLYMAN_ATTEMPT = 2 ] || exec sleep 600", template=again)
        for job in (once, twice):
            wait_for_status(job, "running")
            wait_until(lambda job=job: bench.runs_of(job)[1], what="the container to run")
        away(bench.engine)
        becomes(bench.host, HostState.UNREACHABLE)
        if away is Engine.kill:  # one that is stopped may still tell that it ended its containers
            assert set(Attempt.objects.values_list("state", flat=True)) == {"running"}
        bench.engine.start()
        wait_for_all_ended()
        bench.wait_until_empty()
    once.refresh_from_db()
    assert once.status == "failed"
    assert Attempt.objects.get(job=once).outcome == "interrupted"
    assert list(twice.attempts.order_by("number").values_list("outcome", flat=True)) == [
        "interrupted",
        "succeeded",
    ]
    assert bench.runs_of(once)[1] == {"1": 1}
    assert bench.runs_of(twice)[1] == {"1": 1, "2": 1}


@pytest.mark.parametrize("away", [Engine.stop, Engine.kill], ids=["stopped", "killed"])
def test_jobs_run_on_through_a_restart_of_an_engine_with_live_restore(
    bench: Bench, away: Callable[[Engine], None]
) -> None:
    turns = range(60)
    script = "i=0; while [ $i -lt 60 ]; do echo turn $i; i=$((i+1)); sleep 0.1; done"
    with running_engine("--live-restore") as engine, EngineTap(engine.url.removeprefix("unix://")) as tap:
        DockerHost.objects.update(is_active=False)
        host = DockerHost.objects.create(name="live", connection_string=tap.url, policy=COUNTED)
        with supervising.running("supervise", database_url=bench.database_url):
            becomes(host, HostState.ONLINE)
            job = bench.submit(script)
            wait_for_status(job, "running")
            wait_until(lambda: bench.runs_of(job)[1], what="the container to run")
            away(engine)
            becomes(host, HostState.UNREACHABLE)
            assert Attempt.objects.get().state == "running"
            engine.start()
            wait_for_status(job, "completed")
            wait_until(lambda: not engine.api.containers(all=True), 40, "no container to be left")
    assert log_of(job) == [("".join(f"turn {turn}\n" for turn in turns).encode(), b"")]
    assert bench.runs_of(job)[1] == {"1": 1}
    assert Attempt.objects.count() == 1


def test_another_engine_at_the_same_address_parks_the_host_and_is_not_touched(
    bench: Bench, two_engines: tuple[Engine, Engine]
) -> None:
    other = two_engines[1]
    with supervising.running("supervise", database_url=bench.database_url):
        bench.holder()
        job = bench.submit("sleep 3; echo done")
        wait_for_status(job, "running")
        bench.engine_tap.lead_to(other.url.removeprefix("unix://"))
        becomes(bench.host, HostState.PARKED)
        waiting = bench.submit("true")
        wait_until(lambda: not bench.engine.api.containers(), 20, "the container to end")
        assert Attempt.objects.get().state == "running", "nobody knows what became of it"
        assert not other.api.containers(all=True)
        bench.engine_tap.lead_to(bench.engine.url.removeprefix("unix://"))
        wait_for_status(job, "completed")
        wait_for_status(waiting, "completed")
    assert log_of(job) == [(b"done\n", b"")]
    assert bench.runs_of(job) == ({"1": 1}, {"1": 1})


@pytest.mark.soak
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_five_minutes_without_an_engine_are_like_five_seconds(bench: Bench, how: str) -> None:
    """Its containers run on, or end meanwhile: nothing is failed, and no byte is missing when it is back."""
    lines = int(2 * OUTAGE_SECONDS) + 20 if how == "killed" else 20
    long = make_template("long", timeout_seconds=1000)
    script = f"i=0; while [ $i -lt {lines} ]; do echo turn $i; i=$((i+1)); sleep 0.5; done; exit 4"
    with running_engine("--live-restore") as engine, EngineTap(engine.url.removeprefix("unix://")) as tap:
        DockerHost.objects.update(is_active=False)
        host = DockerHost.objects.create(
            name="live", connection_string=tap.url, executor_config={"timeout": 10}, policy=COUNTED
        )
        with supervising.running("supervise", database_url=bench.database_url) as command:
            becomes(host, HostState.ONLINE)
            pids = [process.pid for process in command.tree]
            job = bench.submit(script, template=long)
            wait_for_status(job, "running")
            wait_until(lambda: bench.runs_of(job)[1], what="the container to run")
            engine.kill() if how == "killed" else engine.pause()
            began = time.monotonic()
            becomes(host, HostState.UNREACHABLE)
            waiting = bench.submit("true")
            wait_until(lambda: time.monotonic() - began > OUTAGE_SECONDS, OUTAGE_SECONDS + 10)
            assert Attempt.objects.get().state == "running", "nobody knows what became of it"
            engine.start() if how == "killed" else engine.resume()
            wait_for_status(job, "failed", timeout_seconds=60)
            wait_for_status(waiting, "completed")
            assert [process.pid for process in command.tree] == pids
            wait_until(lambda: not engine.api.containers(all=True), 40, "no container to be left")
    assert (job.exit_code, job.attempts.get().outcome) == (4, "user")
    assert log_of(job) == [("".join(f"turn {turn}\n" for turn in range(lines)).encode(), b"")]
    assert bench.runs_of(job)[1] == {"1": 1}
