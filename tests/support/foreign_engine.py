"""An engine that this machine runs anyway, for where no `dockerd` of our own can be started."""

from __future__ import annotations

import os
import urllib.parse
from functools import cached_property
from pathlib import Path

import docker

from tests.support import busybox

DEFAULT_SOCKET = Path("/var/run/docker.sock")


class ForeignEngine:
    """An engine that was there before us: it can be used, but not stopped."""

    def __init__(self, url: str) -> None:
        self.url = url

    @cached_property
    def api(self) -> docker.APIClient:
        """A client for looking at the engine, and for preparing it."""
        return docker.APIClient(base_url=self.url, version="auto", timeout=30)


def foreign_engine() -> ForeignEngine | None:
    """The engine at DOCKER_HOST or the usual socket, if one answers there."""
    url = os.environ.get("DOCKER_HOST") or f"unix://{DEFAULT_SOCKET}"
    parts = urllib.parse.urlsplit(url)
    if parts.scheme == "unix" and not Path(parts.path).is_socket():
        return None
    try:
        engine = ForeignEngine(url)
        busybox.load(engine.api)
    except (docker.errors.DockerException, OSError):
        return None
    return engine
