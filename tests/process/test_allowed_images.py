"""A host's list of images holds for every kind of executor, and for jobs that are pinned to it."""

from __future__ import annotations

import pytest

from hosts.models import DockerHost
from jobs import operations
from jobs.models import ContainerTemplate
from tests.support import supervising
from tests.support.supervising import wait_for_status

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


def test_an_image_that_the_host_does_not_allow_is_refused_before_anything_is_made(
    process_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    refused = operations.submit(template, command="true", host=process_host)
    DockerHost.objects.update(policy={"images": ["team/**"]})
    process_host.refresh_from_db()
    allowed = operations.submit(template, command="true", image="team/tool", host=process_host)
    with supervising.running("process_container_jobs", "--once", database_url=database_url) as once:
        assert once.process.wait(40) == 0
    wait_for_status(allowed, "completed", "failed")
    wait_for_status(refused, "failed")
    assert refused.failure_class == "not_allowed"
    assert refused.failure_message == "The image none is not among the images that the host allows."
    assert refused.attempts.get().started_at is None
    assert allowed.status == "completed"
