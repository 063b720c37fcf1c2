from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from django.test.utils import CaptureQueriesContext

from healthcheck import checks
from hosts import identity, pausing
from hosts.models import DockerHost, HostState
from jobs.models import ContainerJob
from supervisor import processes
from supervisor.models import Role, SupervisorProcess
from supervisor.processes import Known
from tests.jobs.attempts import take
from tests.support.factories import make_host, make_job

# The checks run on a thread of their own: it sees what is committed.
pytestmark = pytest.mark.django_db(transaction=True)
TOKEN = "a token for tests"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(autouse=True)
def token(settings: Any) -> None:
    settings.TALLYMAN_PROBE_TOKEN = TOKEN


@pytest.fixture
def working() -> DockerHost:
    """A host that works, and a supervisor that beats."""
    me = identity.current()
    known = Known(role=Role.MASTER, pid=me.pid, start_ticks=me.start_ticks)
    processes.beat(take(online("here")).owner, [known])
    return DockerHost.objects.get()


def online(name: str) -> DockerHost:
    host = make_host(name)
    DockerHost.objects.filter(pk=host.pk).update(state=HostState.ONLINE)
    return host


def details(client: Client) -> dict[str, tuple[str, str]]:
    """Status and message of each check of /health/."""
    answer = client.get("/health/", headers=BEARER).json()
    return {found["check"]: (found["status"], found["message"]) for found in answer["checks"]}


def test_a_system_that_works_is_ok(client: Client, working: DockerHost) -> None:
    answer = client.get("/health/", headers=BEARER)
    assert answer.status_code == 200
    assert {found["status"] for found in answer.json()["checks"]} == {"ok"}
    assert answer.json()["status"] == "ok"
    assert answer["Content-Type"] == "application/json"
    assert "no-store" in answer["Cache-Control"]


def test_without_a_supervisor_it_fails_and_says_what_to_do(client: Client) -> None:
    answer = client.get("/health/", headers=BEARER)
    assert answer.status_code == 503
    assert details(client)["SupervisorBeats"] == (
        "fail",
        "no supervisor is running; start manage.py supervise",
    )


def test_a_host_that_does_not_answer_is_a_warning_while_another_works(
    client: Client, working: DockerHost
) -> None:
    take(make_host("away", state=HostState.UNREACHABLE))
    answer = client.get("/health/", headers=BEARER)
    assert (answer.status_code, answer.json()["status"]) == (200, "warn")
    status, message = details(client)["HostsWork"]
    assert (status, message) == (
        "warn",
        "1 of 2 active hosts cannot run jobs (away: its engine does not answer)",
    )


def test_a_job_that_waits_though_a_host_has_room_fails_it(client: Client, working: DockerHost) -> None:
    job = make_job()
    assert details(client)["ClaimsFlow"][0] == "ok"
    ContainerJob.objects.filter(pk=job.pk).update(created_at=Now() - timedelta(minutes=3))
    assert details(client)["ClaimsFlow"][0] == "fail"
    assert details(client)["QueueMoves"][0] == "ok"


def test_a_job_that_waits_for_a_full_host_only_warns_after_a_while(
    client: Client, working: DockerHost
) -> None:
    DockerHost.objects.update(state=HostState.UNREACHABLE)
    ContainerJob.objects.filter(pk=make_job().pk).update(created_at=Now() - timedelta(minutes=16))
    assert details(client)["ClaimsFlow"][0] == "ok"
    assert details(client)["QueueMoves"][0] == "warn"


def test_a_job_that_is_to_start_later_counts_from_then(client: Client, working: DockerHost) -> None:
    job = make_job(not_before_at=Now() - timedelta(seconds=1))
    ContainerJob.objects.filter(pk=job.pk).update(created_at=Now() - timedelta(hours=3))
    ContainerJob.objects.filter(pk=make_job().pk).update(not_before_at=Now() + timedelta(hours=3))
    assert details(client)["ClaimsFlow"][0] == "ok"


def test_a_pause_is_a_warning_and_hides_no_host_that_is_out_of_order(
    client: Client, working: DockerHost
) -> None:
    pausing.pause_all(by="ada")
    found = details(client)
    assert found["NothingPaused"][0] == "warn"
    assert "by ada" in found["NothingPaused"][1]
    assert found["HostsWork"][0] == "ok"
    DockerHost.objects.update(state=HostState.UNREACHABLE)
    assert details(client)["HostsWork"][0] == "fail"


