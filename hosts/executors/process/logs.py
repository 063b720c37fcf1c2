"""The two streams of a job as frames, read from its files."""

from __future__ import annotations

import contextlib
import os
import select
import struct
import time
from collections.abc import Iterator

from hosts import inotify
from hosts.errors import DockerConnectionError
from hosts.executors.log_source import Resume
from hosts.executors.process.shim import files
from hosts.executors.process.store import Folder

MOST_PAYLOAD = 16 * 1024  # what Docker puts into one record at most
_HEADER = struct.Struct(">B3xL")
_NANOSECONDS = 10**9


class FileLog:
    """A LogSource over `stdout` and `stderr`.

    A line is given out when it is complete, has MOST_PAYLOAD bytes, or is the last one of a job that ended:
    as Docker does it, so a piece without a newline is never taken for a whole line. The time in a frame is
    the time of reading.
    """

    def __init__(self, folder: Folder, container_id: str, resume: Resume, *, follow: bool) -> None:
        self._folder = folder
        self._container_id = container_id
        self._follow = follow
        self._over = False
        self._waker: _Waker | None = None
        self._streams: list[_Stream] = []
        try:
            offsets = (resume.stdout_bytes, resume.stderr_bytes)
            for number, (name, offset) in enumerate(zip(files.STREAMS, offsets, strict=True), start=1):
                self._streams.append(_Stream(folder.path / name, number, offset, whole=follow))
            # The kernel grants few inotify descriptors to a user; without one, only reading can tell.
            with contextlib.suppress(OSError):
                self._waker = _Waker(folder)
        except OSError as exc:
            self.close()
            raise DockerConnectionError(f"The log of {folder.name} cannot be opened: {exc}.") from exc

    def fileno(self) -> int:
        """The descriptor that is readable while there may be something to read; -1 if there is none."""
        return self._waker.fileno() if self._waker else -1

    @property
    def missing(self) -> str:
        """Nothing ever is: the files are the job's own, and grow only."""
        return ""

    def read(self, budget: int) -> bytes | None:
        """Whole frames, around `budget` bytes at most; b"" if there are none yet; None at the end."""
        woken = self._waker.take() if self._waker else False
        try:
            # Asked before reading: what a job wrote is complete once it is over.
            self._over = self._over or self._is_over()
            share = max(MOST_PAYLOAD, budget // len(self._streams))
            frames = b"".join(stream.take(share, over=self._over) for stream in self._streams)
        except OSError as exc:
            raise DockerConnectionError(f"The log of {self._folder.name} broke: {exc}.") from exc
        if frames or woken:
            # There may be more; and a lock is let go a moment after the event that tells of it.
            self._look_again()
            return frames
        return None if self._over or not self._follow else b""

    def close(self) -> None:
        """Let go of the descriptors; may be called twice."""
        for stream in self._streams:
            stream.close()
        if self._waker:
            self._waker.close()
        self._streams, self._waker = [], None

    def _is_over(self) -> bool:
        return self._folder.phase().is_over or not self._folder.holds(self._container_id)

    def _look_again(self) -> None:
        if self._waker:
            self._waker.set()


class _Stream:
    """One file and how far it was read; up to its present end, or `whole`."""

    def __init__(self, path: os.PathLike[str], number: int, offset: int, *, whole: bool) -> None:
        self._number = number
        self._offset = offset
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._end = None if whole else os.fstat(self._descriptor).st_size

    def take(self, budget: int, *, over: bool) -> bytes:
        """The next frames; the last line without a newline only if the job is `over`."""
        # The file of a job that is over does not grow, so its present end is the last one.
        bounded = self._end is not None and not over
        wanted = max(0, min(budget, (self._end or 0) - self._offset)) if bounded else budget
        block = os.pread(self._descriptor, wanted, self._offset)
        frames = []
        for payload in pieces(block, final=over and len(block) < budget):
            frames.append(frame(self._number, payload, at_ns=time.time_ns()))
            self._offset += len(payload)
        return b"".join(frames)

    def close(self) -> None:
        os.close(self._descriptor)


class _Waker:
    """A descriptor that is readable when the folder saw an event, or `set` was called, since `take`."""

    def __init__(self, folder: Folder) -> None:
        self._events = inotify.watch(str(folder.path))
        try:
            self._flag = os.eventfd(1, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        except OSError:
            os.close(self._events)
            raise
        self._either = select.epoll()
        self._either.register(self._events, select.EPOLLIN)
        self._either.register(self._flag, select.EPOLLIN)

    def fileno(self) -> int:
        return self._either.fileno()

    def set(self) -> None:
        os.eventfd_write(self._flag, 1)

    def take(self) -> bool:
        """Clear it; True if the folder saw an event."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._flag)
        return inotify.drain(self._events)

    def close(self) -> None:
        self._either.close()
        os.close(self._flag)
        os.close(self._events)


def pieces(block: bytes, *, final: bool) -> Iterator[bytes]:
    """The block in payloads that end at a newline where that can be; the rest only if it is `final`."""
    start = 0
    while start < len(block):
        end = block.rfind(b"\n", start, start + MOST_PAYLOAD) + 1
        if not end:
            end = min(start + MOST_PAYLOAD, len(block))
            if end - start < MOST_PAYLOAD and not final:
                return
        yield block[start:end]
        start = end


def frame(stream: int, payload: bytes, *, at_ns: int) -> bytes:
    """One frame of the contract."""
    seconds, nanoseconds = divmod(at_ns, _NANOSECONDS)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    content = f"{stamp}.{nanoseconds:09d}Z ".encode() + payload
    return _HEADER.pack(stream, len(content)) + content
