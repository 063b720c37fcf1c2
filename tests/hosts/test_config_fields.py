"""What executors declare of their settings agrees with what they accept."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hosts.errors import ExecutorFailed
from hosts.executors import registry
from hosts.executors.cloudrun import configuration as cloudrun_configuration
from hosts.executors.config_fields import ADDRESS, ConfigField
from hosts.executors.contract import ContainerExecutor, HostView
from hosts.executors.docker import endpoint, images
from hosts.executors.docker import spec as docker_spec
from hosts.executors.fargate import configuration as fargate_configuration
from hosts.executors.process import configuration as process_configuration
from hosts.executors.swarm import spec as swarm_spec
from tests.support.containers import host_view, job_view

ID = uuid.UUID(int=1)
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


def view(kind: str, config: dict[str, Any]) -> HostView:
    return replace(host_view("unix:///run/x.sock", kind=kind, **config), id=ID, installation=ID)


JOB = job_view("true", template={"memory_limit": 64})
# What the settings of each kind come to.
EFFECTS: dict[str, Callable[[HostView], Any]] = {
    "cloudrun": lambda host: cloudrun_configuration.Settings.of("", host.config),
    "docker": lambda host: (
        endpoint.endpoint_from(host.name, host.base_url, host.config),
        docker_spec.create_body(host, JOB),
        replace(images.PullSettings.of(host.config), config={}),
    ),
    "fargate": lambda host: fargate_configuration.Settings.of(host),
    "process": lambda host: process_configuration.timeout_of(host.config),
    "swarm": lambda host: (
        endpoint.endpoint_from(host.name, host.base_url, host.config),
        swarm_spec.create_body(host, JOB, []),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_default_is_what_holds_if_nothing_is_said(kind: str) -> None:
    """Forms show it, and do not store it: another one could not be chosen, and would be believed."""
    defaults = {one.name: one.default for one in registry.config_fields(kind) if one.default is not None}
    needed, effect = NEEDED.get(kind, {}), EFFECTS[kind]
    assert defaults
    assert effect(view(kind, needed)) == effect(view(kind, {**needed, **defaults}))


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
    declared = {one.name for one in registry.config_fields("fargate")}
    assert fargate_configuration._RULES.keys() - declared == {ADDRESS, "repository_credentials", "tags"}


def test_every_setting_that_docker_knows_but_logins_has_a_field() -> None:
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
