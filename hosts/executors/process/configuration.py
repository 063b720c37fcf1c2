"""The settings of a process host. Pure but for Django's settings, which have the default of the root."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from hosts.executors.config_fields import ADDRESS, ConfigField, unknown

_SCHEME = "process://"
_TIMEOUT_SECONDS = 30.0
FIELDS = (
    ConfigField(
        name="root",
        label="Folder of its jobs",
        kind="path",
        help="An absolute path on the supervisor's machine; empty: as TALLYMAN_PROCESS_ROOT says.",
    ),
    ConfigField(
        name=ADDRESS,
        label="Address",
        is_advanced=True,
        help="process:///absolute/path says the same as the folder.",
    ),
    ConfigField(
        name="timeout", label="Seconds for a call", kind="number", default=_TIMEOUT_SECONDS, is_advanced=True
    ),
)


def root_of(base_url: str, config: Mapping[str, Any]) -> Path:
    """The folder of the host's jobs: `root` of its config, else the path of its URL, else the setting's."""
    named = str(config.get("root") or base_url.removeprefix(_SCHEME))
    return Path(named or settings.TALLYMAN_PROCESS_ROOT).resolve()


def timeout_of(config: Mapping[str, Any]) -> float:
    """Seconds a call may take."""
    return float(config.get("timeout") or _TIMEOUT_SECONDS)


def problems(base_url: str, config: Mapping[str, Any]) -> list[str]:
    """Sentences that say what is wrong with a host's settings; empty when nothing is."""
    found = []
    path, root, timeout = base_url.removeprefix(_SCHEME), config.get("root", ""), config.get("timeout")
    if base_url and not base_url.startswith(_SCHEME):
        found.append(f"The URL of a process host is empty or {_SCHEME}/absolute/path, not {base_url!r}.")
    elif path and not path.startswith("/"):
        found.append(f"The path in {base_url!r} must be absolute: three slashes.")
    if not isinstance(root, str) or (root and not root.startswith("/")):
        found.append("root must be an absolute path.")
    elif root and path and Path(root) != Path(path):
        found.append(f"The URL says {path!r} and root says {root!r}; give one of the two, or the same.")
    if timeout is not None and not _is_positive(timeout):
        found.append("timeout must be a number of seconds above 0.")
    return [*found, *unknown(config, FIELDS)]


def _is_positive(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0