def test_a_worker_that_crashes_again_and_again_is_a_warning(client: Client, working: DockerHost) -> None:
    SupervisorProcess.objects.update(is_crash_looping=True, last_exit="killed by SEGV", host=working)
    assert details(client)["WorkersStay"] == (
        "warn",
        "processes that crash again and again: here: killed by SEGV",
    )


class TestWhoMaySeeWhat:
    def test_strangers_get_the_bare_status(self, client: Client, working: DockerHost) -> None:
        assert client.get("/health/").json() == {"status": "ok"}
        assert client.get("/health/", headers={"Authorization": "Bearer wrong"}).json() == {"status": "ok"}
        assert client.get("/health/", headers={"Authorization": TOKEN}).json() == {"status": "ok"}

    def test_no_token_is_not_a_token(self, client: Client, working: DockerHost, settings: Any) -> None:
        settings.TALLYMAN_PROBE_TOKEN = ""
        assert client.get("/health/", headers={"Authorization": "Bearer "}).json() == {"status": "ok"}

    @pytest.mark.parametrize(("is_staff", "sees"), [(True, True), (False, False)])
    def test_staff_see_the_details(
        self, client: Client, working: DockerHost, is_staff: bool, sees: bool
    ) -> None:
        client.force_login(User.objects.create(username="somebody", is_staff=is_staff))
        assert ("checks" in client.get("/health/").json()) == sees

    def test_metrics_need_it_too_unless_they_are_public(self, client: Client, settings: Any) -> None:
        settings.TALLYMAN_METRICS_PUBLIC = False
        assert client.get("/metrics").status_code == 403
        assert client.get("/metrics", headers=BEARER).status_code == 200
        settings.TALLYMAN_METRICS_PUBLIC = True
        assert client.get("/metrics").status_code == 200


class TestHowProbesCome:
    @pytest.mark.parametrize("path", ["/health/", "/health/live", "/health/ready", "/metrics"])
    def test_by_any_host_name_over_plain_http(self, client: Client, settings: Any, path: str) -> None:
        settings.ALLOWED_HOSTS = ["tallyman.example"]
        settings.SECURE_SSL_REDIRECT = True
        answer = client.get(path, headers={"Host": "10.1.2.3:8000"})
        assert answer.status_code in {200, 503}
        assert client.get("/admin/login/", headers={"Host": "10.1.2.3:8000"}).status_code == 400

    @pytest.mark.parametrize("path", ["/health/", "/health/live", "/health/ready", "/metrics"])
    def test_head_has_no_body(self, client: Client, working: DockerHost, path: str) -> None:
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")

    def test_whatever_is_accepted_it_is_json(self, client: Client) -> None:
        for accepted in ("*/*", "text/html", "foo"):
            assert client.get("/health/live", headers={"Accept": accepted}).json()["status"] == "ok"

    def test_live_asks_no_database(self, client: Client) -> None:
        with CaptureQueriesContext(connection) as queries:
            assert client.get("/health/live").json() == {"status": "ok", "checks": []}
        assert not queries.captured_queries


class TestACheckThatBreaks:
    def test_hides_neither_the_others_nor_what_it_tells_strangers(
        self, client: Client, working: DockerHost, monkeypatch: pytest.MonkeyPatch, caplog: Any
    ) -> None:
        def broken(_self: object) -> None:
            raise ValueError("a secret")

        monkeypatch.setattr(checks.QueueMoves, "run", broken)
        with caplog.at_level(logging.CRITICAL):
            found = details(client)
        assert found["QueueMoves"] == ("fail", "this check is broken; see the log")
        assert found["DiskHasRoom"][0] == "ok"


class TestTheCommand:
    def test_it_says_what_was_found_and_exits_with_it(
        self, working: DockerHost, capsys: pytest.CaptureFixture[str]
    ) -> None:
        call_command("health_check", "--no-http")
        assert "HostsWork: ok" in capsys.readouterr().out
        processes.SupervisorProcess.objects.all().delete()
        with pytest.raises(SystemExit) as ended:
            call_command("health_check", "--no-http")
        assert ended.value.code == 1
        assert "SupervisorBeats: fail (no supervisor is running" in capsys.readouterr().out

    def test_a_warning_is_healthy(self, working: DockerHost, capsys: pytest.CaptureFixture[str]) -> None:
        make_host("away")
        call_command("health_check", "--no-http")
        assert "HostsWork: warn (1 of 2" in capsys.readouterr().out
