"""What a container will be given, and where each part of it comes from. Pure: of frozen specs only.

A value under a name that tells of a secret is masked, too: not everybody ticks the box.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from hosts.masking import mask_field
from jobs import spec as specs
from jobs.variables import FILE

RUNTIME = (
    ("TALLYMAN_JOB_ID", _("the job's id")),
    ("TALLYMAN_ATTEMPT", _("the attempt's number")),
)


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of the merged environment. `origin`: template, job or runtime.

    `replaces`: the template has one of this name, too, which the job's own stands in for. `reference` says
    where a secret is kept, if not here; `is_file`: the container finds it in a file.
    """

    name: str
    value: str | Promise
    origin: str
    is_secret: bool = False
    replaces: bool = False
    reference: str = ""
    is_file: bool = False


def environment(
    frozen: Mapping[str, Any], own: Collection[str], of_template: Collection[str]
) -> list[Variable]:
    """The merged environment by name; `own` are the job's plain variables, `of_template` the template's."""
    found = [
        _variable(name, entry, own, of_template) for name, entry in sorted(frozen["environment"].items())
    ]
    return [*found, *(Variable(name, value, "runtime") for name, value in RUNTIME)]


def _variable(name: str, entry: Any, own: Collection[str], of_template: Collection[str]) -> Variable:
    is_own = name in own or "job" in entry
    origin = "job" if is_own else "template"
    replaces = is_own and name in of_template
    if "value" not in entry:
        kept = {"reference": str(entry.get("store") or ""), "is_file": entry.get("as") == FILE}
        return Variable(name, "", origin, is_secret=True, replaces=replaces, **kept)
    value = "" if entry["value"] is None else str(entry["value"])
    shown = mask_field(name, value)
    return Variable(name, str(shown), origin, replaces=replaces)


def words(text: Any) -> list[str]:
    """A command line as the words that it will be run as; one that cannot be split is one word."""
    if not isinstance(text, str):
        return [] if text is None else [str(text)]
    try:
        return shlex.split(text)
    except ValueError:
        return [text]


def argv(frozen: Mapping[str, Any]) -> list[str]:
    """The words that the container runs, with the entrypoint if it is replaced; empty: the image's own."""
    entrypoint = (frozen.get("options") or {}).get("entrypoint", "")
    return [*words(entrypoint), *words(frozen["command"])]


# ── what differs ──────────────────────────────────────────────────────────────────────────────────────────

_NAMES = {
    "docker_image": _("Image"),
    "command": _("Command"),
    "working_directory": _("Working directory"),
    "memory_limit": _("Memory limit"),
    "cpu_limit": _("CPU limit"),
    "timeout_seconds": _("Timeout"),
    "stop_grace_seconds": _("Grace when stopped"),
    "stop_signal": _("Stop signal"),
    "start_deadline_seconds": _("Start deadline"),
    "pull_policy": _("Image pull"),
    "tty": _("Terminal"),
    "max_log_bytes": _("Log limit"),
    "max_attempts": _("Attempts"),
    "retry_on": _("Run again after"),
    "retry_delay_seconds": _("First wait"),
    "retry_max_delay_seconds": _("Longest wait"),
    "infra_retries": _("Retries of a launch"),
    "networks": _("Networks"),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that the attempt had otherwise than the template has it now."""

    name: str | Promise
    ran: str
    template: str
    by_job: bool


def differences(
    ran: Mapping[str, Any], template: Mapping[str, Any], overridden: Collection[str]
) -> list[Difference]:
    """Between the frozen spec of an attempt and one that the template alone would give now.

    `overridden` are the fields of a spec, and the variables as `environment NAME`, that the job sets itself.
    """
    ran, template = specs.complete(ran), specs.complete(template)
    found = [
        Difference(label, _text(ran.get(name)), _text(template.get(name)), name in overridden)
        for name, label in _NAMES.items()
        if ran.get(name) != template.get(name)
    ]
    found += _of_mapping(ran.get("options"), template.get("options"), "", overridden)
    return found + _of_mapping(ran["environment"], template["environment"], "environment ", overridden)


def _of_mapping(ran: Any, template: Any, prefix: str, overridden: Collection[str]) -> list[Difference]:
    ran, template = ran or {}, template or {}
    return [
        Difference(
            f"{prefix}{name}",
            _entry(name, ran.get(name), prefix),
            _entry(name, template.get(name), prefix),
            f"{prefix}{name}" in overridden,
        )
        for name in sorted({*ran, *template})
        if ran.get(name) != template.get(name)
    ]


def _entry(name: str, entry: Any, prefix: str) -> str:
    if not prefix or entry is None:
        return _text(entry)
    if "value" not in entry:
        return str(entry.get("store") or _("(secret)"))
    return _text(mask_field(name, entry["value"]))


def _text(value: Any) -> str:
    if value in (None, "", [], {}):
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
