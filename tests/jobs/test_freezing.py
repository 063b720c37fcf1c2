"""Reading what specs are made of, when some of it cannot be read. See also `test_broken_rows`."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.db.models import TextField
from django.db.models.functions import Cast

from hosts.errors import ConfigurationError, ContainerExecutionError
from jobs import spec
from jobs.freezing import Taken, frozen_specs
from jobs.models import Attempt, ContainerJob, ContainerTemplate, EnvironmentVariable, NetworkAssignment
from tests.jobs.attempts import claim, take
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db


def variable(template: ContainerTemplate, **fields) -> EnvironmentVariable:
    return EnvironmentVariable.objects.create(template=template, **{"key": "A", "value": "a", **fields})


def refusals() -> dict[str, str]:
    """Why each claimed job cannot run, by name; empty for one that can."""
    host, texts = make_host(), {}
    for attempt in claim(take(host), host):
        attempt = Attempt.objects.get(pk=attempt.pk)
        name = attempt.spec["job_name"]
        try:
            spec.thaw(attempt, template_secrets={"A": "a"}, job_secrets={"B": "b"})
            texts[name] = ""
        except (ConfigurationError, ContainerExecutionError) as exc:
            texts[name] = str(exc)
    return texts


def test_with_the_wrong_key_jobs_without_secrets_still_run(settings):
    with_variables = make_template("with variables")
    variable(with_variables)
    make_job(with_variables, name="variable", priority=2)
    make_job(name="secret", priority=1, secret_environment={"B": "b"})
    make_job(name="plain")
    settings.TALLYMAN_SECRET_KEYS = [Fernet.generate_key().decode()]
    texts = refusals()
    assert texts["plain"] == ""
    assert "TALLYMAN_SECRET_KEYS" in texts["secret"]
    assert "TALLYMAN_SECRET_KEYS" in texts["variable"]


def test_the_number_of_jobs_does_not_make_it_slower(django_assert_num_queries):
    templates = [make_template(f"t{number}") for number in range(3)]
    for template in templates:
        variable(template)
        make_job(template, secret_environment={"B": "b"})
    stored = ContainerJob.objects.annotate(stored=Cast("secret_environment", TextField()))
    secrets = dict(stored.values_list("pk", "stored"))
    jobs = [Taken(job, secrets[job.pk], version="1") for job in ContainerJob.objects.all()]
    with django_assert_num_queries(4):
        assert len(frozen_specs(jobs)) == 3
    with django_assert_num_queries(0):
        assert len(frozen_specs(jobs)) == 3


def test_what_was_read_once_is_read_again_when_any_part_of_it_changes():
    template, host = make_template("changing"), make_host()
    lease = take(host)

    def spec_now() -> dict[str, Any]:
        make_job(template)
        (attempt,) = claim(lease, host)
        return attempt.spec

    assert spec_now()["environment"] == {}
    added = variable(template)
    assert spec_now()["environment"] == {"A": {"value": "a"}}
    EnvironmentVariable.objects.filter(pk=added.pk).update(value="b")
    assert spec_now()["environment"] == {"A": {"value": "b"}}
    assert spec_now()["networks"] == []
    network = NetworkAssignment.objects.create(template=template, network_name="inner")
    assert spec_now()["networks"] == [["inner", []]]
    network.delete()
    added.delete()
    assert spec_now()["networks"] == []
    assert spec_now()["environment"] == {}
    ContainerTemplate.objects.filter(pk=template.pk).update(command="other")
    assert spec_now()["command"] == "other"
