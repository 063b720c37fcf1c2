"""Docker's own registry server, with a password, as Debian's docker-registry brings it."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.engines import free_port
from tests.support.waiting import wait_until

PROGRAM = "docker-registry"
LOGIN = {"username": "user", "password": "secret"}
START_SECONDS = 10.0
_HTPASSWD = "user:$2b$04$TcMMN79a0dgQfAqGsF7CwuoW.amgtrTSl.7AG5/bQwvqDYZElCujq\n"


def unavailable() -> str:
    """Why there can be no such server here; empty if there can."""
    return "" if shutil.which(PROGRAM) else f"{PROGRAM} is not installed"


@contextlib.contextmanager
def running_registry(folder: Path) -> Iterator[str]:
    """Its address, as it stands before the first slash of an image's name; its data are in the folder."""
    port = free_port()
    (folder / "htpasswd").write_text(_HTPASSWD)
    (folder / "config.yml").write_text(_config(folder, port))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "serve", folder / "config.yml"], stdout=log, stderr=log)
    try:
        wait_until(lambda: _answers(port) or process.poll() is not None, START_SECONDS, "the registry")
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def _config(folder: Path, port: int) -> str:
    return f"""
version: 0.1
storage:
  filesystem:
    rootdirectory: {folder}/data
http:
  addr: 127.0.0.1:{port}
auth:
  htpasswd:
    realm: tests
    path: {folder}/htpasswd
"""


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
