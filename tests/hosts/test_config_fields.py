"""What executors declare of their settings agrees with what they accept."""

from __future__ import annotations

from typing import Any

import pytest

from hosts.errors import ExecutorFailed
from hosts.executors import registry
from hosts.executors.config_fields import ADDRESS, ConfigField
from hosts.executors.contract import ContainerExecutor

KINDS = ("cloudrun", "docker", "fargate", "process", "swarm")
NEEDED: dict[str, dict[str, Any]] = {
    "cloudrun": {"project": "my-project", "region": "us-central1"},
    "fargate": {"cluster": "c", "subnets": ["subnet-1"]},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_default_and_choice_is_accepted(kind: str) -> None:
    config = dict(NEEDED.get(kind, {}))
    fields = registry.config_fields(kind)
    for one in fields:
        if one.default is not None:
            config[one.name] = one.default
    url = "unix:///run/x.sock" if kind in ("docker", "swarm") else ""
    assert registry.settings_problems(kind, url, config) == []
    for one in fields:
        for choice in one.choices:
            assert registry.settings_problems(kind, url, {**config, one.name: choice}) == []


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_required_is_missed(kind: str) -> None:
    required = [one.name for one in registry.config_fields(kind) if one.required]
    assert sorted(required) == sorted(NEEDED.get(kind, {}))
    for name in required:
        config = {key: value for key, value in NEEDED[kind].items() if key != name}
        assert any(name in problem for problem in registry.settings_problems(kind, "", config))


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_given_once_and_secrets_are_kept_as_such(kind: str) -> None:
    fields = registry.config_fields(kind)
    assert len({one.name for one in fields}) == len(fields)
    secrets = {one.name for one in fields if one.kind == "secret"}
    assert secrets <= registry.executor_class(kind).secret_settings
    assert all(one.label for one in fields)
    assert all(one.choices for one in fields if one.kind == "choice")


def test_every_setting_that_fargate_knows_but_objects_has_a_field() -> None:
    from hosts.executors.fargate import configuration

    declared = {one.name for one in registry.config_fields("fargate")}
    assert configuration._RULES.keys() - declared == {ADDRESS, "repository_credentials", "tags"}


def test_every_setting_that_docker_knows_but_logins_has_a_field() -> None:
    from hosts.executors.docker import endpoint

    declared = {one.name for one in registry.config_fields("docker")}
    assert endpoint._KNOWN_KEYS - declared == {"registries"}
    assert declared <= endpoint._KNOWN_KEYS


class Nonsense(ContainerExecutor):
    """One that declares what is no field."""

    config_fields = ("region",)  # type: ignore[assignment]

    def launch_job(self, job: object) -> tuple[bool, str]:
        return False, "never"


def test_nonsense_is_said_to_be_the_executors_fault(settings: Any) -> None:
    settings.TALLYMAN_EXECUTORS = {"nonsense": f"{__name__}.Nonsense"}
    with pytest.raises(ExecutorFailed, match="config_fields"):
        registry.config_fields("nonsense")
    assert ConfigField(name="a", label="A").kind == "text"
