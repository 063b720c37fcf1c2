"""What no host allows is refused when it is saved: templates, their networks, jobs."""

from __future__ import annotations

import pytest
from django.core.exceptions import ValidationError

from jobs import operations
from jobs.models import ContainerTemplate, NetworkAssignment
from tests.support.factories import make_host, make_template

pytestmark = pytest.mark.django_db


def strong(**fields) -> ContainerTemplate:
    return ContainerTemplate(name="strong", docker_image="app:1", security={"privileged": True}, **fields)


def test_a_template_is_refused_if_every_host_forbids_it_and_each_says_why():
    make_host("a")
    make_host("b", policy={"privileged": True, "images": ["other"]})

    with pytest.raises(ValidationError) as caught:
        strong().full_clean()

    (sentence,) = caught.value.messages
    assert sentence.startswith(
        "No host allows it. a: The host does not allow privileged containers. b: The image"
    )


def test_it_is_taken_if_one_host_allows_it_or_there_is_none_to_ask():
    strong().full_clean()
    make_host("a")
    allowing = make_host("b", policy={"privileged": True})
    strong().full_clean()
    with pytest.raises(ValidationError):
        strong(required_executor="swarm" if make_host("s", executor_type="swarm") else "").full_clean()

    allowing.is_active = False
    allowing.save()
    with pytest.raises(ValidationError, match="No host allows it"):
        strong().full_clean()


def test_a_network_is_asked_about_by_itself():
    make_host("a")
    template = make_template()

    with pytest.raises(ValidationError, match="own network"):
        NetworkAssignment(template=template, network_name="host").full_clean()
    for name in ("container:db", "ns:/proc/1/ns/net", " host"):
        with pytest.raises(ValidationError, match="no name of a network"):
            NetworkAssignment(template=template, network_name=name).full_clean()
    NetworkAssignment(template=template, network_name="intern").full_clean()


def test_a_job_is_refused_with_the_image_that_it_asks_for_itself():
    choosy = make_host("choosy", policy={"images": ["team/**"]})
    template = make_template(docker_image="team/app")
    operations.submit(template)

    for host in (choosy, None):
        with pytest.raises(ValidationError, match="evil:1 is not among the images"):
            operations.submit(template, image="evil:1", host=host)


def test_the_networks_of_a_template_count_for_its_jobs():
    host = make_host("a", policy={"networks": ["jobs-*"]})
    template = make_template()
    NetworkAssignment.objects.create(template=template, network_name="db")

    with pytest.raises(ValidationError, match="network db is not among"):
        operations.submit(template, host=host)
