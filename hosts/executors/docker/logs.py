"""One container's log, read off a socket of our own as fast as the engine sends it."""

from __future__ import annotations

import socket
from collections.abc import Callable
from http import HTTPStatus

from hosts.errors import ContainerExecutionError, DockerConnectionError, EngineError
from hosts.executors.docker import podman, wire
from hosts.executors.docker.answer import Answer
from hosts.executors.docker.client import CONNECT_SECONDS, one_line, unexpected
from hosts.executors.docker.ending import ASKED_RECORDS, Ending
from hosts.executors.docker.endpoint import Endpoint
from hosts.executors.docker.overlap import Overlap
from hosts.executors.docker.refusals import says_gone
from hosts.executors.docker.terminal import TerminalSplitter
from hosts.executors.frames import HEADER, LONGEST_FRAME, STDERR, STDOUT, TIME_BYTES
from hosts.executors.log_source import Resume

SHORTEST_FRAME = TIME_BYTES + 1
MISSING = "The engine dropped a part of the log before it was read; how much cannot be known."
ENGINE_ERROR = 3  # the stream on which an engine reports that it cannot read its own log


class Splitter:
    """Cuts a byte stream after its last whole frame. Pure.

    It looks at the headers only; nothing inside a frame can be mistaken for one.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        """Every frame that is whole by now; DockerConnectionError if this cannot be a log."""
        data = self._rest + data
        end = self._end_of_frames(data)
        self._rest = data[end:]
        return data[:end]

    def release(self) -> bytes:
        """What follows the last whole frame; it is the caller's now."""
        rest, self._rest = self._rest, b""
        return rest

    def end(self, *, proved: bool) -> bytes:
        """The stream has ended; DockerConnectionError if it did so inside a frame, `proved` or not."""
        if self._rest:
            raise DockerConnectionError(f"{self._name}: the log was cut off inside a record.")
        return b""

    def _end_of_frames(self, data: bytes) -> int:
        # Run for every record of every log: what it looks up per record, it looks up before.
        unpack, shortest, longest = HEADER.unpack_from, SHORTEST_FRAME, LONGEST_FRAME
        place, have, body = 0, len(data), HEADER.size
        while place + body <= have:
            stream, length = unpack(data, place)
            if not (STDOUT <= stream <= STDERR and shortest <= length <= longest):
                raise self._broken(stream, data[place + body : place + body + length])
            end = place + body + length
            if end > have:
                break
            place = end
        return place

    def _broken(self, stream: int, payload: bytes) -> DockerConnectionError:
        if stream == ENGINE_ERROR:
            words = one_line(payload.decode("utf-8", "replace"))
            return DockerConnectionError(f"{self._name}: the engine cannot read the log: {words}")
        return DockerConnectionError(f"{self._name}: the log holds something that is no record.")


