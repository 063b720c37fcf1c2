"""Secrets in the admin: they go in, and never come out."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from jobs.models import ContainerJob, ContainerTemplate, EnvironmentVariable
from tests.admin_ui.test_admin_pages import template_form, url
from tests.jobs.attempts import make_attempt
from tests.support.factories import make_job, make_template

pytestmark = pytest.mark.django_db

SECRET = "s3cr3t-v4lue"


@pytest.fixture
def variable():
    return EnvironmentVariable.objects.create(
        template=make_template(), key="TOKEN", value=SECRET, is_secret=True
    )


def form_of(variable, **fields):
    return {"template": variable.template_id, "key": variable.key, "value": "", "is_secret": "on", **fields}


def stored(variable) -> str:
    return str(EnvironmentVariable.objects.get(pk=variable.pk).value)


@pytest.mark.parametrize("page", ["variable", "template", "list", "delete", "history"])
def test_no_page_holds_the_value(admin_client, variable, page):
    address = {
        "variable": url(EnvironmentVariable, "change", variable.pk),
        "template": url(ContainerTemplate, "change", variable.template_id),
        "list": url(EnvironmentVariable, "changelist"),
        "delete": url(EnvironmentVariable, "delete", variable.pk),
        "history": url(EnvironmentVariable, "history", variable.pk),
    }[page]
    response = admin_client.get(address)
    assert response.status_code == 200
    assert b"TOKEN" in response.content
    assert SECRET.encode() not in response.content


def test_who_may_only_look_sees_plain_values_only(client, variable):
    EnvironmentVariable.objects.create(template=variable.template, key="PLAIN", value="p1ain-value")
    user = User.objects.create_user("viewer", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__startswith="view_"))
    client.force_login(user)
    for address in (
        url(EnvironmentVariable, "change", variable.pk),
        url(ContainerTemplate, "change", variable.template_id),
    ):
        content = client.get(address).content.decode()
        assert SECRET not in content
        assert "(secret, not shown)" in content
    assert "p1ain-value" in content


def test_an_empty_field_keeps_the_value(admin_client, variable):
    address = url(EnvironmentVariable, "change", variable.pk)
    assert b"A value is set" in admin_client.get(address).content
    assert admin_client.post(address, form_of(variable, key="RENAMED")).status_code == 302
    assert stored(variable) == SECRET


def test_a_filled_field_replaces_it(admin_client, variable):
    address = url(EnvironmentVariable, "change", variable.pk)
    assert admin_client.post(address, form_of(variable, value="new")).status_code == 302
    assert stored(variable) == "new"


def test_a_secret_does_not_become_plain_by_a_tick(admin_client, variable):
    address = url(EnvironmentVariable, "change", variable.pk)
    form = form_of(variable)
    del form["is_secret"]
    response = admin_client.post(address, form)
    assert b"give it a new value" in response.content
    assert EnvironmentVariable.objects.get().is_secret
    assert admin_client.post(address, {**form, "value": "now plain"}).status_code == 302
    assert not EnvironmentVariable.objects.get().is_secret


def test_a_value_that_comes_back_with_an_error_is_not_in_the_page(admin_client):
    form = {"template": make_template().pk, "key": "1 bad", "value": SECRET, "is_secret": "on"}
    response = admin_client.post(url(EnvironmentVariable, "add"), form)
    assert response.status_code == 200
    assert b"is no name of an environment variable" in response.content
    assert SECRET.encode() not in response.content


def test_the_inline_of_a_template_keeps_it_too(admin_client, variable):
    prefix = "environment_variables"
    inline = {
        f"{prefix}-TOTAL_FORMS": "1",
        f"{prefix}-INITIAL_FORMS": "1",
        f"{prefix}-0-id": variable.pk,
        f"{prefix}-0-template": variable.template_id,
        f"{prefix}-0-key": "TOKEN",
        f"{prefix}-0-value": "",
        f"{prefix}-0-is_secret": "on",
    }
    address = url(ContainerTemplate, "change", variable.template_id)
    response = admin_client.post(address, template_form(name="renamed", **inline))
    assert response.status_code == 302
    assert stored(variable) == SECRET


def test_the_pages_of_a_job_show_names_of_variables_only(admin_client, variable):
    job = make_job(
        variable.template, override_environment={"OWN": SECRET}, secret_environment={"HIDDEN": SECRET}
    )
    attempt = make_attempt(job=job)
    pages = (
        url(ContainerJob, "change", job.pk),
        reverse("admin:jobs_attempt_change", args=[attempt.pk]),
        url(ContainerJob, "changelist"),
    )
    contents = [admin_client.get(page).content.decode() for page in pages]
    assert "HIDDEN, OWN" in contents[0]
    assert "OWN" in contents[1]
    assert not any(SECRET in content for content in contents)
