"""Screens and commands say what a host's executor cannot do, and take no job that needs it."""

from __future__ import annotations

import pytest
from django.contrib.messages import get_messages
from django.core.exceptions import ValidationError
from django.urls import reverse

from hosts.models import DockerHost
from jobs import needs, operations
from jobs.models import ContainerJob, ContainerTemplate, NetworkAssignment
from jobs.states import AttemptState
from tests.admin_ui.commands import hosts
from tests.admin_ui.test_admin_pages import url
from tests.jobs.attempts import make_attempt
from tests.support import own_executors
from tests.support.factories import make_host, make_template

pytestmark = pytest.mark.django_db

NO_TERMINAL = "cannot give a container a terminal (tty)."


@pytest.fixture
def here() -> DockerHost:
    return make_host("here", executor_type="process", connection_string="")


@pytest.fixture(autouse=True)
def own(settings, tmp_path) -> None:
    names = {"mine": "MyCustomExecutor", "watched": "Watched"}
    settings.TALLYMAN_EXECUTORS = {kind: f"{own_executors.__name__}.{name}" for kind, name in names.items()}
    settings.TALLYMAN_ALLOW_PROCESS_EXECUTOR = True
    settings.TALLYMAN_PROCESS_ROOT = tmp_path


def test_the_page_of_a_host_says_what_its_executor_cannot(admin_client, here):
    page = admin_client.get(url(DockerHost, "change", here.pk)).content.decode()
    assert "join a container to networks" in page
    docker = admin_client.get(url(DockerHost, "change", make_host("d").pk)).content.decode()
    assert "join a container to networks" not in docker


def test_the_test_of_a_host_says_what_its_executor_cannot():
    make_host("m", executor_type="mine", connection_string="")
    result = hosts("test", "m")
    assert result.code == 0
    assert "Its executor cannot: tell what a job wrote; " in result.stderr
    assert "stop a job" in result.stderr


def test_a_kind_of_ones_own_can_be_added(settings):
    assert hosts("add", "m", "--executor", "mine", "--config", '{"region": "north"}').code == 0
    assert DockerHost.objects.get().executor_type == "mine"
    assert hosts("add", "x", "--executor", "abacus").code == 2


def test_a_template_says_on_which_hosts_it_cannot_run(admin_client, here):
    make_host("docker")
    template = make_template(tty=True)
    page = admin_client.get(url(ContainerTemplate, "change", template.pk)).content.decode()
    assert "Host here cannot run it" in page
    assert "Host docker" not in page
    form = {
        "name": "t",
        "docker_image": "i",
        "pull_policy": "never",
        "tty": "on",
        **{"timeout_seconds": 60, "stop_grace_seconds": 1, "stop_signal": "SIGTERM", "max_log_bytes": 2**20},
        **{"max_attempts": 1, "retry_on": "[]", "retry_delay_seconds": 1, "retry_max_delay_seconds": 1},
        **{"infra_retries": 1},
        **{
            f"{inline}-{count}_FORMS": 0
            for inline in ("environment_variables", "network_assignments")
            for count in ("TOTAL", "INITIAL")
        },
    }
    response = admin_client.post(url(ContainerTemplate, "change", template.pk), form)
    assert response.status_code == 302
    assert any(NO_TERMINAL in str(message) for message in get_messages(response.wsgi_request))


def test_no_job_is_taken_for_a_host_that_cannot_run_it(admin_client, here):
    template = make_template(tty=True)
    NetworkAssignment.objects.create(template=template, network_name="n", aliases=["a"])
    assert needs.needs_of_template(template) == {"tty", "networks", "network_aliases"}
    with pytest.raises(ValidationError) as caught:
        operations.submit(template, host=here)
    assert len(caught.value.message_dict["docker_host"]) == 3
    form = {"template": template.pk, "docker_host": here.pk, "priority": 0, "override_environment": "{}"}
    response = admin_client.post(url(ContainerJob, "add"), form)
    assert NO_TERMINAL in response.content.decode()
    assert not ContainerJob.objects.exists()
    assert operations.submit(template, host=make_host("docker")).pk
    assert operations.submit(template).pk


def test_a_job_for_a_host_whose_executor_is_not_to_be_had_here_is_taken():
    host = make_host("far", executor_type="elsewhere")
    assert operations.submit(make_template(tty=True), host=host).pk


def test_what_was_launched_where_nothing_can_be_stopped_cannot_be_cancelled():
    host = make_host("m", executor_type="mine")
    waits = make_attempt(AttemptState.CLAIMED, host=host)
    operations.cancel(waits.job_id, who="ann")
    runs = make_attempt(AttemptState.RUNNING, host=host)
    with pytest.raises(operations.Refused, match="host m cannot stop what it has launched"):
        operations.cancel(runs.job_id, who="ann")
    assert ContainerJob.objects.get(pk=runs.job_id).cancel_requested_at is None


@pytest.mark.parametrize(
    ("kind", "state", "words"),
    [
        ("mine", AttemptState.RUNNING, "MyCustomExecutor does not tell what a job writes."),
        ("watched", AttemptState.RUNNING, "MyCustomExecutor tells what a job wrote once it has ended."),
        ("docker", AttemptState.RUNNING, "Nothing was written yet."),
        ("elsewhere", AttemptState.RUNNING, "Nothing was written yet."),
        ("mine", AttemptState.ENDED, "Nothing was written yet."),
    ],
)
def test_the_log_of_a_running_job_says_why_there_is_none_of_it_yet(admin_client, kind, state, words):
    outcome = "succeeded" if state == AttemptState.ENDED else ""
    attempt = make_attempt(state, host=make_host("m", executor_type=kind), outcome=outcome)
    page = admin_client.get(reverse("admin:job_log", args=[attempt.job_id])).content.decode()
    assert f'data-nothing-yet="{words}"' in page
