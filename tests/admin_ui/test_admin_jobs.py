"""Jobs in the admin: submitting, acting on many, deleting."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.urls import reverse

from hosts.executors.contract import Usage
from jobs.models import Attempt, ContainerExecution, ContainerJob, JobEvent, LogChunk
from jobs.states import AttemptState, JobStatus
from tests.admin_ui.rows import store_log
from tests.admin_ui.test_admin_pages import url
from tests.jobs.attempts import end, make_attempt
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
