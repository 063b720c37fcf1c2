"""Connections to engines behind ssh: one `ssh` process each, at the other end of a socket pair.

`ssh HOST docker system dial-stdio` is what Docker's own client runs, so whatever lets that in lets us in:
keys, agents, jump hosts and multiplexing as ~/.ssh/config says. The socket is a real one, so selectors wait
for it as for any other. When we die the process sees the end of its input, and ends.

Host keys are verified, always, and nothing is ever asked for.
"""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult

# An sshd turns away some of more than ten clients that have not logged in yet.
MOST_LOGINS = 6
_LAST_WORDS_SECONDS = 1.0
_LONGEST_WORDS = 4096
# A peer that is gone without a word is found out within 30 s.
_OPTIONS = {
    "BatchMode": "yes",
    "StrictHostKeyChecking": "yes",
    "UpdateHostKeys": "no",
    "ClearAllForwardings": "yes",
    "LogLevel": "ERROR",
    "ServerAliveInterval": "10",
    "ServerAliveCountMax": "2",
}


class SshFailed(OSError):
    """ssh brought no connection about; the text is its own last words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ssh:
    """Where to log in, and as whom; what is empty is as ~/.ssh/config says."""

    host: str
    user: str = ""
    port: int = 0
    socket_path: str = ""  # the engine's, over there
    identity_file: str = ""
    known_hosts: str = ""

    @classmethod
    def of(cls, url: SplitResult, *, identity_file: str, known_hosts: str) -> Ssh:
        """From an address that `problems` has nothing to say about."""
        return cls(
            host=url.hostname or "",
            user=url.username or "",
            port=url.port or 0,
            socket_path=url.path.rstrip("/"),
            identity_file=identity_file,
            known_hosts=known_hosts,
        )

    def command(self, connect_seconds: float) -> list[str]:
        """What to run."""
        options = {**_OPTIONS, "ConnectTimeout": str(max(5, round(connect_seconds)))}
        if self.known_hosts:
            options["UserKnownHostsFile"] = f'"{self.known_hosts}"'
        arguments = [f"-o{name}={value}" for name, value in options.items()]
        if self.identity_file:
            arguments += ["-oIdentitiesOnly=yes", "-i", self.identity_file]
        if self.port:
            arguments += ["-p", str(self.port)]
        if self.user:
            arguments += ["-l", self.user]
        there = ["--host", f"unix://{self.socket_path}"] if self.socket_path else []
        return [
            "ssh",
            "-T",
            *arguments,
            "--",
            self.host,
            shlex.join(["docker", *there, "system", "dial-stdio"]),
        ]


def problems(url: SplitResult) -> Iterator[str]:
    """What is wrong with an ssh:// address."""
    try:
        port_is_wrong = url.port == 0
    except ValueError:
        port_is_wrong = True
    if port_is_wrong:
        yield "The port must be a number from 1 to 65535."
    if not url.hostname or url.hostname.startswith("-") or (url.username or "").startswith("-"):
        yield "ssh:// needs a host, as in ssh://user@docker.example.com."
    if url.password:
        yield "The address must not hold a password; use a key."
    if url.query or url.fragment:
        yield "The address must end after its path, which is that of the engine's socket over there."


_logins = threading.BoundedSemaphore(MOST_LOGINS)


class SshConnection(socket.socket):
    """A connected socket; OSError with ssh's own words if it ends before a first byte has come."""

    def __init__(self, ssh: Ssh, connect_seconds: float, wait_seconds: float) -> None:
        """Returns before we are logged in; waits `wait_seconds` at most while too many others log in."""
        self._process: subprocess.Popen[bytes] | None = None
        self._logging_in = False
        if not _logins.acquire(timeout=wait_seconds):
            raise TimeoutError("too many logins under way")
        self._logging_in = True
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                ssh.command(connect_seconds),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                # Ctrl-C at the terminal of a supervisor is not meant for it.
                start_new_session=True,
            )
        except FileNotFoundError:
            ours.close()
            self._logged_in()
            raise SshFailed("the program ssh is not installed here") from None
        except BaseException:
            ours.close()
            self._logged_in()
            raise
        finally:
            theirs.close()
        super().__init__(fileno=ours.detach())

    def recv_into(self, *arguments: Any, **named: Any) -> int:
        """As a socket's; SshFailed instead of an end that nothing came before."""
        try:
            count = super().recv_into(*arguments, **named)
        except ConnectionResetError:  # ssh ended without having read what we sent
            if not self._logging_in:
                raise
            count = 0
        if self._logging_in:
            if not count:
                raise SshFailed(self._last_words())
            self._logged_in()
        return count

    def sendall(self, *arguments: Any) -> None:
        """As a socket's; SshFailed if ssh has ended before anything came."""
        try:
            super().sendall(*arguments)
        except (BrokenPipeError, ConnectionResetError):
            if self._logging_in:
                raise SshFailed(self._last_words()) from None
            raise

    def close(self) -> None:
        """Hang up, and end the process; may be called twice."""
        super().close()
        self._logged_in()
        process, self._process = self._process, None
        if process:
            process.kill()
            process.wait()
            assert process.stderr is not None
            process.stderr.close()

    def _logged_in(self) -> None:
        if self._logging_in:
            self._logging_in = False
            _logins.release()

    def _last_words(self) -> str:
        assert self._process is not None
        assert self._process.stderr is not None
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_LAST_WORDS_SECONDS)
        os.set_blocking(self._process.stderr.fileno(), False)
        said = self._process.stderr.read(_LONGEST_WORDS) or b""
        words = " ".join(said.decode("utf-8", "replace").split()).rstrip(".")
        return f"ssh says: {words}" if words else "ssh ended without a word"


def connect(ssh: Ssh, seconds: float) -> SshConnection:
    """A new connection; blocking, with `seconds` for every read."""
    connection = SshConnection(ssh, seconds, seconds)
    connection.settimeout(seconds)
    return connection
