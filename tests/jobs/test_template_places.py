"""Where a job of a template would go, and templates that are out of use."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from hosts.models import DockerHost
from jobs import explain, kinds, operations, shelf
from jobs.models import ContainerTemplate, NetworkAssignment
from jobs.operations import Refused
from tests.jobs.attempts import make_attempt, take
from tests.jobs.test_flat_cost import statements
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db


def ready(name: str, **fields) -> DockerHost:
    host = make_host(name, state="online", seen_at=timezone.now(), **fields)
    take(host)
    return host


def test_a_template_is_judged_as_a_job_of_it_would_be():
    ready("light", weight=10)
    ready("heavy", weight=200)
    make_host("dark", state="unreachable")
    template = make_template()
    places = explain.places(template)
    assert [one.host for one in places.hosts] == ["heavy", "light", "dark"]
    assert (places.hosts[0].is_first, places.blocked) == (True, "")
    assert places.hosts == explain.explain(make_job(template)).hosts


def test_what_no_host_can_give_is_said():
    ready("a")
    template = make_template(required_labels={"gpu": "a100"})
    places = explain.places(template)
    assert "lacks the label gpu" in places.hosts[0].why_not
    assert "lacks the label gpu" in places.blocked


def test_many_templates_are_judged_with_the_queries_of_one():
    ready("a")
    make_host("gone", archived_at=timezone.now())
    make_template("any")
    make_template("gpu", required_labels={"gpu": "a100"})
    NetworkAssignment.objects.create(template=make_template("networked"), network_name="n")
    templates = list(ContainerTemplate.objects.order_by("name").prefetch_related("network_assignments"))
    counts = []
    for some in (templates[:2], templates):
        with statements() as seen:
            found = explain.openings(some)
        counts.append(len(seen))
    assert counts[0] == counts[1]
    by_name = {one.name: found[one.pk] for one in templates}
    placed = {name: (one.hosts, one.of) for name, one in by_name.items()}
    assert placed == {"any": (1, 1), "gpu": (0, 1), "networked": (1, 1)}
    assert "lacks the label gpu" in by_name["gpu"].blocked


def test_a_template_whose_limit_is_reached_runs_nowhere():
    ready("a")
    template = make_template(max_concurrent=1)
    make_attempt(job=make_job(template))
    opening = explain.openings([template])[template.pk]
    assert (opening.hosts, opening.blocked) == (0, "The limit of template t is reached (1 of 1 at once)")


def test_the_kinds_of_jobs_are_found_in_one_query_for_all():
    template = make_template(limit_key="db")
    jobs = [make_job(template), make_job(template, override_image="other")]
    found = kinds.of_jobs([job.pk for job in jobs])
    assert found == {job.pk: kinds.of_job(job.pk) for job in jobs}
    assert kinds.of_jobs([]) == {}


def test_no_new_jobs_of_an_archived_template_can_be_submitted_until_it_is_used_again():
    template = make_template()
    shelf.archive(template.pk)
    template.refresh_from_db()
    with pytest.raises(ValidationError, match="archived"):
        operations.submit(template)
    with pytest.raises(Refused, match="archived already"):
        shelf.archive(template.pk)
    shelf.unarchive(template.pk)
    template.refresh_from_db()
    operations.submit(template)
    with pytest.raises(Refused, match="not archived"):
        shelf.unarchive(template.pk)
