"""Container options from the template's row to the job's, and what a host's policy forbids on the way."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError

from hosts.models import DockerHost
from jobs import operations
from jobs.models import Attempt, ContainerJob, ContainerTemplate, NetworkAssignment
from tests.supervisor.working import AnyEngine, names, work
from tests.support.engines import free_port

pytestmark = [pytest.mark.docker, pytest.mark.process, pytest.mark.django_db(transaction=True)]


def template_with(name: str, **fields: object) -> ContainerTemplate:
    return ContainerTemplate.objects.create(name=name, docker_image="busybox:latest", **fields)


def forbidden_jobs(host: DockerHost) -> dict[ContainerJob, str]:
    """Jobs that the host's policy forbids, with a part of the sentence that says why.

    Nobody can submit them; as rows that somebody wrote they wait all the same.
    """
    networked = template_with("networked", command="true")
    NetworkAssignment.objects.create(template=networked, network_name="host")
    pulling = template_with("pulling", pull_policy="always")
    wanted = [
        (template_with("strong", security={"privileged": True}), "", "privileged"),
        (template_with("bound", volumes=["/etc:/x:ro"]), "", "/etc"),
        (template_with("socket", volumes=["/var/run/docker.sock:/s"]), "", "docker.sock"),
        (networked, "", "own network"),
        (template_with("able", security={"cap_add": ["SYS_ADMIN"]}), "", "SYS_ADMIN"),
        (template_with("many", resources={"pids": 5000}), "", "4096 processes"),
        (pulling, "127.0.0.1:9/evil:1", "not among the images"),
        (pulling, "alpine:1", "not among the images"),
    ]
    for template, image, words in wanted:
        with pytest.raises(ValidationError, match=words):
            operations.submit(template, image=image, host=host)
    return {
        ContainerJob.objects.create(template=template, override_image=image, docker_host=host): words
        for template, image, words in wanted
    }


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that everybody may read, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_options_reach_the_container_and_its_metadata_the_job(
    engine: AnyEngine, host: DockerHost, shared: Path, database_url: str
) -> None:
    DockerHost.objects.update(policy={"paths": [str(shared)], "images": ["busybox"]})
    host.refresh_from_db()
    (shared / "input").write_text("from the host\n")
    port = free_port()
    made = engine.api.create_network("net-worker")
    template = template_with(
        "full",
        entrypoint="sh -c",
        command="'cat /data/input; id -u; touch /data/x || echo read-only'",
        user="65534",
        volumes=[f"{shared}:/data:ro"],
        ports=[f"127.0.0.1:{port}:8080"],
        security={"init": False},
    )
    NetworkAssignment.objects.create(template=template, network_name="net-worker", aliases=["web"])
    job = operations.submit(template)
    forbidden = forbidden_jobs(host)

    code, log = work("--once", database_url=database_url)

    engine.api.remove_network(made["Id"])
    assert (code, "Traceback" in log) == (0, False)
    job.refresh_from_db()
    assert (job.status, job.execution.stdout) == ("completed", "from the host\n65534\nread-only\n")
    metadata = job.executor_metadata
    assert set(metadata) >= {"container_name", "container_id", "network", "volumes", "ports", "image_digest"}
    assert (metadata["network"], metadata["volumes"]) == ("net-worker", [f"{shared}:/data:ro"])
    assert metadata["ports"] == {"8080/tcp": port}
    assert metadata["image_digest"].startswith("sha256:")
    for refused, words in forbidden.items():
        refused.refresh_from_db()
        attempt = Attempt.objects.get(job=refused)
        assert (refused.status, refused.failure_class) == ("failed", "not_allowed")
        assert words in refused.failure_message
        assert (attempt.outcome, attempt.container_id) == ("rejected", "")
        assert attempt.container_name not in names(engine)
