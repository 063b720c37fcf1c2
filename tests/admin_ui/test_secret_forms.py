"""Secrets in forms: they go in, are said to be set, by whom and when, are kept or cleared, and stay in."""

from __future__ import annotations

import io
import json
import re

import pytest
from cryptography.fernet import Fernet
from django.contrib import admin
from django.urls import reverse
from django.utils import timezone

from hosts.models import DockerHost, HostRequest, HostSample
from jobs.models import ContainerJob, ContainerTemplate, EnvironmentVariable
from jobs.states import AttemptState
from tests.admin_ui.commands import hosts, jobs
from tests.admin_ui.test_admin_pages import template_form, url
from tests.admin_ui.test_new_job import form, submit
from tests.jobs.attempts import make_attempt, take
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

SECRET = "s3cr3t-v4lue"


@pytest.fixture
def variable():
    return EnvironmentVariable.objects.create(
        template=make_template(), key="TOKEN", value=SECRET, is_secret=True
    )


def form_of(variable, **fields):
    return {"template": variable.template_id, "key": variable.key, "value": "", "is_secret": "on", **fields}


# ── variables of templates ────────────────────────────────────────────────────────────────────────────────


def test_who_gave_a_secret_and_when_is_told_and_the_secret_is_not(admin_client, variable):
    address = url(EnvironmentVariable, "change", variable.pk)
    assert admin_client.post(address, form_of(variable, value="n3w-v4lue")).status_code == 302
    variable.refresh_from_db()
    assert (variable.set_by, variable.set_at is not None) == ("admin", True)
    when = f"{variable.set_at:%Y-%m-%d %H:%M}"
    for page in (address, reverse("admin:template", args=[variable.template_id])):
        content = admin_client.get(page).content.decode()
        assert "admin" in content
        assert when in content
        assert "n3w-v4lue" not in content


def test_what_keeps_the_value_keeps_who_gave_it(admin_client, variable):
    EnvironmentVariable.objects.update(set_by="alice")
    address = url(EnvironmentVariable, "change", variable.pk)
    assert admin_client.post(address, form_of(variable, key="RENAMED")).status_code == 302
    variable.refresh_from_db()
    assert (variable.key, variable.value, variable.set_by) == ("RENAMED", SECRET, "alice")


def test_a_secret_can_be_cleared(admin_client, variable):
    EnvironmentVariable.objects.update(set_by="alice")
    address = url(EnvironmentVariable, "change", variable.pk)
    assert b"not both" in admin_client.post(address, form_of(variable, value="x", clear="on")).content
    assert admin_client.post(address, form_of(variable, clear="on")).status_code == 302
    variable.refresh_from_db()
    assert (variable.value, variable.set_by, variable.set_at) == ("", "", None)


def test_a_reference_takes_a_secrets_place(admin_client, variable):
    address = url(EnvironmentVariable, "change", variable.pk)
    reference = "vault:secret/app/db#password"
    sent = form_of(variable, reference=reference, as_file="on")
    assert admin_client.post(address, sent).status_code == 302
    variable.refresh_from_db()
    assert (variable.value, variable.reference, variable.as_file) == ("", reference, True)
    page = admin_client.get(reverse("admin:template", args=[variable.template_id])).content.decode()
    assert reference in page
    assert "as a file" in page


def test_a_wrong_reference_is_refused(admin_client, variable):
    address = url(EnvironmentVariable, "change", variable.pk)
    response = admin_client.post(address, form_of(variable, reference="nosuch:x"))
    assert b"There is no secret store" in response.content


def test_the_inline_of_a_template_notes_who_gave_it_too(admin_client, variable):
    prefix = "environment_variables"
    inline = {
        f"{prefix}-TOTAL_FORMS": "2",
        f"{prefix}-INITIAL_FORMS": "1",
        f"{prefix}-0-id": variable.pk,
        f"{prefix}-0-template": variable.template_id,
        f"{prefix}-0-key": "TOKEN",
        f"{prefix}-0-value": "",
        f"{prefix}-0-is_secret": "on",
        f"{prefix}-1-key": "OTHER",
        f"{prefix}-1-value": "other",
        f"{prefix}-1-is_secret": "on",
    }
    address = url(ContainerTemplate, "change", variable.template_id)
    assert admin_client.post(address, template_form(name="renamed", **inline)).status_code == 302
    said = dict(EnvironmentVariable.objects.values_list("key", "set_by"))
    assert said == {"TOKEN": "", "OTHER": "admin"}


