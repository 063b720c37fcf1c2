"""Where a process host keeps its jobs, and what may be wrong with its settings."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest

from hosts.executors.contract import HostView
from hosts.executors.process import ProcessExecutor, configuration
from hosts.executors.registry import executor_for


@pytest.mark.parametrize(
    ("base_url", "config"),
    [
        ("", {}),
        ("process://", {}),
        ("process:///srv/jobs", {"timeout": 2.5}),
        ("", {"root": "/srv/jobs"}),
        ("process:///srv/jobs", {"root": "/srv/jobs"}),
    ],
)
def test_good_settings(base_url: str, config: dict[str, Any]) -> None:
    assert ProcessExecutor.validate_config(base_url, config) == []


@pytest.mark.parametrize(
    ("base_url", "config"),
    [
        ("unix:///var/run/docker.sock", {}),
        ("process://jobs", {}),
        ("", {"root": "jobs"}),
        ("", {"root": 5}),
        ("process:///one", {"root": "/other"}),
        ("", {"timeout": 0}),
        ("", {"timeout": "soon"}),
        ("", {"tiemout": 5}),
    ],
)
def test_bad_settings_are_named(base_url: str, config: dict[str, Any]) -> None:
    assert len(ProcessExecutor.validate_config(base_url, config)) == 1


@pytest.mark.parametrize(
    ("base_url", "config", "root"),
    [
        ("", {}, "/by/setting"),
        ("process://", {}, "/by/setting"),
        ("process:///by/url", {}, "/by/url"),
        ("", {"root": "/by/config"}, "/by/config"),
    ],
)
def test_the_root_is_the_hosts_or_the_settings(
    settings: Any, base_url: str, config: dict[str, Any], root: str
) -> None:
    settings.TALLYMAN_PROCESS_ROOT = Path("/by/setting")

    assert configuration.root_of(base_url, config) == Path(root)


def test_the_registry_knows_it() -> None:
    host = HostView(
        id=uuid.uuid4(), name="here", executor_type="process", base_url="", installation=uuid.uuid4()
    )

    assert isinstance(executor_for(host), ProcessExecutor)
