"""Jobs in the admin: submitting, acting on many, deleting, reading their logs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.db import connections
from django.test import AsyncClient
from django.urls import reverse
from django.utils import timezone

from admin_ui.admin import log_view
from hosts.executors import frames
from hosts.executors.contract import Usage
from jobs.models import Attempt, ContainerExecution, ContainerJob, JobEvent, LogChunk
from jobs.states import AttemptState, JobStatus, Outcome
from tests.admin_ui.rows import store_log
from tests.admin_ui.test_admin_pages import url
from tests.jobs.attempts import end, make_attempt
from tests.jobs.chunks import out, text
from tests.jobs.test_log_cap import capped, store
from tests.jobs.test_usage import store_readings
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

LIST = "admin:jobs_containerjob_changelist"


def act(client, action: str, *jobs: ContainerJob) -> str:
    """Do a bulk action; the message it leaves."""
    response = client.post(reverse(LIST), {"action": action, "_selected_action": [job.pk for job in jobs]})
    return str(list(get_messages(response.wsgi_request))[-1])


def log_of(job: ContainerJob) -> str:
    return reverse("admin:jobs_containerjob_log", args=[job.pk])


def test_how_far_a_pull_is_stands_beside_the_status(admin_client):
    words = "Pulling busybox:1: 3 of 7 layers"
    job = make_attempt(AttemptState.PULLING, phase=words).job
    assert words in admin_client.get(reverse(LIST)).content.decode()
    assert words in admin_client.get(url(ContainerJob, "change", job.pk)).content.decode()


# --- submitting ---


def test_a_job_is_submitted_with_its_overrides(admin_client, admin_user):
    host = make_host("a")
    form = {
        "template": make_template().pk,
        "docker_host": host.pk,
        "name": "by hand",
        "override_image": "other:1",
        "override_command": "echo 1",
        "override_environment": '{"A": "1"}',
        "override_max_attempts": "3",
        "override_retry_on": '["user"]',
        "override_start_deadline_seconds": "60",
        "priority": "5",
    }
    response = admin_client.post(url(ContainerJob, "add"), form)
    assert response.status_code == 302
    job = ContainerJob.objects.get()
    assert (job.name, job.docker_host, job.priority, job.override_image) == ("by hand", host, 5, "other:1")
    assert job.override_environment == {"A": "1"}
    assert (job.override_max_attempts, job.override_retry_on) == (3, ["user"])
    assert job.override_start_deadline_seconds == 60
    assert job.created_by == admin_user
    assert JobEvent.objects.get().who == "admin"


def test_a_host_may_be_left_out(admin_client):
    form = {"template": make_template().pk, "override_environment": "{}", "priority": "0"}
    assert admin_client.post(url(ContainerJob, "add"), form).status_code == 302
    job = ContainerJob.objects.get()
    assert job.docker_host is None
    # Nothing given is the template's, not none at all.
    assert (job.override_max_attempts, job.override_retry_on) == (None, None)
    assert job.override_start_deadline_seconds is None


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("override_max_attempts", "101", "less than or equal to 100"),
        ("override_retry_on", '["rejected"]', "JSON list out of"),
        ("override_start_deadline_seconds", "0", "greater than or equal to 1"),
    ],
)
def test_limits_that_cannot_be_are_refused_in_the_form(admin_client, field, value, words):
    form = {"template": make_template().pk, "override_environment": "{}", "priority": "0", field: value}
    assert words in admin_client.post(url(ContainerJob, "add"), form).content.decode()
    assert not ContainerJob.objects.exists()


def test_the_page_shows_the_limits_in_effect_and_what_stands_out_of_each_attempt(admin_client):
    job = make_job(override_max_attempts=3, override_retry_on=["user"])
    page = admin_client.get(url(ContainerJob, "change", job.pk)).content.decode()
    assert "Attempts: up to 3, after user" in page
    make_attempt(AttemptState.PULLING, job=job, phase="pulling 3 of 7 layers", worker_kills=2)
    page = admin_client.get(url(ContainerJob, "change", job.pk)).content.decode()
    assert "pulling 3 of 7 layers; killed 2 workers" in page


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ("[1]", "JSON object"),
        ('{"TALLYMAN_X": "1"}', "TALLYMAN_"),
        ('{"A": NaN}', "quotes"),
        ("{", "valid JSON"),
    ],
)
def test_variables_that_cannot_be_set_are_refused_in_the_form(admin_client, environment, words):
    form = {"template": make_template().pk, "override_environment": environment, "priority": "0"}
    response = admin_client.post(url(ContainerJob, "add"), form)
    assert words in response.content.decode()
    assert not ContainerJob.objects.exists()


def test_an_archived_template_is_refused_in_the_form(admin_client):
    template = make_template(archived_at="2025-01-01T00:00:00Z")
    form = {"template": template.pk, "override_environment": "{}", "priority": "0"}
    assert admin_client.post(url(ContainerJob, "add"), form).status_code == 200
    assert not ContainerJob.objects.exists()


# --- bulk actions ---


def test_cancel_counts_and_names_the_refused(admin_client):
    pending, done = make_job(), make_job(status=JobStatus.COMPLETED)
    running = make_attempt(AttemptState.RUNNING, job=make_job()).job
    message = act(admin_client, "cancel", pending, done, running)
    assert message.startswith("2 jobs being cancelled. 1 refused:")
    assert str(done.pk) in message
    pending.refresh_from_db()
    running.refresh_from_db()
    assert pending.status == JobStatus.CANCELLED
    assert running.cancel_requested_at


def test_stop_holds_start_lets_go_retry_and_restart_run_again(admin_client):
    job = make_job()
    assert act(admin_client, "stop", job) == "1 job being stopped."
    job.refresh_from_db()
    assert job.hold == "stopped"
    assert act(admin_client, "start", job) == "1 job may start."
    act(admin_client, "cancel", job)
    assert act(admin_client, "retry", job) == "1 job getting one more attempt."
    assert act(admin_client, "restart", job) == "1 job submitted again."
    assert ContainerJob.objects.get(restarted_from=job).created_by.username == "admin"


def test_who_may_only_look_has_no_actions(client):
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    job = make_job()
    client.post(reverse(LIST), {"action": "cancel", "_selected_action": [job.pk]})
    job.refresh_from_db()
    assert job.status == JobStatus.PENDING


def test_a_job_is_found_by_its_id(admin_client):
    job = make_job(name="wanted")
    make_job(name="another")
    content = admin_client.get(reverse(LIST), {"q": str(job.pk)}).content.decode()
    assert "wanted" in content
    assert "another" not in content


# --- deleting ---


def test_an_ended_job_is_deleted_with_its_log(admin_client):
    attempt = make_attempt(AttemptState.RUNNING)
    store_log(attempt, (1, b"x"))
    end(attempt)
    response = admin_client.post(url(ContainerJob, "delete", attempt.job_id), {"post": "yes"})
    assert response.status_code == 302
    assert not ContainerJob.objects.exists()
    assert not LogChunk.objects.exists()


def test_a_job_that_has_not_ended_is_not_deleted(admin_client):
    open_job, ended = make_attempt(AttemptState.RUNNING).job, make_job(status=JobStatus.FAILED)
    assert admin_client.post(url(ContainerJob, "delete", open_job.pk), {"post": "yes"}).status_code == 403
    form = {"action": "delete_selected", "_selected_action": [open_job.pk, ended.pk], "post": "yes"}
    response = admin_client.post(reverse(LIST), form)
    assert b"which has not ended" in response.content
    assert ContainerJob.objects.count() == 2


# --- the log ---


# Engines cut long lines into pieces of this size, in the middle of a character too.
CUT = b"<b>one</b>".ljust(frames.PIECE_BYTES - 1, b"=") + b"\xc3"


@pytest.fixture
def logged():
    attempt = make_attempt(AttemptState.RUNNING)
    store_log(attempt, (1, CUT), (2, b"oops\n"), (1, b"\xa9\xff\n"))
    return attempt.job


def test_the_log_is_shown_as_text_stream_by_stream(admin_client, logged):
    both = admin_client.get(log_of(logged)).content.decode()
    assert "&lt;b&gt;one&lt;/b&gt;" in both
    assert '<span class="stderr">oops\n</span>' in both
    assert "\N{LATIN SMALL LETTER E WITH ACUTE}\N{REPLACEMENT CHARACTER}" in both
    assert "oops" not in admin_client.get(log_of(logged), {"stream": "stdout"}).content.decode()


def test_the_download_is_byte_for_byte(admin_client, logged):
    response = admin_client.get(log_of(logged), {"stream": "stdout", "raw": "1"})
    assert b"".join(response) == CUT + b"\xa9\xff\n"
    assert "attachment" in response["Content-Disposition"]
    everything = admin_client.get(log_of(logged), {"raw": "1"})
    assert b"".join(everything) == CUT + b"oops\n\xa9\xff\n"


@pytest.mark.django_db(transaction=True)
def test_the_download_streams_under_asgi_too(admin_user):
    attempt = make_attempt(AttemptState.RUNNING)
    store_log(attempt, (1, b"one\n"))
    store_log(attempt, (1, b"two\n"))

    address = log_of(attempt.job)

    async def ask() -> bytes:
        client = AsyncClient()
        await client.aforce_login(admin_user)
        response: Any = await client.get(address, {"raw": "1"})
        assert response.is_async
        pieces = [piece async for piece in response]
        await sync_to_async(connections.close_all)()  # a server does it at the end of the request
        return b"".join(pieces)

    assert asyncio.run(ask()) == b"one\ntwo\n"


def test_a_long_log_is_cut_at_the_front(admin_client, logged, monkeypatch):
    attempt = logged.attempts.get()
    for number in range(5):
        store_log(attempt, (1, f"chunk {number}\n".encode()))
    monkeypatch.setattr(log_view, "SHOWN_BYTES", 17)
    content = admin_client.get(log_of(logged)).content.decode()
    assert "are left out here" in content
    assert "chunk 3\nchunk 4\n" in content
    assert "chunk 2" not in content
    monkeypatch.setattr(log_view, "SHOWN_BYTES", 1)
    assert "chunk 4" in admin_client.get(log_of(logged), {"stream": "stdout"}).content.decode()


def test_what_the_cap_left_out_is_said_where_it_was(admin_client):
    attempt = capped(cap=100)
    store(attempt, *(out(f"{number:09}\n", number) for number in range(20)))
    content = admin_client.get(log_of(attempt.job)).content.decode()
    mark = f"[... {attempt.log_gap_bytes} bytes of stdout left out ...]"
    assert content.index("000000000") < content.index(mark) < content.index("000000019")
    assert f"{attempt.log_gap_bytes} bytes between them are left out" in content
    download = admin_client.get(log_of(attempt.job), {"raw": "1"})
    assert b"".join(download.streaming_content) == text(attempt)


def test_each_attempt_has_its_log(admin_client):
    first = make_attempt(AttemptState.RUNNING)
    store_log(first, (1, b"from the first\n"))
    end(first, Outcome.USER, job_status="pending", retry_delay_seconds=0.0)
    job = ContainerJob.objects.get()
    second = make_attempt(AttemptState.RUNNING, job=job)
    store_log(second, (1, b"from the second\n"))
    assert b"from the second" in admin_client.get(log_of(job)).content
    assert b"from the first" in admin_client.get(log_of(job), {"attempt": "1"}).content
    for wrong in ({"attempt": "9"}, {"attempt": "x"}, {"stream": "x"}):
        assert admin_client.get(log_of(job), wrong).status_code == 404


def test_a_job_that_never_started_has_no_log(admin_client):
    job = make_job()
    assert b"has not been started yet" in admin_client.get(log_of(job)).content
    assert b"".join(admin_client.get(log_of(job), {"raw": "1"})) == b""


def test_the_log_is_not_for_everybody(client, logged):
    assert client.get(log_of(logged)).status_code == 302
    client.force_login(User.objects.create_user("clerk", is_staff=True))
    assert client.get(log_of(logged)).status_code == 403
    assert client.get(log_of(logged), {"raw": "1"}).status_code == 403


class TestMeasures:
    def test_a_figure_that_nobody_took_says_so_and_nothing_used_is_0(self, admin_client):
        attempt = make_attempt(AttemptState.RUNNING, container_id="c1")
        store_readings(attempt, Usage(memory_bytes=2048))
        page = admin_client.get(url(Attempt, "change", attempt.pk)).content.decode()
        assert "Peak memory: 2.0 KiB" in page
        assert "CPU time: not measured" in page
        assert end(attempt, network_rx_bytes=0)
        for model in (ContainerJob, ContainerExecution):
            page = admin_client.get(url(model, "change", attempt.job_id)).content.decode()
            assert "Peak memory: not measured" in page
            assert "Peak PIDs: not measured" in page
            assert "Network in: 0 B" in page
        assert "not measured" in admin_client.get(url(ContainerExecution, "changelist")).content.decode()


def test_a_log_that_retention_deleted_says_so_and_has_no_download(admin_client, logged):
    note = "Deleted by retention, which keeps logs for 3 days."
    Attempt.objects.update(logs_deleted_at=timezone.now(), logs_note=note, stdout_bytes=1 << 30)
    LogChunk.objects.all().delete()
    page = admin_client.get(log_of(logged)).content.decode()
    assert (page.count(note), "Nothing was written" in page) == (1, False)
    assert admin_client.get(log_of(logged), {"raw": "1"}).status_code == 404
