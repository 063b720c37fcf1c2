"""Submitting a job on the operators' own page: what is typed, what is kept, what is seen before."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse
from django.utils import timezone

from hosts.models import HostState
from jobs.models import ContainerJob, ContainerTemplate, EnvironmentVariable, JobEvent
from jobs.states import JobStatus
from tests.jobs.attempts import take
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db
SECRET = "s3cr3t-v4lue"
NEW = "admin:job_new"


def form(template: ContainerTemplate, *variables: tuple[str, str, bool], **fields: Any) -> dict[str, Any]:
    """What a browser sends of a form in which nothing but these was changed."""
    sent: dict[str, Any] = {
        "template": template.pk,
        "image": template.docker_image,
        "command": template.command,
        "retry_on": template.retry_on,
        "env-TOTAL_FORMS": len(variables),
        "env-INITIAL_FORMS": 0,
    }
    for place, (key, value, is_secret) in enumerate(variables):
        sent |= {f"env-{place}-key": key, f"env-{place}-value": value}
        if is_secret:
            sent[f"env-{place}-is_secret"] = "on"
    return {**sent, **fields}


def submit(client, *args: Any, **fields: Any):
    return client.post(reverse(NEW), form(*args, **fields))


def fresh_host(name: str, **fields: Any):
    """A host that would take a job now."""
    host = make_host(name, state=HostState.ONLINE, seen_at=timezone.now(), **fields)
    take(host)
    return host


# --- picking ---


def test_templates_are_found_by_name_and_image(admin_client):
    make_template("report", docker_image="python:3")
    make_template("import")
    make_template("old-report", archived_at=timezone.now())
    found = admin_client.get(reverse(NEW), {"q": "report pyth"}, HTTP_HX_REQUEST="true").content.decode()
    assert "report" in found
    assert "import" not in found
    assert "old-report" not in found
    assert "<html" not in found


def test_without_templates_the_page_says_what_to_do(admin_client):
    html = admin_client.get(reverse(NEW)).content.decode()
    assert "There is no template yet" in html
    assert reverse("admin:jobs_containertemplate_add") in html


def test_who_may_not_add_jobs_is_refused(client):
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_containerjob"))
    client.force_login(user)
    template = make_template()
    assert client.get(reverse(NEW)).status_code == 403
    assert submit(client, template).status_code == 403
    assert client.post(reverse("admin:part_job_preview"), form(template)).status_code == 403
    assert not ContainerJob.objects.exists()


# --- submitting ---


def test_what_is_left_as_the_template_has_it_stays_the_templates(admin_client, admin_user):
    template = make_template(command="echo 1", retry_on=["oom", "lost"], max_attempts=3)
    response = submit(admin_client, template)
    job = ContainerJob.objects.get()
    assert response["Location"] == reverse("admin:job", args=[job.pk])
    assert (job.override_image, job.override_command, job.override_environment) == ("", "", {})
    assert (job.override_max_attempts, job.override_retry_on, job.docker_host) == (None, None, None)
    assert job.created_by == admin_user
    assert JobEvent.objects.get().who == "admin"


def test_everything_can_be_set_for_the_job_alone(admin_client):
    host = make_host("a")
    response = submit(
        admin_client,
        make_template(command="echo 1"),
        ("A", " 1 ", False),
        ("", "", False),
        ("PEM", "line 1\r\nline 2", True),
        name="by hand",
        image="other:2",
        command="sh -c 'a\r\nb'",
        docker_host=host.pk,
        priority="7",
        limit_key="exports",
        max_attempts="4",
        retry_on=["user"],
        start_deadline_seconds="60",
    )
    assert response.status_code == 302
    job = ContainerJob.objects.get()
    assert (job.name, job.override_image, job.docker_host) == ("by hand", "other:2", host)
    assert job.override_command == "sh -c 'a\nb'"
    assert job.override_environment == {"A": " 1 "}
    assert job.secret_environment == {"PEM": "line 1\nline 2"}
    assert (job.priority, job.limit_key, job.override_start_deadline_seconds) == (7, "exports", 60)
    assert (job.override_max_attempts, job.override_retry_on) == (4, ["user"])


@pytest.mark.parametrize(
    ("fields", "marked", "words"),
    [
        ({"command": "it's"}, "id_command_error", "cannot be split into words"),
        ({"max_attempts": "101"}, "id_max_attempts_error", "less than or equal to 100"),
        ({"priority": "99999"}, "id_priority_error", "less than or equal to 32767"),
        ({"name": "x" * 201}, "id_name_error", "at most 200"),
        ({"image": "a\x00b"}, "id_image_error", "Null characters"),
    ],
)
def test_an_error_stands_at_its_field_and_nothing_typed_is_lost(admin_client, fields, marked, words):
    html = submit(
        admin_client, make_template(), ("COLOUR", "bl<ue", False), **{"name": "my name", **fields}
    ).content.decode()
    assert words in html.split(f'id="{marked}"', 1)[1].split("</div>", 1)[0]
    assert "bl&lt;ue" in html
    assert "my name" in html or "name" in fields
    assert not ContainerJob.objects.exists()


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ([("1A", "x", False)], "is no name of an environment variable"),
        ([("TALLYMAN_X", "x", False)], "are set by Tallyman"),
        ([("", "x", False)], "Give the variable a name"),
        ([("A", "x", False), ("A", "y", False)], "there twice"),
        ([("A", "", True)], "Type the secret"),
        ([("A", "x" * 140_000, False)], "Linux starts no program"),
    ],
)
def test_an_error_of_a_variable_stands_at_it(admin_client, variables, words):
    response = submit(admin_client, make_template(), *variables)
    assert words in response.content.decode()
    assert not ContainerJob.objects.exists()


def test_a_host_that_cannot_do_it_is_an_error_of_the_host(admin_client):
    host = make_host("p", executor_type="process")
    html = submit(admin_client, make_template(tty=True), docker_host=host.pk).content.decode()
    assert "cannot give a container a terminal" in html.split('id="id_docker_host_error"', 1)[1]


def test_a_secret_is_never_sent_back_and_the_page_says_so(admin_client):
    html = submit(
        admin_client, make_template(), ("KEY", SECRET, True), ("A", "plain", False), command="it's"
    ).content.decode()
    assert SECRET not in html
    assert "but for the values of secrets" in html
    assert "plain" in html
    assert 'value="KEY"' in html


def test_a_template_that_was_archived_meanwhile_is_said(admin_client):
    template = make_template(archived_at=timezone.now())
    html = submit(admin_client, template).content.decode()
    assert "Pick another one" in html
    assert not ContainerJob.objects.exists()


# --- copies ---


def source() -> ContainerJob:
    return make_job(
        make_template("shop", command="serve"),
        name="first",
        override_command="serve --fast",
        override_environment={"COLOUR": "blue", "DB_PASSWORD": SECRET + "1"},
        secret_environment={"KEY": SECRET},
        priority=3,
        status=JobStatus.FAILED,
    )


def test_a_copy_begins_with_all_of_the_job_but_shows_no_secret(admin_client):
    job = source()
    html = admin_client.get(reverse(NEW), {"from": job.pk}).content.decode()
    assert "serve --fast" in html
    assert "blue" in html
    assert 'value="KEY"' in html
    assert SECRET not in html


def test_a_copy_keeps_secrets_that_are_left_empty_and_takes_those_that_are_typed(admin_client):
    job = source()
    variables = [("COLOUR", "red", False), ("KEY", "", True), ("DB_PASSWORD", "typed", True)]
    response = submit(admin_client, job.template, *variables, source=job.pk)
    assert response.status_code == 302
    copy = ContainerJob.objects.exclude(pk=job.pk).get()
    assert copy.override_environment == {"COLOUR": "red"}
    assert copy.secret_environment == {"KEY": SECRET, "DB_PASSWORD": "typed"}


def test_a_kept_secret_does_not_become_plain_by_a_tick(admin_client):
    job = source()
    html = submit(admin_client, job.template, ("KEY", "", False), source=job.pk).content.decode()
    assert "give it a new value" in html
    assert ContainerJob.objects.count() == 1


def test_a_copy_may_be_of_another_template(admin_client):
    job, other = source(), make_template("other")
    html = admin_client.get(reverse(NEW), {"from": job.pk, "pick": "1"}).content.decode()
    assert f"from={job.pk}&amp;template={other.pk}" in html


def test_a_copy_of_an_archived_template_asks_for_another(admin_client):
    job = source()
    ContainerTemplate.objects.update(archived_at=timezone.now())
    assert "was archived" in admin_client.get(reverse(NEW), {"from": job.pk}).content.decode()


def test_who_may_not_see_jobs_copies_none(client):
    user = User.objects.create_user("adder", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="add_containerjob"))
    client.force_login(user)
    job = source()
    assert client.get(reverse(NEW), {"from": job.pk}).status_code == 403
    assert submit(client, job.template, ("KEY", "", True), source=job.pk).status_code == 403


def test_secrets_of_a_copy_that_cannot_be_read_are_to_be_typed(admin_client, settings):
    job = source()
    settings.TALLYMAN_SECRET_KEYS = ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]
    html = admin_client.get(reverse(NEW), {"from": job.pk}).content.decode()
    assert "cannot be read, so type them again" in html


# --- the preview ---


def preview(client, *args: Any, **fields: Any) -> str:
    response = client.post(reverse("admin:part_job_preview"), form(*args, **fields), HTTP_HX_REQUEST="true")
    assert response.status_code == 200
    return response.content.decode()


def test_the_preview_shows_the_command_as_words_and_each_variable_with_its_origin(admin_client):
    template = make_template(command="echo 1", entrypoint="tini --")
    EnvironmentVariable.objects.create(template=template, key="COLOUR", value="red")
    EnvironmentVariable.objects.create(template=template, key="TOKEN", value=SECRET, is_secret=True)
    html = preview(
        admin_client, template, ("COLOUR", "blue", False), ("KEY", SECRET, True), command="sh -c 'a b'"
    )
    assert "<code>tini</code> <code>--</code> <code>sh</code> <code>-c</code> <code>a b</code>" in html
    assert "blue" in html
    assert html.count("origin-job") == 2
    assert html.count("origin-template") == 1
    assert "origin-runtime" in html
    assert SECRET not in html


def test_the_preview_says_which_host_takes_it_and_why_not_the_others(admin_client):
    fresh_host("heavy", weight=300, labels={"gpu": "a100"})
    fresh_host("light", weight=100)
    assert "Host heavy takes it" in preview(admin_client, make_template())
    html = preview(admin_client, make_template("gpu", required_labels={"gpu": "a200"}))
    assert "No host takes it" in html
    assert "lacks the label" in html


def test_the_preview_of_a_pinned_job_is_about_its_host(admin_client):
    host = make_host("pinned")
    fresh_host("other")
    html = preview(admin_client, make_template(), docker_host=host.pk)
    assert "Host pinned is held by no worker" in html


def test_the_preview_bears_with_what_is_not_right_yet(admin_client):
    html = preview(admin_client, make_template(), ("1A", "x", False), ("B", "ok", False), command="it's")
    assert "ok" in html
    assert ContainerJob.objects.count() == 0


def test_the_page_itself_shows_the_preview_of_what_it_begins_with(admin_client):
    job = source()
    html = admin_client.get(reverse(NEW), {"from": job.pk}).content.decode()
    assert "<code>serve</code> <code>--fast</code>" in html
