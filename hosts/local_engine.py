"""Where Docker's own client would find an engine on this machine, as settings of a host."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from hosts.executors.docker import contexts


class LocalEngine(NamedTuple):
    """Its address, the settings that belong to it, and who says so ("DOCKER_HOST", "the context 'x'")."""

    url: str
    config: Mapping[str, Any]
    source: str


def find() -> LocalEngine:
    """By DOCKER_HOST, the context in use, or Docker's default; ConfigurationError for one that is no use."""
    found = contexts.locate("")
    return LocalEngine(found.url, found.config, found.source)
