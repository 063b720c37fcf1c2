from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db import OperationalError, connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext
from prometheus_client import openmetrics, parser
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from healthcheck import metrics
from healthcheck.probing import SingleFlight
from hosts import identity
from hosts.models import Action, DockerHost, HostState
from hosts.models.count import count
from jobs import totals
from jobs.models import ContainerJob, Tally
from jobs.models.job import Hold
from jobs.states import AttemptState
from supervisor import processes
from supervisor.models import Role, SupervisorProcess
from supervisor.processes import Known
from tests.jobs.attempts import make_attempt, take
from tests.support.factories import make_host, make_job

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def fresh_totals(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has not scraped yet: tests have a database of their own each."""
    monkeypatch.setattr(metrics._COLLECTOR, "_totals", totals.Counter())


def scrape(client: Client) -> dict[tuple[str, ...], float]:
    """All samples by name and label values, in the order of the labels' names."""
    text = client.get("/metrics").content.decode()
    return {
        (sample.name, *dict(sorted(sample.labels.items())).values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def tally(outcome: str = "succeeded", host: str = "a", **counts: Any) -> None:
    within = {f"within_{span}": 0 for span in ("1s", "10s", "1m", "10m", "1h")}
    Tally.objects.create(
        **{
            "minute": Now(),
            "host_name": host,
            "template_name": "t",
            "outcome": outcome,
            "log_bytes": 0,
            "beyond_1h": 0,
            **within,
            **counts,
        }
    )


def test_it_is_openmetrics_unless_only_the_older_text_is_accepted(client: Client) -> None:
    assert client.get("/metrics")["Content-Type"].startswith("application/openmetrics-text")
    assert client.get("/metrics").content.endswith(b"# EOF\n")
    older = client.get("/metrics", headers={"Accept": "text/plain;version=0.0.4"})
    assert older["Content-Type"].startswith("text/plain")
    assert list(parser.text_string_to_metric_families(older.content.decode()))
    assert openmetrics.exposition.CONTENT_TYPE_LATEST


def test_pending_jobs_are_told_by_what_they_wait_for(client: Client) -> None:
    ready = make_host("ready")
    take(ready)
    DockerHost.objects.update(state=HostState.ONLINE)
    cordoned = make_host("cordoned", availability="cordoned")
    for host in (None, ready, cordoned, cordoned):
        make_job(host=host)
    make_job(hold=Hold.STOPPED)
    ContainerJob.objects.filter(pk=make_job().pk).update(not_before_at="2999-01-01T00:00:00Z")
    retried = make_job()
    ContainerJob.objects.filter(pk=retried.pk).update(not_before_at="2999-01-01T00:00:00Z", attempt_count=1)
    found = scrape(client)
    depths = {key[1]: value for key, value in found.items() if key[0] == "tallyman_queue_depth"}
    assert depths == {"ready": 2, "host_cordoned": 2, "held": 1, "scheduled": 1, "backoff": 1}
    assert found["tallyman_jobs", "", "pending"] == 7
    assert 0 < found["tallyman_claim_lag_seconds",] < 60


def test_without_a_host_that_is_what_jobs_wait_for(client: Client) -> None:
    make_job()
    assert scrape(client)["tallyman_queue_depth", "no_host"] == 1


def test_hosts_tell_their_slots_and_whether_they_work(client: Client) -> None:
    host = make_host("a", max_concurrent_jobs=7)
    make_attempt(AttemptState.RUNNING, host=host)
    found = scrape(client)
    assert found["tallyman_host_up", "a"] == 0
    assert (found["tallyman_host_slots", "a"], found["tallyman_host_slots_held", "a"]) == (7, 1)
    assert found["tallyman_jobs", "a", "running"] == 1
    take(host)
    DockerHost.objects.update(state=HostState.ONLINE)
    found = scrape(client)
    assert found["tallyman_host_up", "a"] == 1
    assert 0 <= found["tallyman_host_lease_age_seconds", "a"] < 30


def test_processes_tell_their_heartbeat_and_restarts(client: Client) -> None:
    host, me = make_host("a"), identity.current()
    known = Known(role=Role.WORKER, pid=me.pid, start_ticks=me.start_ticks, host_id=host.pk, restarts=3)
    processes.beat(take(host).owner, [known])
    found = scrape(client)
    assert found["tallyman_worker_restarts_total", "a", me.machine] == 3
    assert 0 <= found["tallyman_process_heartbeat_age_seconds", "a", me.machine, str(me.pid), "worker"] < 15
    assert found["tallyman_process_resident_memory_bytes", "a", me.machine, str(me.pid), "worker"] > 1000


def test_of_rows_with_the_same_labels_the_last_to_beat_is_told(client: Client) -> None:
    """As those of a supervisor that was killed, and of the next one in the same container."""
    host, me = make_host("a"), identity.current()
    mine = {"pid": me.pid, "start_ticks": me.start_ticks}
    for restarts, is_stale in ((7, True), (0, False)):
        master = Known(role=Role.MASTER, **mine)
        worker = Known(
            role=Role.WORKER, host_id=host.pk, restarts=restarts, is_crash_looping=is_stale, **mine
        )
        processes.beat(uuid.uuid4(), [master, worker])
        if is_stale:
            SupervisorProcess.objects.update(heartbeat_at=Now() - timedelta(minutes=9))
    text = client.get("/metrics").content.decode()
    series = [line.rpartition(" ")[0] for line in text.splitlines() if not line.startswith("#")]
    assert len(series) == len(set(series))
    found = scrape(client)
    ages = [value for key, value in found.items() if key[0] == "tallyman_process_heartbeat_age_seconds"]
    assert len(ages) == 2
    assert max(ages) < 60
    assert found["tallyman_worker_restarts_total", "a", me.machine] == 0
    assert found["tallyman_worker_crash_looping", "a", me.machine] == 0


def test_a_secret_of_a_host_that_nobody_can_read_hides_no_metric(client: Client, settings: Any) -> None:
    host, me = make_host("a", secret_config={"registries": {"r": "p"}}), identity.current()
    known = Known(role=Role.WORKER, pid=me.pid, start_ticks=me.start_ticks, host_id=host.pk)
    processes.beat(take(host).owner, [known])
    settings.TALLYMAN_SECRET_KEYS = [Fernet.generate_key().decode()]
    assert scrape(client)["tallyman_worker_restarts_total", "a", me.machine] == 0


def test_while_the_database_is_away_it_is_not_asked_who_somebody_is(
    client: Client, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_away() -> Any:
        raise OperationalError("the connection was cut")

    settings.TALLYMAN_METRICS_PUBLIC = False
    client.cookies[settings.SESSION_COOKIE_NAME] = "somebody's"
    assert client.get("/metrics").status_code == 403
    monkeypatch.setattr(metrics, "_FLIGHT", SingleFlight(is_away))
    with CaptureQueriesContext(connection) as queries:
        assert client.get("/metrics").status_code == 503
    assert not queries.captured_queries


def test_what_reconciling_came_to_is_counted(client: Client) -> None:
    host = make_host("a")
    count(host.id, Action.ORPHAN)
    count(host.id, Action.ORPHAN, 2)
    count(host.id, Action.ADOPTED, 0)
    found = scrape(client)
    assert found["tallyman_reconcile_actions_total", "orphan", "a"] == 3
    assert ("tallyman_reconcile_actions_total", "adopted", "a") not in found


class TestEndedAttempts:
    def test_are_counters_and_a_histogram(self, client: Client) -> None:
        tally(count=6, seconds=3700.5, log_bytes=99, within_1s=3, within_1m=2, beyond_1h=1)
        tally("user", count=1, seconds=2, within_10s=1)
        found = scrape(client)
        assert found["tallyman_attempts_total", "a", "succeeded", "t"] == 6
        assert found["tallyman_log_bytes_total", "a"] == 99
        limits = ("1.0", "10.0", "60.0", "600.0", "3600.0", "+Inf")
        name = "tallyman_attempt_duration_seconds_bucket"
        assert [found[name, limit, "succeeded", "t"] for limit in limits] == [3, 3, 5, 5, 5, 6]
        assert found["tallyman_attempt_duration_seconds_sum", "succeeded", "t"] == 3700.5
        assert found["tallyman_attempt_duration_seconds_count", "user", "t"] == 1

    def test_never_count_down_when_retention_deletes_their_tallies(self, client: Client) -> None:
        tally(count=1, seconds=1, within_1s=1)
        for _ in range(2):
            Tally.objects.update(minute="2020-01-01T00:00:00Z")
            assert totals.fold_oldest(days=30) == 1
            tally(count=1, seconds=1, within_1s=1)
        assert totals.fold_oldest(days=30) == 0
        assert Tally.objects.count() == 1
        assert scrape(client)["tallyman_attempts_total", "a", "succeeded", "t"] == 3

    def test_are_read_once_and_then_only_what_came_since(self, client: Client) -> None:
        counter = totals.Counter()
        tally(count=5, seconds=1, within_1s=5)
        Tally.objects.update(minute="2020-01-01T00:00:00Z")
        assert counter.read()["a", "t", "succeeded"].count == 5
        Tally.objects.update(count=500)
        tally(count=1, seconds=1, within_1s=1)
        assert counter.read()["a", "t", "succeeded"].count == 6
