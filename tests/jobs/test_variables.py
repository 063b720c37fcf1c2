"""Variables of a job that are more than a text: secrets, references, files. Whichever way they come in."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from hosts.errors import ConfigurationError
from jobs import needs, operations, spec, variables
from jobs.freezing import frozen_now
from jobs.models import Attempt, ContainerJob, EnvironmentVariable
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

SECRET = "hunter2-planted-secret"
GIVEN = {
    "PLAIN": "p",
    "TOKEN": {"secret": SECRET},
    "KEY": {"secret": SECRET, "as": "file"},
    "DB": {"reference": "vault:secret/app/db#password"},
    "PEM": {"reference": "env:JOB_PEM", "as": "file"},
}


def dumped() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM jobs_containerjob")
        return repr(cursor.fetchall())


def assert_stored(job: ContainerJob) -> None:
    job.refresh_from_db()
    assert job.override_environment == {name: GIVEN[name] for name in ("PLAIN", "DB", "PEM")}
    assert job.secret_environment == {"TOKEN": SECRET, "KEY": {"value": SECRET, "as": "file"}}
    assert SECRET not in dumped()


def test_a_submitted_job_keeps_its_secrets_encrypted():
    assert_stored(operations.submit(make_template(), environment=GIVEN))


def test_a_bare_row_does_too():
    assert_stored(make_job(override_environment=GIVEN))


def test_rows_in_bulk_do_too():
    job = ContainerJob(template=make_template(), override_environment=GIVEN)
    ContainerJob.objects.bulk_create([job])
    assert_stored(ContainerJob.objects.get())


def test_a_row_that_is_saved_in_part_does_too():
    job = make_job()
    job.override_environment = GIVEN
    job.save(update_fields=["override_environment"])
    assert_stored(job)


def test_an_update_that_could_only_store_it_as_it_is_is_refused():
    make_job()
    with pytest.raises(ConfigurationError, match="secret_environment"), transaction.atomic():
        ContainerJob.objects.update(override_environment=GIVEN)
    assert SECRET not in dumped()


def test_a_restart_takes_them_along():
    old = operations.submit(make_template(), environment=GIVEN)
    assert_stored(operations.restart(old.pk, who="me"))


def test_a_restart_whose_secrets_no_key_decrypts_is_refused(settings):
    old = operations.submit(make_template(), environment=GIVEN)
    settings.TALLYMAN_SECRET_KEYS = [Fernet.generate_key().decode()]
    with pytest.raises(operations.Refused, match="TALLYMAN_SECRET_KEYS"):
        operations.restart(old.pk, who="me")
    assert ContainerJob.objects.count() == 1
    operations.cancel(old.pk, who="me")  # which needs none of them


def test_the_frozen_spec_names_where_each_is_and_holds_no_secret():
    job = operations.submit(make_template(), environment=GIVEN)
    frozen = frozen_now(ContainerJob.objects.get(pk=job.pk))
    assert frozen["environment"] == {
        "PLAIN": {"value": "p"},
        "DB": {"store": "vault:secret/app/db#password"},
        "PEM": {"store": "env:JOB_PEM", "as": "file"},
        "TOKEN": {"job": "TOKEN"},
        "KEY": {"job": "KEY", "as": "file"},
    }
    assert SECRET not in repr(frozen)


def test_what_an_executor_is_handed_has_the_texts_and_says_what_is_a_file():
    job = operations.submit(make_template(), environment=GIVEN)
    job = ContainerJob.objects.get(pk=job.pk)
    attempt = Attempt(job_id=job.pk, number=1, epoch=1, spec=frozen_now(job), container_name="n")
    view = spec.thaw(attempt, template_secrets={}, job_secrets=job.secret_environment)
    assert (view.environment["TOKEN"], view.environment["KEY"]) == (SECRET, SECRET)
    assert view.secret_names == {"TOKEN", "KEY", "DB", "PEM"}
    assert view.secret_files == {"KEY", "PEM"}
    assert view.references == {"DB": "vault:secret/app/db#password", "PEM": "env:JOB_PEM"}
    assert "DB" not in view.environment


@pytest.mark.parametrize(
    "wrong",
    [
        {"secret": ""},
        {"secret": 5},
        {"secret": SECRET, "reference": "env:A"},
        {"secret": SECRET, "as": "volume"},
        {"secret": SECRET, "more": 1},
        {"secret": f"{SECRET}\x00"},
        {"reference": "nosuch:x"},
        {"reference": 5},
        {"as": "file"},
        {},
        [SECRET],
    ],
)
def test_what_is_wrong_is_refused_without_the_secret(wrong):
    with pytest.raises(ValidationError) as caught:
        operations.submit(make_template(), environment={"A": wrong})
    assert "override_environment" in caught.value.message_dict
    assert SECRET not in str(caught.value)
    assert not ContainerJob.objects.exists()


def test_a_form_gives_what_was_typed_back_without_the_secrets():
    box = variables.VariablesBox()
    shown = box.prepare_value({"A": {"secret": SECRET, "as": "file"}, "B": "b"})
    assert SECRET not in shown
    assert '"B": "b"' in shown
    assert SECRET not in box.prepare_value(box.bound_data(f'{{"A": {{"secret": "{SECRET}"}}', None))


# ── templates ─────────────────────────────────────────────────────────────────────────────────────────────


def variable(**fields) -> EnvironmentVariable:
    return EnvironmentVariable(template=make_template(), key="A", **fields)


def test_a_variable_of_a_template_may_be_a_reference_and_a_file():
    one = variable(reference="vault:secret/app/db#password", as_file=True)
    one.full_clean()
    one.save()
    frozen = frozen_now(ContainerJob(template=one.template))
    assert frozen["environment"] == {"A": {"store": "vault:secret/app/db#password", "as": "file"}}


@pytest.mark.parametrize(
    "fields",
    [{"reference": "nosuch:x"}, {"reference": "env:A", "value": "v"}, {"value": "v", "as_file": True}],
)
def test_what_cannot_be_both_is_refused(fields):
    with pytest.raises(ValidationError):
        variable(**fields).full_clean()


def test_a_job_with_secret_files_is_not_for_hosts_that_have_none(django_assert_num_queries):
    template = make_template()
    assert needs.SECRET_FILES not in needs.needs_of_template(template)
    EnvironmentVariable.objects.create(template=template, key="A", value="v", is_secret=True, as_file=True)
    assert needs.SECRET_FILES in needs.needs_of_template(template)
    assert any("/run/secrets" in one for one in needs.lacking("process", template))
    assert needs.lacking("docker", template) == []
    assert needs.lacking("swarm", template) == []


def test_a_job_that_is_pinned_where_there_are_none_is_refused():
    host = make_host(executor_type="fargate")
    with pytest.raises(ValidationError, match="/run/secrets"):
        operations.submit(make_template(), host=host, environment={"KEY": {"secret": SECRET, "as": "file"}})


def test_what_many_templates_need_takes_as_many_queries_as_for_one(django_assert_num_queries):
    from jobs.models import ContainerTemplate

    for number in range(5):
        made = make_template(f"t{number}")
        EnvironmentVariable.objects.create(template=made, key="A", value="v", is_secret=True, as_file=True)
    with django_assert_num_queries(3):
        templates = list(ContainerTemplate.objects.prefetch_related("network_assignments"))
        needs.look_for_files(templates)
        assert all(needs.SECRET_FILES in needs.needs_of_template(one) for one in templates)
