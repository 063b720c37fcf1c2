"""A Podman service of our own, in a folder of its own, speaking Docker's API."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import docker

from tests.support import busybox
from tests.support.engines import _unmount_below
from tests.support.waiting import wait_until

START_SECONDS = 20.0
# A container gets no higher limits than a test's own process may set.
_SETTINGS = """
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


def unavailable() -> str:
    """Why no Podman can be used here; empty if it can."""
    for program in ("podman", "runc", "conmon"):
        if not shutil.which(program):
            return f"{program} is not installed"
    return "" if os.geteuid() == 0 else "this Podman needs root"


@dataclass(frozen=True, slots=True)
class Podman:
    """One service with the image busybox."""

    url: str
    api: docker.APIClient


@contextlib.contextmanager
def running_podman() -> Iterator[Podman]:
    """Gone without a trace afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="tallyman-podman-"))
    (folder / "containers.conf").write_text(_SETTINGS)
    url, place = f"unix://{folder}/socket", ["--root", f"{folder}/root", "--runroot", f"{folder}/run"]
    environment = {**os.environ, "CONTAINERS_CONF": str(folder / "containers.conf")}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            ["podman", *place, "--tmpdir", f"{folder}/tmp", "system", "service", "--time=0", url],
            stdout=log,
            stderr=log,
            env=environment,
        )
    try:
        socket = folder / "socket"
        wait_until(
            lambda: socket.is_socket() or process.poll() is not None, START_SECONDS, "podman to answer"
        )
        api = docker.APIClient(base_url=url, version="1.41", timeout=30)
        busybox.load(api)
        yield Podman(url, api)
        for container in api.containers(all=True):
            api.remove_container(container["Id"], force=True, v=True)
        api.close()
    finally:
        process.terminate()
        process.wait()
        _unmount_below(folder)
        shutil.rmtree(folder, ignore_errors=True)
