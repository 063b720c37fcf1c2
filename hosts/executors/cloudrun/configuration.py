"""The settings of a Cloud Run host: the specification's keys, and how to reach Google's services. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hosts.executors.cloudrun import resources
from hosts.executors.config_fields import ADDRESS, ConfigField, unknown

TIMEOUT_SECONDS = 30.0
SETTLE_SECONDS = 8.0
READS_A_MINUTE = 60.0  # of a project's log entries, unless Google has granted it more
SECRETS = frozenset({"credentials_json"})
_CREDENTIALS = ("credentials_file", "credentials_json")
LONGEST_TASK_SECONDS = 7 * 24 * 3600  # Cloud Run ends whatever runs longer
MOST_RETRIES = 100

_PROJECT = re.compile(r"[a-z][a-z0-9.:-]{1,61}[a-z0-9]|[0-9]{1,20}")
_REGION = re.compile(r"[a-z]+(-[a-z]+)+[0-9]+")
_ACCOUNT = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_CONNECTOR = re.compile(r"projects/[^/]+/locations/[^/]+/connectors/[^/]+")
_SECONDS = re.compile(r"([0-9]+)s?")
_URL = re.compile(r"https?://[^/\s]+/?")

_RANGES = (
    ("timeout", 0.001, 3600, "of seconds"),
    ("log_settle_seconds", 0, 600, "of seconds"),
    ("log_reads_per_minute", 1, 1_000_000, "of reads"),
)

FIELDS = (
    ConfigField(name="project", label="Project", required=True, help="Its id, my-project-123 say."),
    ConfigField(name="region", label="Region", required=True, help="us-central1, say."),
    ConfigField(
        name="credentials_file",
        label="Key file of a service account",
        kind="path",
        help="Empty: Application Default Credentials of the supervisor's machine.",
    ),
    ConfigField(
        name="credentials_json",
        label="Or what stands in that file",
        kind="secret",
        help="The JSON of the key, whole.",
    ),
    ConfigField(
        name="service_account",
        label="Jobs run as",
        help="The e-mail address of a service account; empty: the project's default compute account.",
    ),
    ConfigField(
        name="vpc_connector",
        label="VPC connector",
        help="projects/PROJECT/locations/REGION/connectors/NAME, for jobs that need a private network.",
    ),
    ConfigField(name="cpu_limit", label="CPUs of jobs that do not say", help="As in 2."),
    ConfigField(name="memory_limit", label="Memory of jobs that do not say", help="As in 2Gi."),
    ConfigField(
        name="max_retries",
        label="Tries again of a launch that came to nothing",
        kind="number",
        is_advanced=True,
        help="Empty: as the template says.",
    ),
    ConfigField(
        name="task_timeout",
        label="Longest run",
        is_advanced=True,
        help="As in 3600s; empty: a minute more than the template's time limit.",
    ),
    ConfigField(name=ADDRESS, label="Address of Cloud Run", is_advanced=True, help="Empty: Google's own."),
    ConfigField(
        name="logging_url", label="Address of Cloud Logging", is_advanced=True, help="Empty: Google's own."
    ),
    ConfigField(
        name="timeout", label="Seconds for a call", kind="number", default=TIMEOUT_SECONDS, is_advanced=True
    ),
    ConfigField(
        name="log_settle_seconds",
        label="Seconds that log entries may be late",
        kind="number",
        default=SETTLE_SECONDS,
        is_advanced=True,
    ),
    ConfigField(
        name="log_reads_per_minute",
        label="Reads of logs a minute",
        kind="number",
        default=READS_A_MINUTE,
        is_advanced=True,
        help="The project's quota of entries.list.",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a host says. Times are in seconds; None: not said."""

    project: str
    region: str
    service_account: str = ""
    vpc_connector: str = ""
    cpu_limit: str = ""
    memory_limit: str = ""
    task_timeout: int | None = None
    run_url: str = ""  # empty: where the universe of the credentials has it, Google's own most likely
    logging_url: str = ""
    credentials_file: str = ""
    credentials_json: str = field(default="", repr=False)
    timeout: float = TIMEOUT_SECONDS
    log_settle_seconds: float = SETTLE_SECONDS
    log_reads_per_minute: float = READS_A_MINUTE

    @classmethod
    def of(cls, base_url: str, config: Mapping[str, Any]) -> Settings:
        """From settings in which `problems` found nothing."""
        url = base_url.rstrip("/")
        texts = ("project", "region", "service_account", "vpc_connector", *_CREDENTIALS)
        return cls(
            **{name: str(config.get(name) or "") for name in texts},
            cpu_limit=str(config.get("cpu_limit") or ""),
            memory_limit=str(config.get("memory_limit") or ""),
            task_timeout=seconds(config.get("task_timeout")),
            run_url=url,
            logging_url=str(config.get("logging_url") or url).rstrip("/"),
            timeout=float(config.get("timeout") or TIMEOUT_SECONDS),
            log_settle_seconds=float(config.get("log_settle_seconds", SETTLE_SECONDS)),
            log_reads_per_minute=float(config.get("log_reads_per_minute") or READS_A_MINUTE),
        )

    @property
    def parent(self) -> str:
        """Where all jobs of the host are."""
        return f"projects/{self.project}/locations/{self.region}"

    @property
    def engine_id(self) -> str:
        """Which engine this is: one region of one project."""
        return f"cloudrun:{self.project}/{self.region}"