# ── hosts ─────────────────────────────────────────────────────────────────────────────────────────────────

CLOUD = {"cluster": "jobs", "subnets": ["subnet-1"], "aws_access_key_id": "AKID"}


@pytest.fixture
def cloud() -> DockerHost:
    return make_host("cloud", executor_type="fargate", connection_string="", executor_config=CLOUD)


def sent(client, host: DockerHost) -> dict[str, object]:
    """What a browser sends of the host's form as it is."""
    response = client.get(reverse("admin:host_edit", args=[host.pk]))
    found = response.context["form"]
    values = {name: found[name].value() for name in found.fields}
    lines = {name: "\n".join(value) if isinstance(value, list) else value for name, value in values.items()}
    lines["labels"] = "{}"
    return {name: value for name, value in lines.items() if value not in (None, "", False)}


def test_a_hosts_form_says_who_gave_a_secret_keeps_it_and_forgets_it(admin_client, cloud):
    address, key = reverse("admin:host_edit", args=[cloud.pk]), "setting-aws_secret_access_key"
    assert admin_client.post(address, {**sent(admin_client, cloud), key: SECRET}).status_code == 302
    cloud.refresh_from_db()
    assert cloud.secret_config["aws_secret_access_key"] == SECRET
    assert cloud.secret_marks["aws_secret_access_key"]["by"] == "admin"
    before = cloud.secret_marks
    assert admin_client.post(address, sent(admin_client, cloud)).status_code == 302
    cloud.refresh_from_db()
    assert (cloud.secret_config["aws_secret_access_key"], cloud.secret_marks) == (SECRET, before)
    for page in (address, reverse("admin:host", args=[cloud.pk]), url(DockerHost, "change", cloud.pk)):
        content = admin_client.get(page).content.decode()
        assert re.search(r"\[admin, \d{4}-\d\d-\d\d \d\d:\d\d UTC\]", content), page
        assert SECRET not in content
    fields = sent(admin_client, cloud) | {"forget-aws_secret_access_key": "on"}
    fields.pop("setting-aws_access_key_id")
    assert admin_client.post(address, fields).status_code == 302
    cloud.refresh_from_db()
    assert "aws_secret_access_key" not in cloud.secret_config
    assert cloud.secret_marks == {}


def test_a_key_of_several_lines_is_taken_and_not_sent_back(admin_client):
    host = make_host("near")
    page = admin_client.get(reverse("admin:host_edit", args=[host.pk])).content.decode()
    assert re.search(r"<textarea[^>]*setting-tls_client_key_pem", page)
    key = "-----BEGIN PRIVATE KEY-----\r\nabc\r\n-----END PRIVATE KEY-----\r\n"
    fields = sent(admin_client, host) | {"setting-tls_client_key_pem": key}
    answer = admin_client.post(reverse("admin:host_edit", args=[host.pk]), fields)
    assert b"has no meaning with unix://" in answer.content
    assert b"BEGIN PRIVATE" not in answer.content


def test_a_commands_secret_says_who_gave_it(cloud, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(SECRET))
    hosts("secret", "cloud", "aws_secret_access_key")
    said = hosts("secret", "cloud").text
    assert re.search(r"aws_secret_access_key: set \d{4}-.* UTC by .*\(command line\)", said)
    assert "aws_session_token: not set" in said


