"""The files of deploy/, read as their programs read them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
UNITS = sorted((DEPLOY / "systemd").iterdir())
MANIFESTS = sorted((DEPLOY / "kubernetes").iterdir())


def compose() -> dict[str, Any]:
    """The services of the compose file."""
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    return found


def manifests() -> list[dict[str, Any]]:
    """Every object of the Kubernetes example."""
    return [one for file in MANIFESTS for one in yaml.safe_load_all(file.read_text())]


def containers() -> dict[str, dict[str, Any]]:
    """The containers of the Kubernetes example, by name."""
    pods = [one["spec"]["template"]["spec"] for one in manifests() if "template" in one.get("spec", {})]
    return {container["name"]: container for pod in pods for container in pod["containers"]}


def alerts() -> dict[str, dict[str, Any]]:
    """The alert rules, by name."""
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def dashboard() -> dict[str, Any]:
    """The Grafana dashboard."""
    found: dict[str, Any] = json.loads((DEPLOY / "grafana" / "tallyman.json").read_text())
    return found


def queries() -> Iterator[str]:
    """The PromQL of every panel, as Grafana sends it."""
    for panel in dashboard()["panels"]:
        for target in panel["targets"]:
            yield target["expr"].replace("$__rate_interval", "2m")


def procfile() -> dict[str, list[str]]:
    """The commands of the Procfile, by process type, without the shell's word before them."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    return {kind: command.split() for kind, command in (line.split(": exec ", 1) for line in lines)}


def environment_read() -> set[str]:
    """Every variable that the settings and gunicorn's configuration read."""
    readers = (*(ROOT / "config").glob("*.py"), ROOT / "gunicorn.conf.py")
    reads = re.compile(r'\b(?:env|environ)\.\w+\(\s*"([A-Z_]+)"')
    return {name for file in readers for name in reads.findall(file.read_text())}