def seconds(value: object) -> int | None:
    """Seconds as the specification writes them, "3600s", or as a number; None where nothing is said."""
    if value in (None, ""):
        return None
    found = _SECONDS.fullmatch(str(value))
    return int(found[1]) if found and not isinstance(value, bool) else -1


def retries(config: Mapping[str, Any]) -> int | None:
    """How often a launch is tried again that came to nothing; None: the template says."""
    value = config.get("max_retries")
    return value if _is_count(value) else None


def problems(base_url: str, config: Mapping[str, Any]) -> list[str]:
    """Sentences that say what is wrong with a host's settings; empty when nothing is."""
    found = [*_misspelt(config), *_urls(base_url, config), *_numbers(config)]
    return [*found, *resources.problems(config), *unknown(config, FIELDS)]


def _misspelt(config: Mapping[str, Any]) -> list[str]:
    rules = (
        ("project", _PROJECT, True, "the id of a Google Cloud project, my-project-123 say"),
        ("region", _REGION, True, "the name of a region, us-central1 say"),
        ("service_account", _ACCOUNT, False, "the e-mail address of a service account"),
        ("vpc_connector", _CONNECTOR, False, "projects/PROJECT/locations/REGION/connectors/NAME"),
    )
    found = []
    for key, pattern, needed, meant in rules:
        value = config.get(key)
        if value in (None, ""):
            found += [f"{key} is missing: {meant}."] if needed else []
        elif not isinstance(value, str) or not pattern.fullmatch(value):
            found.append(f"{key} must be {meant}, not {value!r}.")
    return [*found, *_credentials(config)]


def _credentials(config: Mapping[str, Any]) -> list[str]:
    path, text = (config.get(key) for key in _CREDENTIALS)
    found = []
    if path and not (isinstance(path, str) and path.startswith("/")):
        found.append("credentials_file must be an absolute path on the machine of the supervisor.")
    if text and not _is_key(text):
        found.append('credentials_json must be what stands in a key file of the type "service_account".')
    if path and text:
        found.append("credentials_file and credentials_json exclude each other: give one of them.")
    return found


def _is_key(text: object) -> bool:
    try:
        key = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return False
    return isinstance(key, dict) and key.get("type") == "service_account"


def _urls(base_url: str, config: Mapping[str, Any]) -> list[str]:
    named = {"The URL": base_url, "logging_url": config.get("logging_url") or ""}
    return [
        f"{name} must be empty (Google's own) or https://HOST, not {url!r}."
        for name, url in named.items()
        if url and not (isinstance(url, str) and _URL.fullmatch(url))
    ]


def _numbers(config: Mapping[str, Any]) -> list[str]:
    found = []
    task = seconds(config.get("task_timeout"))
    if task is not None and not 1 <= task <= LONGEST_TASK_SECONDS:
        found.append(
            f'task_timeout must be "1s" to "{LONGEST_TASK_SECONDS}s", not {config["task_timeout"]!r}.'
        )
    retried = config.get("max_retries")
    if retried is not None and not _is_count(retried):
        found.append(f"max_retries must be a whole number, 0 to {MOST_RETRIES}, not {retried!r}.")
    for key, least, most, unit in _RANGES:
        value = config.get(key)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (is_number and least <= value <= most):
            found.append(f"{key} must be a number {unit}, {least:g} to {most:g}, not {value!r}.")
    return found


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_RETRIES