# ── jobs ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_page_of_a_new_job_takes_references_and_files(admin_client):
    template = make_template()
    more = {
        "env-0-is_file": "on",
        "env-1-is_reference": "on",
        "env-1-is_file": "on",
        "env-2-is_reference": "on",
    }
    variables = [("KEY", SECRET, True), ("PEM", "env:JOB_PEM", False), ("DB", "vault:secret/db#p", False)]
    assert submit(admin_client, template, *variables, **more).status_code == 302
    job = ContainerJob.objects.get()
    assert job.override_environment == {
        "PEM": {"reference": "env:JOB_PEM", "as": "file"},
        "DB": {"reference": "vault:secret/db#p"},
    }
    assert job.secret_environment == {"KEY": {"value": SECRET, "as": "file"}}
    copy = admin_client.get(f"{reverse('admin:job_new')}?from={job.pk}")
    assert SECRET.encode() not in copy.content
    assert b"vault:secret/db#p" in copy.content
    configuration = admin_client.get(
        reverse("admin:job", args=[job.pk]) + "?tab=configuration"
    ).content.decode()
    assert SECRET not in configuration


def test_a_copy_keeps_secrets_references_and_files(admin_client):
    template = make_template()
    old = make_job(
        template,
        override_environment={"PEM": {"reference": "env:JOB_PEM", "as": "file"}},
        secret_environment={"KEY": {"value": SECRET, "as": "file"}},
    )
    more = {"source": old.pk, "env-0-is_reference": "on", "env-0-is_file": "on", "env-1-is_file": "on"}
    assert (
        submit(admin_client, template, ("PEM", "env:JOB_PEM", False), ("KEY", "", True), **more).status_code
        == 302
    )
    new = ContainerJob.objects.exclude(pk=old.pk).get()
    assert new.override_environment == old.override_environment
    assert new.secret_environment == old.secret_environment


@pytest.mark.parametrize(
    ("row", "boxes", "words"),
    [
        (("A", "nosuch:x", False), ["is_reference"], "There is no secret store"),
        (("A", "env:B", True), ["is_reference"], "Either the value is a secret"),
        (("A", "plain", False), ["is_file"], "Only a secret"),
    ],
)
def test_what_cannot_be_is_said_at_the_row(admin_client, row, boxes, words):
    response = submit(admin_client, make_template(), row, **{f"env-0-{box}": "on" for box in boxes})
    assert words in response.content.decode()
    assert not ContainerJob.objects.exists()


def test_the_preview_shows_where_a_secret_comes_from(admin_client):
    template = make_template()
    sent_form = form(template, ("DB", "vault:secret/db#p", False), ("KEY", SECRET, True))
    sent_form |= {"env-0-is_reference": "on", "env-0-is_file": "on"}
    seen = admin_client.post(reverse("admin:part_job_preview"), sent_form).content.decode()
    assert "vault:secret/db#p" in seen
    assert "as a file" in seen
    assert SECRET not in seen


def test_the_admins_own_form_of_a_job_marks_secrets_in_its_json(admin_client):
    template = make_template()
    fields = {"template": template.pk, "priority": "0"}
    wrong = {**fields, "override_environment": json.dumps({"A": {"secret": SECRET}, "1 bad": "x"})}
    answer = admin_client.post(url(ContainerJob, "add"), wrong)
    assert answer.status_code == 200
    assert SECRET not in answer.content.decode()
    right = {**fields, "override_environment": json.dumps({"A": {"secret": SECRET}, "B": "b"})}
    assert admin_client.post(url(ContainerJob, "add"), right).status_code == 302
    job = ContainerJob.objects.get()
    assert (job.override_environment, job.secret_environment) == ({"B": "b"}, {"A": SECRET})


