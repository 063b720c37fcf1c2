"""What is different about Podman, which speaks Docker's API at a socket of its own. Pure.

It has no log driver `local`; its own never loses a byte, as it has no size at which it starts anew. It tells
the times of a log in whole seconds, so logs are taken up again by count. It says another id each time it is
asked. It cannot tell the log of a terminal in a way that could be taken apart again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from hosts.errors import ContainerExecutionError, DockerConnectionError
from hosts.executors.docker.secret_mounts import FOLDER
from hosts.executors.frames import HEADER, PIECE_BYTES, STDERR, STDOUT, pack
from hosts.executors.log_source import Resume

_NAME = "Podman Engine"
_LONGEST_FRAME = 1024 * 1024


def is_podman(version: Mapping[str, Any]) -> bool:
    """Whether this is what Podman says under /version."""
    return any(part.get("Name") == _NAME for part in version.get("Components") or [])


def engine_id(info: Mapping[str, Any]) -> str:
    """The machine and the storage, which make the engine: it has no id that stays."""
    return f"podman {info.get('Name') or ''} {info.get('DockerRootDir') or ''}"


def adapt(body: dict[str, Any]) -> None:
    """Ask for a container as Podman can make one; ContainerExecutionError if it cannot."""
    if body["Tty"]:
        raise ContainerExecutionError(
            "Podman cannot tell the log of a terminal.",
            failure_class="create_refused",
            hint="Switch tty off in the template, or run the job on a Docker engine.",
        )
    if any(mount.get("Target") == FOLDER for mount in body["HostConfig"]["Mounts"]):
        raise ContainerExecutionError(
            "Podman cannot be handed secrets as files: it keeps no volume in memory for a container to come.",
            failure_class="not_supported",
            hint="Hand them over as variables, or run the job on a Docker engine.",
        )
    body["HostConfig"]["LogConfig"] = {"Type": "k8s-file", "Config": {}}


def by_count(resume: Resume) -> Resume:
    """The same place in a log, told by how many bytes come before it."""
    return replace(resume, tail=b"", covers="", first=b"", end=b"")


class PodmanSplitter:
    """Makes frames as Docker sends them: times with nanoseconds, long lines in pieces of 16,384 bytes."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rest = b""
        self._open: dict[
            int, tuple[bytes, bytes]
        ] = {}  # of each stream: time and begin of a line without end

    def feed(self, data: bytes) -> bytes:
        """Every frame that is whole by now; DockerConnectionError if this cannot be a log."""
        data, place, frames = self._rest + data, 0, []
        while place + HEADER.size <= len(data):
            stream, length = HEADER.unpack_from(data, place)
            if not STDOUT <= stream <= STDERR or length > _LONGEST_FRAME:
                raise self._broken()
            end = place + HEADER.size + length
            if end > len(data):
                break
            time, _, payload = data[place + HEADER.size : end].partition(b" ")
            frames += self._lines(stream, self._full_time(time), payload)
            place = end
        self._rest = data[place:]
        return b"".join(frames)

    def end(self, *, proved: bool) -> bytes:
        """Lines without an end, if this is `proved` to be the end of the log."""
        if self._rest:
            raise DockerConnectionError(f"{self._name}: the log was cut off inside a record.")
        left, self._open = self._open, {}
        return b"".join(pack(stream, *line) for stream, line in left.items()) if proved else b""

    def _lines(self, stream: int, time: bytes, payload: bytes) -> list[bytes]:
        time, begun = self._open.pop(stream, (time, b""))
        line, frames = begun + payload, []
        while len(line) > PIECE_BYTES:
            frames.append(pack(stream, time, line[:PIECE_BYTES]))
            line = line[PIECE_BYTES:]
        if line.endswith(b"\n") or len(line) == PIECE_BYTES or not payload:
            return [*frames, pack(stream, time, line)]
        self._open[stream] = time, line
        return frames

    def _full_time(self, time: bytes) -> bytes:
        try:
            return _full(time)
        except ValueError:
            raise self._broken() from None

    def _broken(self) -> DockerConnectionError:
        return DockerConnectionError(f"{self._name}: the log holds something that is no record.")


@lru_cache(maxsize=16)
def _full(time: bytes) -> bytes:
    moment = datetime.fromisoformat(time.decode("ascii"))
    if b"T" not in time or moment.tzinfo is None:
        raise ValueError("no point in time")
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}000Z".encode()
