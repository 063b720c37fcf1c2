"""Reading what specs are made of, when some of it cannot be read. See also `test_broken_rows`."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet

from hosts.errors import ConfigurationError, ContainerExecutionError
from jobs import spec
from jobs.freezing import frozen_specs
from jobs.models import Attempt, ContainerJob, ContainerTemplate, EnvironmentVariable
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
    jobs = list(ContainerJob.objects.all())
    with django_assert_num_queries(5):
        assert len(frozen_specs(jobs)) == 3
