"""An SSH server of our own on this machine, with keys of its own."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.engines import free_port
from tests.support.waiting import wait_until

PROGRAM = "/usr/sbin/sshd"
START_SECONDS = 10.0


def unavailable() -> str:
    """Why no such server can be used here; empty if it can."""
    for program in (PROGRAM, "ssh", "ssh-keygen", "docker"):
        if not shutil.which(program):
            return f"{program} is not installed"
    return "" if os.geteuid() == 0 else "sshd needs root"


@dataclass(frozen=True, slots=True)
class SshServer:
    """Where it is, and what a client needs to be let in and to know it."""

    port: int
    key: Path
    known_hosts: Path
    log: Path

    def url(self, socket_path: str) -> str:
        """The address of an engine behind it."""
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{socket_path}"


@contextlib.contextmanager
def running_sshd(folder: Path) -> Iterator[SshServer]:
    """A server that lets in one key, and whose host key one file knows."""
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-qt", "ed25519", "-N", "", "-f", folder / name], check=True)
    server = SshServer(free_port(), folder / "client", folder / "known_hosts", folder / "log")
    server.known_hosts.write_text(f"[127.0.0.1]:{server.port} {(folder / 'host.pub').read_text()}")
    (folder / "config").write_text(_config(folder, server.port))
    Path("/run/sshd").mkdir(exist_ok=True)
    with server.log.open("wb") as log:
        process = subprocess.Popen([PROGRAM, "-D", "-e", "-f", folder / "config"], stderr=log)
    try:
        wait_until(
            lambda: _answers(server.port) or process.poll() is not None, START_SECONDS, "sshd to answer"
        )
        yield server
    finally:
        process.terminate()
        process.wait()


def _config(folder: Path, port: int) -> str:
    return f"""
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub
PidFile none
StrictModes no
UsePAM yes
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
PrintMotd no
"""


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1) as connection:
        return connection.recv(4) == b"SSH-"
    return False
