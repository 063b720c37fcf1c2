"""The settings of a Fargate host: the specification's, and those that it leaves to us. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hosts.executors.contract import HostView
from hosts.executors.fargate import sizes

SECRETS = frozenset({"aws_secret_access_key", "aws_session_token"})
MOST_LOG_SETTLE_SECONDS = 25.0  # a worker gives up a last read that is silent for 30 s
_MOST_TAGS = 40  # of the 50 that a task may have; some are ours
_REGION_IN_ARN = re.compile(r"arn:[^:]+:ecs:([a-z0-9-]+):")
_STREAM_PREFIX = re.compile(r"[^:*]{1,200}")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_text, value))


def _is_text_map(value: object) -> bool:
    return isinstance(value, dict) and all(_is_text(key) and isinstance(value[key], str) for key in value)


def _is_tags(value: object) -> bool:
    return (
        isinstance(value, dict)
        and _is_text_map(value)
        and len(value) <= _MOST_TAGS
        and not any(key.lower().startswith(("aws:", "tallyman.")) for key in value)
    )


def _is_number(low: float, high: float) -> Callable[[object], bool]:
    def check(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high

    return check


def _is_one_of(*allowed: str) -> Callable[[object], bool]:
    return lambda value: value in allowed


_TEXT = (_is_text, "must be a text")
_TEXTS = (_is_texts, "must be a list of ids, not an empty one")
_RULES: dict[str, tuple[Callable[[object], bool], str]] = {
    "cluster": _TEXT,
    "subnets": _TEXTS,
    "security_groups": _TEXTS,
    "execution_role_arn": _TEXT,
    "task_role_arn": _TEXT,
    "platform_version": _TEXT,
    "assign_public_ip": (_is_one_of("ENABLED", "DISABLED"), "must be ENABLED or DISABLED"),
    "region": _TEXT,
    "endpoint_url": (
        lambda value: isinstance(value, str) and value.startswith(("http://", "https://")),
        "must be an http:// or https:// address",
    ),
    "base_url": (lambda value: value == "", "is not for Fargate: its address is endpoint_url"),
    "profile": _TEXT,
    "aws_access_key_id": _TEXT,
    "aws_secret_access_key": _TEXT,
    "aws_session_token": _TEXT,
    "log_group": _TEXT,
    "log_stream_prefix": (
        lambda value: isinstance(value, str) and bool(_STREAM_PREFIX.fullmatch(value)),
        "must be a text without : and *",
    ),
    "capacity_provider": (_is_one_of("FARGATE", "FARGATE_SPOT"), "must be FARGATE or FARGATE_SPOT"),
    "cpu_architecture": (_is_one_of("X86_64", "ARM64"), "must be X86_64 or ARM64"),
    "default_cpu": (_is_number(0.25, sizes.MOST_CPUS), "must be a number of CPUs, 0.25 to 16"),
    "default_memory": (_is_number(64, sizes.MOST_MEMORY), "must be a number of MB, 64 to 122880"),
    "ephemeral_storage_gib": (
        lambda value: isinstance(value, int) and _is_number(21, 200)(value),
        "must be a whole number, 21 to 200",
    ),
    "repository_credentials": (
        _is_text_map,
        "must be an object: the registry's name, and the ARN of the secret with its login",
    ),
    "tags": (_is_tags, f"must be an object of {_MOST_TAGS} texts at most, none of them tallyman.* or aws:*"),
    "timeout": (_is_number(1, 600), "must be a number of seconds, 1 to 600"),
    "poll_seconds": (_is_number(0.2, 300), "must be a number of seconds, 0.2 to 300"),
    "settle_seconds": (_is_number(1, 900), "must be a number of seconds, 1 to 900"),
    "log_settle_seconds": (
        _is_number(0, MOST_LOG_SETTLE_SECONDS),
        f"must be a number of seconds, 0 to {MOST_LOG_SETTLE_SECONDS:g}",
    ),
    "log_requests_per_second": (_is_number(0.1, 1000), "must be a number, 0.1 to 1000"),
}
_NEEDED = ("cluster", "subnets")
_DEFAULT_MEMORY = 512
_FRESH_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `docs/executors-fargate.md` says of each. Credentials are not in it: see `clients`."""

    cluster: str
    subnets: tuple[str, ...]
    security_groups: tuple[str, ...]
    region: str
    execution_role_arn: str = ""
    task_role_arn: str = ""
    platform_version: str = "LATEST"
    assign_public_ip: str = "DISABLED"
    endpoint_url: str | None = None
    log_group: str = "/tallyman"
    log_stream_prefix: str = "tallyman"
    capacity_provider: str = ""
    cpu_architecture: str = "X86_64"
    default_cpu: float = 0.25
    default_memory: int = _DEFAULT_MEMORY
    ephemeral_storage_gib: int | None = None
    repository_credentials: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 30.0
    poll_seconds: float = 5.0
    settle_seconds: float = 60.0
    log_settle_seconds: float = 10.0
    log_requests_per_second: float = 8.0

    @property
    def fresh_seconds(self) -> float:
        """How old an answer may be that is taken for new."""
        return min(_FRESH_SECONDS, self.poll_seconds / 2)

    @classmethod
    def of(cls, host: HostView, *, region: str = "") -> Settings:
        """The settings of a host; `region` is what the environment says where they do not."""
        config = dict(host.config)
        known = {name: config[name] for name in cls.__dataclass_fields__ if config.get(name) is not None}
        known |= {name: tuple(config.get(name) or ()) for name in ("subnets", "security_groups")}
        known["cluster"] = str(config.get("cluster") or "")
        known["region"] = region_of(config) or region
        known["default_memory"] = int(config.get("default_memory") or _DEFAULT_MEMORY)
        return cls(**known)


def region_of(config: Mapping[str, Any]) -> str:
    """The region that the settings name, by itself or in the cluster's ARN; empty: neither."""
    in_arn = _REGION_IN_ARN.match(str(config.get("cluster") or ""))
    return str(config.get("region") or "") or (in_arn[1] if in_arn else "")


def problems(base_url: str, config: Mapping[str, Any]) -> list[str]:
    """Sentences that say what is wrong with a host's settings; empty when nothing is."""
    found = [f"{name} is missing." for name in _NEEDED if not config.get(name)]
    for name, value in config.items():
        rule = _RULES.get(name)
        if rule is None:
            found.append(f"There is no setting {name}. Known are: {', '.join(sorted(_RULES))}.")
        elif value is not None and not (name in _NEEDED and not value) and not rule[0](value):
            found.append(f"{name} {rule[1]}.")
    if base_url:
        found.append(
            f"A Fargate host has no URL ({base_url!r}): leave it empty. Another endpoint of AWS, or one that "
            "stands in for it, is named by endpoint_url."
        )
    has_id, has_secret = bool(config.get("aws_access_key_id")), bool(config.get("aws_secret_access_key"))
    if has_id != has_secret:
        found.append(
            "aws_access_key_id and aws_secret_access_key belong together: give both, or neither. The latter "
            "is a secret: manage_docker_host add --secret, or manage_docker_host secret NAME "
            "aws_secret_access_key before the former is set."
        )
    return found
