"""Every model's pages in the admin: they open, as fast for many rows as for one, and history is read-only."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib import admin
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from admin_ui.admin.templates import TemplateAdmin
from hosts import installation
from hosts.models import DockerHost, HostCount, HostRequest, HostSample
from jobs.models import (
    ConcurrencyLimit,
    ContainerJob,
    ContainerTemplate,
    EnvironmentVariable,
    HourTally,
    LeftContainer,
    NetworkAssignment,
    TallySum,
    UsageSample,
)
from jobs.states import AttemptState, Outcome
from tests.admin_ui.commands import make_supervisor
from tests.admin_ui.rows import store_log
from tests.jobs.attempts import end, make_attempt, take
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

MODELS = [
    model for label in ("hosts", "jobs", "supervisor") for model in apps.get_app_config(label).get_models()
]
EDITABLE = {ConcurrencyLimit, DockerHost, ContainerTemplate, EnvironmentVariable, NetworkAssignment}


def url(model, page: str, *args) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{page}", args=args)


def make_rows(number: int) -> None:
    """One more row of each model, as different from the others as they are in life."""
    template = make_template(f"t{number}")
    EnvironmentVariable.objects.create(template=template, key="K", value="v")
    NetworkAssignment.objects.create(template=template, network_name="n", aliases=["a"])
    ConcurrencyLimit.objects.create(key=f"k{number}", max_concurrent=1)
    host = make_host(f"h{number}")
    HostSample.objects.create(host=host, jobs_running=0, slots=1)
    HostRequest.objects.create(host=host, verb="test", expires_at=timezone.now())
    HostCount.objects.create(host=host, action="cleaned", count=1)
    figures = dict.fromkeys(("count", "seconds", "log_bytes", "beyond_1h"), 0)
    within = {f"within_{span}": 0 for span in ("1s", "10s", "1m", "10m", "1h")}
    TallySum.objects.create(host_name=host.name, template_name="t", outcome="succeeded", **figures, **within)
    names = {"template_name": template.name, "outcome": "succeeded"}
    HourTally.objects.create(hour=timezone.now(), **names, **figures, **within)
    LeftContainer.objects.create(host=host, job_id=host.pk)
    take(host)
    attempt = make_attempt(AttemptState.RUNNING, host=host, job=make_job(template, host))
    UsageSample.objects.create(attempt=attempt, memory_bytes=1)
    store_log(attempt, (1, b"hi\n"))
    end(attempt, Outcome.SUCCEEDED, template_name=template.name)
    make_attempt(AttemptState.RUNNING, host=host, job=make_job(template))
    make_supervisor()


@pytest.fixture
def rows(db):
    installation.current()
    make_rows(1)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
class TestEveryModel:
    def test_is_registered(self, model):
        assert admin.site.is_registered(model)

    def test_the_list_opens_with_the_same_queries_for_many_rows(self, model, rows, admin_client):
        admin_client.get(url(model, "changelist"))  # whatever is looked up once a process
        counts = []
        for number in range(2, 4):
            with CaptureQueriesContext(
                connection,
            ) as queries:
                assert admin_client.get(url(model, "changelist")).status_code == 200
            counts.append(len(queries))
            make_rows(number)
            make_rows(number + 10)
        assert counts[0] == counts[1]

    def test_the_list_can_be_searched_and_emptied(self, model, rows, admin_client):
        assert admin_client.get(url(model, "changelist"), {"q": "zzz"}).status_code == 200

    def test_a_row_opens(self, model, rows, admin_client):
        row = model._default_manager.first()
        assert admin_client.get(url(model, "change", row.pk)).status_code == 200

    def test_only_what_people_write_can_be_added_and_changed(self, model, rows, admin_client):
        may_add = model in EDITABLE | {ContainerJob}
        assert admin_client.get(url(model, "add")).status_code == (200 if may_add else 403)
        row = model._default_manager.first()
        may_change = model in EDITABLE
        assert admin_client.post(url(model, "change", row.pk), {}).status_code == (200 if may_change else 403)

    def test_strangers_are_sent_to_the_login(self, model, client):
        response = client.get(url(model, "changelist"))
        assert response.status_code == 302
        assert "login" in response["Location"]


def template_form(**fields):
    inlines = {
        f"{prefix}-{name}": value
        for prefix in ("environment_variables", "network_assignments")
        for name, value in {"TOTAL_FORMS": "0", "INITIAL_FORMS": "0"}.items()
    }
    return {
        "name": "new",
        "docker_image": "busybox",
        "pull_policy": "always",
        "timeout_seconds": "60",
        "stop_grace_seconds": "10",
        "max_attempts": "1",
        "retry_on": "[]",
        "stop_signal": "SIGTERM",
        "max_log_bytes": str(1024**3),
        "retry_delay_seconds": "1",
        "retry_max_delay_seconds": "300",
        "infra_retries": "3",
        **inlines,
        **fields,
    }


def test_a_template_is_added_with_its_variables_and_networks(admin_client):
    form = template_form(
        **{
            "environment_variables-TOTAL_FORMS": "1",
            "environment_variables-0-key": "A",
            "environment_variables-0-value": "1",
            "network_assignments-TOTAL_FORMS": "1",
            "network_assignments-0-network_name": "backend",
            "network_assignments-0-aliases": '["db"]',
        }
    )
    assert admin_client.post(url(ContainerTemplate, "add"), form).status_code == 302
    template = ContainerTemplate.objects.get()
    assert template.pull_policy == "always"
    assert template.environment_variables.get().value == "1"
    assert template.network_assignments.get().aliases == ["db"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"memory_limit": "5"}, "greater than or equal to 64"),
        ({"cpu_limit": "0.05"}, "greater than or equal to 0.1"),
        ({"cpu_limit": "33"}, "less than or equal to 32"),
        ({"timeout_seconds": "0"}, "greater than or equal to 1"),
        ({"command": "echo 'open"}, "cannot be split into words"),
        ({"retry_on": '[{"a": 1}]'}, "JSON list out of"),
        ({"docker_image": ""}, "This field is required"),
        ({"stop_signal": "SIGNOPE"}, "is no name of a signal"),
        ({"pull_policy": "sometimes"}, "Select a valid choice"),
        ({"start_deadline_seconds": "0"}, "greater than or equal to 1"),
        ({"max_log_bytes": "1000"}, "greater than or equal to 1048576"),
        ({"retry_delay_seconds": "86401"}, "less than or equal to 86400"),
        ({"retry_max_delay_seconds": "604801"}, "less than or equal to 604800"),
        ({"infra_retries": "101"}, "less than or equal to 100"),
    ],
)
def test_a_template_that_cannot_run_is_refused_in_the_form(admin_client, fields, words):
    response = admin_client.post(url(ContainerTemplate, "add"), template_form(**fields))
    assert response.status_code == 200
    assert words in response.content.decode()
    assert not ContainerTemplate.objects.exists()


def test_every_setting_of_a_template_has_its_place_in_the_form(admin_client):
    given = {
        "pull_policy": "never",
        "stop_signal": "SIGINT",
        "start_deadline_seconds": 90,
        "tty": True,
        "max_log_bytes": 2 * 1024**2,
        "max_attempts": 4,
        "retry_delay_seconds": 5,
        "retry_max_delay_seconds": 50,
        "infra_retries": 0,
    }
    form = template_form(**{name: str(value) for name, value in given.items()}, retry_on='["oom"]')
    assert admin_client.post(url(ContainerTemplate, "add"), form).status_code == 302
    template = ContainerTemplate.objects.get()
    assert {name: getattr(template, name) for name in given} == given
    assert template.retry_on == ["oom"]
    own = {"id", "archived_at", "created_at", "updated_at"}
    shown = {name for _, section in TemplateAdmin.fieldsets for name in section["fields"]}
    assert shown == {field.name for field in ContainerTemplate._meta.concrete_fields} - own


def test_a_network_with_aliases_no_database_can_hold_is_refused(admin_client):
    form = {"template": make_template().pk, "network_name": "n", "aliases": '["a\\u0000b"]'}
    response = admin_client.post(url(NetworkAssignment, "add"), form)
    assert b"NUL" in response.content