def test_commands_take_secrets_from_files_stdin_and_their_environment(tmp_path, monkeypatch):
    make_template("hello")
    (tmp_path / "key").write_text("from a file\n")
    monkeypatch.setenv("FROM_ENV", "from the environment")
    monkeypatch.setattr("sys.stdin", io.StringIO("from stdin\n"))
    result = jobs(
        "create", "hello", "--env", "A=1", "--secret", f"F={tmp_path}/key", "--secret", "S=-", "--secret",
        "FROM_ENV", "--reference", "R=vault:secret/db#p", "--as-file", "F", "--as-file", "R",
    )  # fmt: skip
    assert result.code == 0, result.stderr
    job = ContainerJob.objects.get()
    assert job.secret_environment == {
        "F": {"value": "from a file", "as": "file"},
        "S": "from stdin",
        "FROM_ENV": "from the environment",
    }
    assert job.override_environment == {"A": "1", "R": {"reference": "vault:secret/db#p", "as": "file"}}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--secret", "NOWHERE_SET"], "no NOWHERE_SET in this command's environment"),
        (["--secret", "A=/no/such/file"], "No such file"),
        (["--env", "A=1", "--as-file", "A"], "give A by --secret or --reference"),
        (["--reference", "A=nosuch:x"], "There is no secret store"),
    ],
)
def test_a_command_says_what_is_wrong_and_submits_nothing(arguments, words):
    make_template("hello")
    result = jobs("create", "hello", *arguments)
    assert result.code == 2
    assert words in result.stderr
    assert not ContainerJob.objects.exists()


# ── the wrong key ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def locked(settings):
    """Secrets of each kind that no key decrypts."""
    host = make_host(secret_config={"registries": {"r.example": {"username": "u", "password": SECRET}}})
    template = make_template()
    EnvironmentVariable.objects.create(template=template, key="SECRET", value=SECRET, is_secret=True)
    EnvironmentVariable.objects.create(template=template, key="PLAIN", value="plain")
    job = make_job(template, host, secret_environment={"A": SECRET})
    take(host)
    make_attempt(AttemptState.RUNNING, host=host, job=job)
    HostRequest.objects.create(host=host, verb="test", expires_at=timezone.now())
    HostSample.objects.create(host=host, jobs_running=0, slots=1)
    settings.TALLYMAN_SECRET_KEYS = [Fernet.generate_key().decode()]
    return {"host": host, "template": template, "job": job}


def test_no_page_breaks_for_a_wrong_key(admin_client, locked):
    pages = [reverse(f"admin:{name}") for name in ("index", "jobs", "hosts", "templates", "job_new")]
    pages += [reverse(f"admin:{name}", args=[one.pk]) for name, one in locked.items()]
    pages += [reverse("admin:host_edit", args=[locked["host"].pk])]
    pages += [
        f"{reverse('admin:job_new')}?{query}"
        for query in (f"from={locked['job'].pk}", f"template={locked['template'].pk}")
    ]
    for model in admin.site._registry:
        if model._meta.app_label in {"hosts", "jobs"}:
            pages.append(url(model, "changelist"))
            keys = model._default_manager.values_list("pk", flat=True)[:2]
            pages += [url(model, "change", key) for key in keys]
    for page in pages:
        response = admin_client.get(page, follow=True)
        assert response.status_code == 200, page
        assert SECRET not in response.content.decode(), page


def test_the_forms_say_that_a_value_cannot_be_read_and_leave_it_alone(admin_client, locked, settings):
    variable = EnvironmentVariable.objects.defer("value").get(key="SECRET")
    address = url(EnvironmentVariable, "change", variable.pk)
    assert b"TALLYMAN_SECRET_KEYS" in admin_client.get(address).content
    assert admin_client.post(address, form_of(variable, key="RENAMED")).status_code == 302
    assert admin_client.post(url(DockerHost, "change", locked["host"].pk), {"name": "x"}).status_code == 200
    from tests.settings import ENVIRONMENT

    settings.TALLYMAN_SECRET_KEYS = [ENVIRONMENT["TALLYMAN_SECRET_KEYS"]]
    assert EnvironmentVariable.objects.get(key="RENAMED").value == SECRET


def test_a_value_that_cannot_be_read_can_be_given_anew(admin_client, locked):
    variable = EnvironmentVariable.objects.defer("value").get(key="SECRET")
    address = url(EnvironmentVariable, "change", variable.pk)
    assert admin_client.post(address, form_of(variable, value="anew")).status_code == 302
    assert EnvironmentVariable.objects.get(key="SECRET").value == "anew"
