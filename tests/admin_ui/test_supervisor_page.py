"""The supervisor page: every process with what it does, and what may be asked of it."""

from __future__ import annotations

import os
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from hosts import identity, pausing
from hosts.models import Availability, DockerHost, HostRequest, Installation
from jobs.states import AttemptState
from supervisor import processes
from supervisor.models import Role, SupervisorProcess
from supervisor.processes import Known
from tests.admin_ui.people import client_of
from tests.jobs.attempts import make_attempt, take
from tests.jobs.test_flat_cost import long_reads, statements
from tests.support.factories import make_host, make_job

pytestmark = pytest.mark.django_db

SUPERVISOR = uuid.UUID(int=7)
MAY_SEE = ("supervisor.view_supervisorprocess", "hosts.view_dockerhost", "jobs.view_containerjob")


def beat(*workers: Known) -> None:
    mine = {"pid": os.getpid(), "start_ticks": identity.current().start_ticks}
    processes.beat(SUPERVISOR, [Known(role=Role.MASTER, state="running", **mine), *workers])


def worker(host: DockerHost, **fields) -> Known:
    mine = {"pid": os.getpid(), "start_ticks": identity.current().start_ticks}
    return Known(role=Role.WORKER, host_id=host.pk, **{**mine, "state": "running", **fields})


def page(client):
    answer = client.get(reverse("admin:part_supervisor"))
    assert answer.status_code == 200
    return answer


def rows(client) -> list:
    return [row for one in page(client).context["supervisors"] for row in one["rows"]]


def ask(client, verb: str, host: DockerHost | None = None, *, method: str = "post"):
    url = reverse("admin:supervisor_act", args=[verb]) + (f"?host={host.pk}" if host else "")
    return getattr(client, method)(url, headers={"HX-Request": "true"})


def test_without_a_supervisor_the_exact_command_is_told(admin_client):
    make_host("a")
    text = page(admin_client).content.decode()
    assert "No supervisor is running" in text
    assert "manage.py supervise" in text
    assert "It gets one as soon as a supervisor runs." in text


def test_each_process_is_shown_with_what_it_runs(admin_client):
    host = make_host("a", max_concurrent_jobs=7)
    take(host)
    beat(worker(host))
    job = make_job(name="busy")
    make_attempt(AttemptState.RUNNING, host=host, job=job)
    master, own = rows(admin_client)
    assert (master.record["role"], own.record["host"], own.word) == ("master", "a", "ok")
    assert own.jobs == [{"url": reverse("admin:job", args=[job.pk]), "name": "busy"}]
    text = page(admin_client).content.decode()
    assert "1 / 7" in text
    assert "No supervisor is running" not in text


def test_a_crash_loop_says_its_cause_and_when_it_is_tried_again(admin_client):
    now = identity.boot_clock()
    crash = {"exit_clock": now - 1, "failing_clock": now - 60, "restarts": 6, "is_crash_looping": True}
    beat(worker(make_host("a"), state="crash-looping", last_exit="signal 11: SIGSEGV", **crash))
    text = page(admin_client).content.decode()
    assert "signal 11: SIGSEGV" in text
    assert "ever longer waits" in text


def test_a_restart_long_over_is_told_with_its_reason(admin_client):
    beat(worker(make_host("a"), last_exit="exit code 1", exit_clock=identity.boot_clock() - 5, restarts=1))
    assert "The one before it ended" in page(admin_client).content.decode()


def test_a_process_without_a_fresh_beat_is_marked(admin_client):
    beat(worker(make_host("a")))
    SupervisorProcess.objects.update(heartbeat_at=Now() - timedelta(minutes=1))
    assert {row.label for row in rows(admin_client)} == {"stale"}
    assert "No supervisor is running" in page(admin_client).content.decode()


# ── acts ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("verb", "availability"),
    [("pause", Availability.CORDONED), ("resume", Availability.ACTIVE), ("restart", Availability.ACTIVE)],
)
def test_an_act_is_an_intent_that_is_followed_to_its_answer(admin_client, verb, availability):
    host = make_host("a")
    beat(worker(host))
    answer = ask(admin_client, verb, host)
    assert answer.status_code == 204
    assert "a" in answer["HX-Trigger"]
    host.refresh_from_db()
    assert host.availability == availability
    request = HostRequest.objects.get()
    assert (request.verb, request.by) == (verb, "admin")
    assert page(admin_client).context["requests"][0]["answer"] == "waiting for the worker"
    HostRequest.objects.update(done_at=Now(), ok=False, result="it is too busy")
    assert page(admin_client).context["requests"][0]["answer"] == "failed: it is too busy"


def test_a_dialog_says_what_goes_on(admin_client):
    host = make_host("a")
    make_attempt(AttemptState.RUNNING, host=host)
    for verb in ("pause", "restart"):
        text = ask(admin_client, verb, host, method="get").content.decode()
        assert "1 job runs there, and goes on." in text
    assert "1 job runs, and goes on." in ask(admin_client, "pause-all", method="get").content.decode()
    assert not HostRequest.objects.exists()


def test_without_a_supervisor_nobody_is_asked_for_a_restart(admin_client):
    answer = ask(admin_client, "restart", make_host("a"))
    assert "No supervisor is running" in answer["HX-Trigger"]
    assert not HostRequest.objects.exists()


def test_all_hosts_are_paused_and_resumed_at_once(admin_client):
    beat()
    ask(admin_client, "pause-all")
    assert Installation.objects.get().paused_by == "admin"
    text = page(admin_client).content.decode()
    assert "All claims are paused by admin" in text
    assert "already" in ask(admin_client, "pause-all")["HX-Trigger"]
    ask(admin_client, "resume-all")
    assert Installation.objects.get().paused_at is None
    assert "Nothing was paused" in ask(admin_client, "resume-all")["HX-Trigger"]


def test_who_may_only_look_can_press_nothing():
    client, host = client_of(*MAY_SEE), make_host("a")
    beat(worker(host))
    text = page(client).content.decode()
    assert reverse("admin:supervisor_act", args=["pause"]) not in text
    pausing.pause_all(by="x")
    for verb in ("pause", "resume", "restart", "pause-all", "resume-all"):
        assert ask(client, verb, host).status_code == 403
    assert Installation.objects.get().paused_by == "x"


def test_what_is_not_there_cannot_be_asked(admin_client):
    assert ask(admin_client, "explode", make_host("a")).status_code == 404
    assert ask(admin_client, "pause").status_code == 404
    gone = make_host("gone", archived_at=Now())
    assert ask(admin_client, "pause", gone).status_code == 404


# ── cost ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_many_processes_cost_the_queries_of_one(admin_client):
    counts, workers = [], []
    for number in range(3):
        host = make_host(f"h{number}")
        make_attempt(AttemptState.RUNNING, host=host, job=make_job())
        make_attempt(AttemptState.ENDED, host=host, job=make_job(), outcome="succeeded")
        HostRequest.objects.create(host=host, verb="pause", expires_at=Now())
        workers.append(worker(host, pid=number + 2, start_ticks=number))
        beat(*workers)
        page(admin_client)
        with CaptureQueriesContext(connection) as queries, statements() as seen:
            page(admin_client)
        counts.append(len(queries))
        assert [line for statement in seen for line in long_reads(statement)] == []
    assert len(set(counts)) == 1
    assert counts[0] <= 8