class DockerLog:
    """An UncutLogSource. It never waits; whoever polls it decides how long an engine may keep silent."""

    def __init__(
        self,
        name: str,
        connection: socket.socket,
        overlap: Overlap | Ending,
        splitter: Splitter | TerminalSplitter | podman.PodmanSplitter,
        *,
        follow: bool,
    ) -> None:
        self._name = name
        self._connection = connection
        self._overlap = overlap
        self._splitter = splitter
        self._follow = follow
        self._answer = Answer(name)
        self._failure: EngineError | None = None
        self._over = self._ended = False  # no more bytes come; all of them were looked at, and are right
        self._overlapping = not overlap.done

    def fileno(self) -> int:
        """The socket's descriptor, the same until `close`; then -1."""
        return self._connection.fileno()

    @property
    def missing(self) -> str:
        """What is known to be gone, once the engine did not send again what is stored of its log."""
        return MISSING if self._overlap.broken else ""

    def read(self, budget: int) -> bytes | None:
        """Whole frames read now, about `budget` bytes of them; b"" if none yet; None at the end.

        The end of a followed log does not prove that it is complete (a dying engine ends it too): read it
        once more without `follow`, whose end does.
        """
        if self._failure:
            raise self._failure
        if self._ended:
            return None
        parts: list[bytes] = []
        try:
            if not self._over:
                self._read(budget, parts, self._frames)
            if self._over:
                self._end(parts)
        except EngineError as exc:
            self._failure = exc
        frames = b"".join(parts)
        if frames or not (self._failure or self._ended):
            return frames
        return self.read(budget)

    def read_uncut(self, budget: int) -> bytes | None:
        """New bytes read now, cut anywhere; None: `read` has to look at them, or to tell of the end."""
        if self._over or self._failure or self._overlapping or not isinstance(self._splitter, Splitter):
            return None
        parts = [self._splitter.release()]
        try:
            self._read(budget, parts, self._answer.feed)
        except EngineError as exc:
            self._failure = exc
        data = b"".join(parts)
        return None if not data and (self._over or self._failure) else data

    def give_back(self, data: bytes) -> None:
        """Go on with these bytes, which hold no whole frame."""
        try:
            self._splitter.feed(data)
        except EngineError as exc:
            self._failure = exc

    def close(self) -> None:
        """Let go of the socket; may be called twice."""
        self._connection.close()

    def _read(self, budget: int, parts: list[bytes], taken_in: Callable[[bytes], bytes]) -> None:
        received = 0
        while received < budget or wire.holds_back(self._connection):
            data = wire.receive(self._connection, self._name)
            if data is None:
                return
            received += len(data)
            if data:
                parts.append(taken_in(data))
            if not data or self._answer.complete:
                self._over = True
                return
            # Asking an emptied socket once more would cost as much as reading it did.
            if len(data) < wire.READ_BYTES and not wire.holds_back(self._connection):
                return

    def _frames(self, data: bytes) -> bytes:
        frames = self._splitter.feed(self._answer.feed(data))
        if self._overlapping:
            frames = self._overlap.keep(frames)
            self._overlapping = not self._overlap.done
        return frames

    def _end(self, parts: list[bytes]) -> None:
        if not self._answer.complete:
            self._answer.end()
        if self._answer.status != HTTPStatus.OK:
            raise self._refusal()
        # The end of a followed log proves nothing: a record without an end is left to the last read.
        parts.append(self._overlap.keep(self._splitter.end(proved=not self._follow)))
        if not self._follow:
            self._overlap.end()
        self._ended = True

    def _refusal(self) -> EngineError:
        status, words = self._answer.status, self._answer.words()
        if says_gone(status, words):
            return ContainerExecutionError(
                f"{self._name}: the container is gone, and its log with it: {words}",
                failure_class="log_missing",
                hint="Somebody removed the container on its host.",
            )
        return unexpected(self._name, status, words)


def open_log(
    endpoint: Endpoint,
    version: str,
    container_id: str,
    resume: Resume,
    *,
    follow: bool,
    of: str = "containers",
) -> DockerLog:
    """The log after what is stored. Waits for the connection only, 5 s at most.

    With `of="tasks"` it is the log of a swarm's task, which any manager gets from the task's node.

    A refusal (no such container, say) is raised by the first reads, not here.
    """
    overlap = Ending(endpoint.name, resume.end) if resume.end and not follow else Overlap(resume)
    params: dict[str, object] = {}
    if isinstance(overlap, Ending):
        params["tail"] = ASKED_RECORDS
    elif overlap.since:
        params["since"] = overlap.since
    connection = _ask(endpoint, version, f"{of}/{container_id}", params, follow=follow)
    splitter = TerminalSplitter(endpoint.name) if resume.tty else Splitter(endpoint.name)
    return DockerLog(endpoint.name, connection, overlap, splitter, follow=follow)


def open_podman_log(
    endpoint: Endpoint, version: str, container_id: str, resume: Resume, *, follow: bool
) -> DockerLog:
    """As `open_log`, always from the log's start."""
    overlap, splitter = Overlap(podman.by_count(resume)), podman.PodmanSplitter(endpoint.name)
    connection = _ask(endpoint, version, f"containers/{container_id}", {}, follow=follow)
    return DockerLog(endpoint.name, connection, overlap, splitter, follow=follow)


def _ask(
    endpoint: Endpoint, version: str, whose: str, params: dict[str, object], *, follow: bool
) -> socket.socket:
    usual: dict[str, object] = {"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow)}
    return wire.open_request(
        endpoint,
        wire.target(f"/v{version}/{whose}/logs", {**usual, **params}),
        # Following, the engine flushes every line: as chunks that would cost it and us half as much again.
        # Not following, the last chunk is the only proof that the log was not cut off.
        http="1.0" if follow else "1.1",
        connect_seconds=min(CONNECT_SECONDS, endpoint.timeout),
    )
