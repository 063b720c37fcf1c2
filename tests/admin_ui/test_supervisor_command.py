"""manage.py supervisor: what it shows, asks for and exits with."""

from __future__ import annotations

import os
import uuid

import pytest
from django.db.models.functions import Now

from admin_ui.cli import supervisors
from hosts import identity, pausing
from hosts.models import Availability, HostRequest, Installation
from jobs import claims, reasons
from jobs.models import ContainerJob
from supervisor import processes
from supervisor.models import Role, SupervisorProcess
from supervisor.processes import Known
from tests.admin_ui.commands import manage
from tests.jobs.attempts import take
from tests.support.factories import make_host, make_job

pytestmark = pytest.mark.django_db

SUPERVISOR = uuid.UUID(int=7)


def supervisor(*arguments: str):
    return manage("supervisor", *arguments)


def beat(*workers: Known) -> None:
    mine = {"pid": os.getpid(), "start_ticks": identity.current().start_ticks}
    processes.beat(SUPERVISOR, [Known(role=Role.MASTER, state="running", **mine), *workers])


def worker(host, pid: int = 1, ticks: int = 5, **fields) -> Known:
    return Known(role=Role.WORKER, pid=pid, start_ticks=ticks, host_id=host.pk, **fields)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisors, "_ANSWER_SECONDS", 0.2)


# --- status ---


def test_status_shows_the_tree_in_one_query_a_table(django_assert_num_queries):
    for name in "ba":
        make_host(name)
    a, b = make_host("c"), make_host("d")
    now = identity.boot_clock()
    looping = worker(
        b,
        pid=2,
        state="crash-looping",
        last_exit="signal 11: SIGSEGV",
        exit_clock=now - 1,
        failing_clock=now - 60,
        is_crash_looping=True,
        restarts=6,
    )
    beat(worker(a, state="running"), looping)
    with django_assert_num_queries(2):
        tree = supervisor("status", "--json").json
    (one,) = tree["supervisors"]
    assert [(row["role"], row["host"]) for row in one["processes"]] == [
        ("master", None),
        ("worker", "c"),
        ("worker", "d"),
    ]
    master, stale, crashed = one["processes"]
    assert (master["pid"], master["is_stale"], master["threads"] > 0) == (os.getpid(), False, True)
    assert stale["is_stale"], "its row says that it runs, and it does not"
    assert (crashed["is_crash_looping"], crashed["is_stale"], crashed["restarts"]) == (True, False, 6)
    text = supervisor("status").text
    assert "worker[c]" in text
    assert "running, stale" in text
    assert "worker[d] crash-loops since" in text
    assert "signal 11: SIGSEGV" in text


def test_a_heartbeat_of_long_ago_is_marked():
    beat()
    SupervisorProcess.objects.update(heartbeat_at=Now() - processes.timedelta(minutes=1))
    assert supervisor("status", "--json").json["supervisors"][0]["processes"][0]["is_stale"]
    assert "1 min" in supervisor("status").text


def test_without_a_supervisor_status_says_so():
    result = supervisor("status")
    assert (result.code, result.text) == (0, "")
    assert "No supervisor is running" in result.stderr
    assert supervisor("status", "--json").json == {"paused": None, "supervisors": []}


# --- asking one host ---


@pytest.mark.parametrize("verb", ["restart", "pause", "resume"])
def test_without_a_supervisor_asking_fails_at_once(verb):
    make_host("a")
    result = supervisor(verb, "a")
    assert result.code == 75
    assert "No supervisor is running" in result.stderr


@pytest.mark.parametrize("verb", ["restart", "pause", "resume"])
def test_a_request_that_nobody_takes_is_told_of(verb, impatient):
    make_host("a")
    beat()
    result = supervisor(verb, "a")
    assert result.code == 75
    assert "No worker holds host a." in result.stderr


@pytest.mark.parametrize(
    ("verb", "ok", "code"), [("restart", True, 0), ("restart", False, 1), ("pause", True, 0)]
)
def test_the_answer_is_the_outcome(verb, ok, code, monkeypatch: pytest.MonkeyPatch):
    host = make_host("a")
    beat()

    def answer(_seconds: float) -> None:
        HostRequest.objects.filter(verb=verb).update(done_at=Now(), ok=ok, result="This came.")

    monkeypatch.setattr(supervisors.time, "sleep", answer)
    result = supervisor(verb, "a")
    assert result.code == code
    assert "a: This came." in result.text + result.stderr
    request = HostRequest.objects.get(host=host)
    assert "(command line)" in request.by


def test_pause_and_resume_are_kept_in_the_hosts_row(impatient):
    host = make_host("a")
    supervisor("pause", "a")
    host.refresh_from_db()
    assert host.availability == Availability.CORDONED
    supervisor("resume", "a")
    host.refresh_from_db()
    assert host.availability == Availability.ACTIVE


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("pause",), 2, "--all"),
        (("pause", "a", "--all"), 2, "not allowed with"),
        (("restart",), 2, "HOST"),
        (("restart", "a"), 4, "There are no hosts yet."),
        ((), 2, "SUBCOMMAND"),
    ],
)
def test_what_is_wrong_is_one_line_with_the_right_exit_code(arguments, code, words):
    result = supervisor(*arguments)
    assert result.code == code
    assert words in result.stderr


# --- all hosts ---


def test_pause_all_stops_every_claim_and_resume_lets_them_go_on():
    host = make_host("a", state="online")
    lease = take(host)
    pinned, shared = make_job(host=host), make_job()

    def claimed() -> set[uuid.UUID]:
        wanted = claims.Wanted(room=5)
        attempts = claims.claim(lease, host, wanted, installation=SUPERVISOR, who="test")
        return {attempt.job_id for attempt in attempts}

    result = supervisor("pause", "--all")
    assert (result.code, result.text) == (0, "Paused: no job is claimed on any host; 0 running.\n")
    assert claimed() == set()
    assert not claims.anything_claimable(host.pk), "so a worker does not even begin"
    reasons.write()
    for job in ContainerJob.objects.all():
        assert job.pending_reason.startswith("All claims are paused since ")
        assert "resume --all" in job.pending_reason
    assert supervisor("status").text.startswith("All claims are paused since ")
    assert "already" in supervisor("pause", "--all").text
    assert supervisor("resume", "--all").text == "Jobs are claimed again.\n"
    assert claimed() == {pinned.pk, shared.pk}
    assert supervisor("resume", "--all").text == "Nothing was paused.\n"
    assert Installation.objects.get().paused_by == ""


def test_pausing_says_who_did_it():
    assert pausing.pause_all(by="x" * 500)
    assert len(Installation.objects.get().paused_by) == 150
