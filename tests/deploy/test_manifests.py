"""Units, image, compose and Kubernetes: the same commands, probes and variables as everywhere else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.urls import resolve

from tests.deploy import files
from tests.support.requirements import missing

_PROGRAMS = "/opt/tallyman/.venv/bin/"
_PROBE = ["python", "manage.py", "supervise", "--probe"]


def _setting(unit: str, name: str) -> list[str]:
    text = (files.DEPLOY / "systemd" / unit).read_text()
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


@pytest.mark.parametrize("kind", ["web", "supervisor", "release"])
def test_every_way_to_deploy_runs_the_command_of_the_procfile(kind: str) -> None:
    expected = files.procfile()[kind]
    (unit,) = _setting(f"tallyman-{kind}.service", "ExecStart")
    assert unit.removeprefix(_PROGRAMS).split() == expected
    assert files.compose()["services"][kind]["command"].split() == expected
    assert files.containers()[kind]["command"] == expected


def _instructions(word: str) -> list[str]:
    return re.findall(rf"^{word} (.*)$", (files.DEPLOY / "Dockerfile").read_text(), re.MULTILINE)


def test_the_image_runs_the_web_process_unless_told_otherwise() -> None:
    (command,) = _instructions("CMD")
    assert json.loads(command) == files.procfile()["web"]


def test_the_image_is_never_root_and_has_its_packages_pinned() -> None:
    assert _instructions("USER") == ["10001"]
    assert any("--require-hashes" in line for line in _instructions("RUN"))


def test_only_what_runs_goes_into_the_image() -> None:
    everything, *kept = [
        line for line in (files.ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")
    ]
    assert everything == "*"
    kept = [line.removeprefix("!") for line in kept if line.startswith("!")]
    assert all((files.ROOT / path).exists() for path in kept)
    code = {path.name for path in files.ROOT.iterdir() if (path / "__init__.py").exists()}
    assert set(kept) >= code - {"tests", "bench", "scripts"}
    assert not {".env", "var", ".git", "tests", "deploy"} & set(kept)


def test_secrets_are_not_for_git() -> None:
    named = {one["file"] for one in files.compose()["secrets"].values()}
    assert all(path.startswith("secrets/") for path in named)
    assert "deploy/secrets/" in (files.ROOT / ".gitignore").read_text().splitlines()


def test_every_variable_is_one_that_the_settings_read() -> None:
    services = files.compose()["services"]
    named = {name for kind in files.procfile() for name in services[kind]["environment"]}
    for one in files.manifests():
        if one["kind"] == "ConfigMap" or one["metadata"]["name"] == "tallyman":
            named |= {*one.get("data", {}), *one.get("stringData", {})}
    named |= {
        entry["name"] for container in files.containers().values() for entry in container.get("env", [])
    }
    named |= {
        word.partition("=")[0]
        for line in _instructions("ENV")
        for word in line.split()
        if "TALLYMAN_" in word
    }
    assert len(named) > 5
    read = files.environment_read()
    assert {name if name in read else name.removesuffix("_FILE") for name in named} <= read


def test_nothing_that_must_be_set_is_missing() -> None:
    required = {"SECRET_KEY", "TALLYMAN_SECRET_KEYS", "ALLOWED_HOSTS", "DATABASE_URL"}
    environment = files.compose()["x-app"]["environment"]
    assert {name.removesuffix("_FILE") for name in environment} >= required
    objects = [one for one in files.manifests() if one["metadata"]["name"] == "tallyman"]
    assert {name for one in objects for name in (one.get("data") or one.get("stringData"))} >= required


def test_the_web_process_is_asked_at_urls_that_there_are() -> None:
    web = files.containers()["web"]
    paths = {name: web[name]["httpGet"]["path"] for name in web if name.endswith("Probe")}
    assert {name: resolve(path).url_name for name, path in paths.items()} == {
        "startupProbe": "health-live",
        "livenessProbe": "health-live",
        "readinessProbe": "health-ready",
    }


def test_the_supervisor_is_asked_by_its_own_probe() -> None:
    container = files.containers()["supervisor"]
    assert container["livenessProbe"]["exec"]["command"] == _PROBE
    assert container["startupProbe"]["exec"]["command"] == _PROBE
    (port,) = container["ports"]
    assert {"name": "TALLYMAN_PROBE_PORT", "value": str(port["containerPort"])} in container["env"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/health/ready", "port": port["name"]}
    assert files.compose()["services"]["supervisor"]["healthcheck"]["test"] == ["CMD", *_PROBE]


def test_only_the_supervisor_has_the_socket_of_docker() -> None:
    services = files.compose()["services"]
    assert [name for name, one in services.items() if "docker.sock" in str(one.get("volumes"))] == [
        "supervisor"
    ]


def test_jobs_of_process_hosts_outlive_the_unit() -> None:
    assert _setting("tallyman-supervisor.service", "KillMode") == ["process"]
    assert _setting("tallyman-supervisor.service", "OOMPolicy") == ["continue"]
    assert not _setting("tallyman-supervisor.service", "PrivateTmp")


def test_every_pod_runs_without_rights_it_does_not_need() -> None:
    for name, container in files.containers().items():
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"], name
        assert context["capabilities"] == {"drop": ["ALL"]}, name
        assert context["allowPrivilegeEscalation"] is False, name


def test_systemd_finds_the_units_sound(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze") or missing("systemd", "systemd-analyze is not installed")
    for unit in files.UNITS:
        # What stands in the units is not installed here, and systemd looks for it.
        text = re.sub(
            rf"^(ExecStart=){_PROGRAMS}\S+", rf"\g<1>{sys.executable}", unit.read_text(), flags=re.M
        )
        (tmp_path / unit.name).write_text(text.replace("=/bin/kill", f"={sys.executable}"))
    units = [str(tmp_path / unit.name) for unit in files.UNITS]
    done = subprocess.run(
        [analyze, "verify", "--man=no", *units], capture_output=True, text=True, timeout=60, check=False
    )
    # What it says of units of this machine is not ours.
    assert [line for line in done.stderr.splitlines() if "tallyman" in line] == []
