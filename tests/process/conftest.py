from __future__ import annotations

from pathlib import Path

import pytest

from hosts.models import DockerHost
from jobs.models import ContainerTemplate


@pytest.fixture
def process_host(tmp_path: Path, transactional_db: None) -> DockerHost:
    """A host that runs jobs as plain processes of this machine."""
    return DockerHost.objects.create(
        name="here", executor_type="process", executor_config={"root": str(tmp_path / "jobs")}
    )


@pytest.fixture
def template(transactional_db: None) -> ContainerTemplate:
    """A template for short shell scripts."""
    return ContainerTemplate.objects.create(
        name="t", docker_image="none", command="true", timeout_seconds=60, stop_grace_seconds=1
    )
