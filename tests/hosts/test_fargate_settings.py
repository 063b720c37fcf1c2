"""The settings of a Fargate host, and the sizes of its tasks."""

from __future__ import annotations

from typing import Any

import pytest

from hosts.errors import ContainerExecutionError
from hosts.executors.fargate import FargateExecutor
from hosts.executors.fargate.configuration import Settings
from hosts.executors.fargate.sizes import Size, smallest
from hosts.models import DockerHost
from tests.hosts.fargate import view_of

SPECIFICATION = {
    "cluster": "my-ecs-cluster",
    "subnets": ["subnet-12345", "subnet-67890"],
    "security_groups": ["sg-abcdef"],
    "execution_role_arn": "arn:aws:iam::123456789:role/ecsTaskExecutionRole",
    "task_role_arn": "arn:aws:iam::123456789:role/ecsTaskRole",
    "platform_version": "LATEST",
    "assign_public_ip": "ENABLED",
}


def test_the_specifications_settings_are_right() -> None:
    assert FargateExecutor.validate_config("", SPECIFICATION) == []


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"cluster": ""}, "cluster is missing."),
        ({"subnets": []}, "subnets is missing."),
        ({"subnets": "subnet-1"}, "subnets must be a list of ids, not an empty one."),
        ({"security_groups": [1]}, "security_groups must be a list of ids, not an empty one."),
        ({"assign_public_ip": True}, "assign_public_ip must be ENABLED or DISABLED."),
        ({"endpoint_url": "localhost:5000"}, "endpoint_url must be an http:// or https:// address."),
        ({"capacity_provider": "SPOT"}, "capacity_provider must be FARGATE or FARGATE_SPOT."),
        ({"default_cpu": 32}, "default_cpu must be a number of CPUs, 0.25 to 16."),
        ({"ephemeral_storage_gib": 25.5}, "ephemeral_storage_gib must be a whole number, 21 to 200."),
        (
            {"tags": {"tallyman.job": "x"}},
            "tags must be an object of 40 texts at most, none of them tallyman.",
        ),
        ({"timeout": 0}, "timeout must be a number of seconds, 1 to 600."),
        ({"log_settle_seconds": 60}, "log_settle_seconds must be a number of seconds, 0 to 25."),
        ({"subnet": "subnet-1"}, "There is no setting subnet."),
        ({"aws_access_key_id": "AKID"}, "aws_access_key_id and aws_secret_access_key belong together"),
    ],
)
def test_what_is_wrong_with_settings_is_said(config: dict[str, Any], said: str) -> None:
    problems = FargateExecutor.validate_config("", {**SPECIFICATION, **config})
    assert len(problems) == 1
    assert problems[0].startswith(said)


def test_a_fargate_host_has_no_url() -> None:
    (problem,) = FargateExecutor.validate_config("tcp://10.0.0.1:2376", SPECIFICATION)
    assert "leave it empty" in problem


def test_the_region_stands_in_the_clusters_arn_too() -> None:
    config = {**SPECIFICATION, "cluster": "arn:aws:ecs:eu-west-3:123456789012:cluster/jobs"}
    assert Settings.of(view_of(config)).region == "eu-west-3"
    assert Settings.of(view_of({**config, "region": "eu-west-1"})).region == "eu-west-1"
    assert Settings.of(view_of(SPECIFICATION), region="us-west-2").region == "us-west-2"


def test_a_secret_key_among_the_settings_that_everybody_reads_is_refused() -> None:
    key = {"aws_access_key_id": "AKID", "aws_secret_access_key": "not-a-real-secret"}
    host = DockerHost(name="cloud", executor_type="fargate", executor_config={**SPECIFICATION, **key})
    with pytest.raises(Exception, match="aws_secret_access_key holds passwords"):
        host.clean()


@pytest.mark.parametrize(
    ("cpus", "memory", "size"),
    [
        (0.25, 64, Size(256, 512)),
        (0.25, 513, Size(256, 1024)),
        (0.1, 3000, Size(512, 3072)),
        (0.3, 512, Size(512, 1024)),
        (1, 512, Size(1024, 2048)),
        (2.5, 4096, Size(4096, 8192)),
        (8, 17_000, Size(8192, 20_480)),
        (16, 122_880, Size(16_384, 122_880)),
        (0.25, 61_441, Size(16_384, 65_536)),
    ],
)
def test_a_task_is_the_smallest_that_has_enough(cpus: float, memory: int, size: Size) -> None:
    assert smallest(cpus, memory) == size


@pytest.mark.parametrize(("cpus", "memory"), [(17, 512), (1, 122_881)])
def test_more_than_fargate_has_is_refused(cpus: float, memory: int) -> None:
    with pytest.raises(ContainerExecutionError, match="up to 16 CPUs and 122880 MB") as refused:
        smallest(cpus, memory)
    assert refused.value.failure_class == "bad_spec"
