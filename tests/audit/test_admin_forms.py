"""What is typed into Django's forms: before and after, secrets by name only, inlines included."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from audit.models import AuditEvent
from jobs.models import ConcurrencyLimit, ContainerTemplate, EnvironmentVariable
from tests.audit.rows import newest, only, since
from tests.support.factories import make_job, make_template

pytestmark = pytest.mark.django_db
PLANTED = "5up3r-53cr3t"


def form_of(client: Client, address: str) -> dict[str, object]:
    """What a browser would send of the form as it stands."""
    response = client.get(address)
    form = response.context["adminform"].form
    sent: dict[str, object] = {}
    forms = [form]
    for one in response.context["inline_admin_formsets"]:
        forms += [one.formset.management_form, *one.formset.initial_forms]
    for one in forms:
        for field in one:
            value = field.value()
            if value is True:
                sent[field.html_name] = "on"
            elif value is not None and value is not False:
                sent[field.html_name] = value
    return sent


def test_a_change_says_what_was_before_and_after(admin_client):
    limit = ConcurrencyLimit.objects.create(key="gpu", max_concurrent=1)
    address = reverse("admin:jobs_concurrencylimit_change", args=[limit.pk])
    admin_client.post(address, {**form_of(admin_client, address), "max_concurrent": 2})
    row = only("concurrencylimit.change")
    assert (row.said["before"], row.said["after"]) == ({"max_concurrent": 1}, {"max_concurrent": 2})
    assert (row.object_key, row.object_label, row.actor) == (str(limit.pk), str(limit), "admin")
    before = newest()
    admin_client.post(address, form_of(admin_client, address))
    assert since(before) == []  # nothing was changed


def test_adding_and_deleting_leave_rows(admin_client):
    admin_client.post(reverse("admin:jobs_concurrencylimit_add"), {"key": "gpu", "max_concurrent": 1})
    limit = ConcurrencyLimit.objects.get()
    admin_client.post(reverse("admin:jobs_concurrencylimit_delete", args=[limit.pk]), {"post": "yes"})
    assert only("concurrencylimit.add").said["after"]["key"] == "gpu"
    assert only("concurrencylimit.delete").said["before"]["key"] == "gpu"


def test_deleting_many_at_once_leaves_a_row_for_each(admin_client):
    keys = [ConcurrencyLimit.objects.create(key=key, max_concurrent=1).pk for key in ("a", "b")]
    admin_client.post(
        reverse("admin:jobs_concurrencylimit_changelist"),
        {"action": "delete_selected", "_selected_action": keys, "post": "yes"},
    )
    rows = AuditEvent.objects.filter(verb="concurrencylimit.delete")
    assert {row.object_label for row in rows} == {"a", "b"}


def test_variables_of_a_template_are_told_in_its_row_by_name_only(admin_client):
    template = make_template("nightly")
    kept = EnvironmentVariable.objects.create(template=template, key="OLD", value="x", is_secret=True)
    gone = EnvironmentVariable.objects.create(template=template, key="GONE", value="y")
    address = reverse("admin:jobs_containertemplate_change", args=[template.pk])
    sent = form_of(admin_client, address)
    prefix = "environment_variables"
    forms = {sent[f"{prefix}-{number}-id"]: number for number in range(2)}
    sent |= {
        "docker_image": "busybox:2",
        f"{prefix}-{forms[kept.pk]}-value": PLANTED,
        f"{prefix}-{forms[gone.pk]}-DELETE": "on",
        f"{prefix}-TOTAL_FORMS": 3,
        f"{prefix}-2-key": "NEW",
        f"{prefix}-2-value": PLANTED,
        f"{prefix}-2-is_secret": "on",
    }
    response = admin_client.post(address, sent)
    assert response.status_code == 302, response.context["errors"]
    row = only("template.change")
    assert row.said["before"]["docker_image"] == "busybox:latest"
    assert row.said["after"]["docker_image"] == "busybox:2"
    named = "environment variable"
    assert sorted(row.said["says"]["set_anew"]) == [f"{named} NEW value", f"{named} OLD value"]
    assert row.said["says"]["emptied"] == [f"{named} GONE value"]
    assert PLANTED not in "".join(row.details for row in AuditEvent.objects.all())
    assert ContainerTemplate.objects.get().environment_variables.count() == 2


def test_what_an_operation_tells_of_is_told_once(admin_client):
    job = make_job(status="completed")
    before = newest()
    admin_client.post(reverse("admin:jobs_containerjob_delete", args=[job.pk]), {"post": "yes"})
    assert [row.verb for row in since(before)] == ["job.delete"]
