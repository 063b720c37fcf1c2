"""Logins at image registries, as hosts keep them: `{"registries": {NAME: {"username": .., "password": ..}}}`.

Pure. NAME is what stands before the first slash of an image's name; Docker Hub's is docker.io.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from hosts.errors import ConfigurationError

KEY = "registries"
HUB = "docker.io"
_FIELDS = {"username", "password"}
_HUB_NAMES = {HUB, "index.docker.io", "registry-1.docker.io", "hub.docker.com"}
# As engines read an image's name: without a dot or a port, its first part is a folder of Docker Hub.
_NAME = re.compile(r"(localhost|[a-z0-9-]+(\.[a-z0-9-]+)+|[a-z0-9.-]+(?=:)|\[[0-9a-f:]+\])(:\d{1,5})?")


def registry_name(text: str) -> str:
    """The name of a registry that a person gave, perhaps as an address; ConfigurationError if it is none."""
    name = re.sub(r"^https?://", "", text.strip().lower()).partition("/")[0]
    if name in _HUB_NAMES:
        return HUB
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{text!r} is no registry. Give what stands before the first slash of an image's name, as in "
            f"registry.example:5000; {HUB} for Docker Hub."
        )
    return name


def login_of(config: Mapping[str, Any], registry: str) -> dict[str, str]:
    """User name and password for a registry; empty if none are set."""
    return dict(config.get(KEY, {}).get(registry, {}))


def usernames(config: Mapping[str, Any]) -> dict[str, str]:
    """Who we log in as, by registry; all of a host's logins that may be shown."""
    logins = config.get(KEY)
    if not isinstance(logins, dict):
        return {}
    return {name: str(login["username"]) for name, login in sorted(logins.items()) if "username" in login}


def problems(config: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each thing that is wrong with a host's logins. None of them repeats a password."""
    logins = config.get(KEY, {})
    if not isinstance(logins, dict):
        yield f"{KEY} must be an object of logins by registry."
        return
    for name, login in logins.items():
        if not isinstance(login, dict) or set(login) != _FIELDS:
            yield f"{KEY}: the login for {name!r} must have a username and a password, and nothing else."
        elif not all(isinstance(value, str) and value for value in login.values()):
            yield f"{KEY}: username and password for {name!r} must be texts that are not empty."
