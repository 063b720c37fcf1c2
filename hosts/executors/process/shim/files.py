"""What lies in a job's folder, and how it is written so that a power cut leaves it whole or absent."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from datetime import UTC, datetime
from typing import Any

SPEC = "spec.json"  # what to run, and the labels; written before the folder gets its name
ENVIRONMENT = "environment.json"  # may hold secrets; deleted when the job starts
LOCK = "lock"  # flock held = alive, from the making of run.json on
RUN = "run.json"  # made once, by whoever starts or revokes the job; who runs it, and since when
REVOKED = "revoked.json"  # what run.json is to hold for who revokes the job: it needs no room by then
EXIT = "exit.json"  # how it ended
STREAMS = ("stdout", "stderr")

RESERVED_BYTES = 4096


def read_json(path: str) -> dict[str, Any]:
    """The object in a file; FileNotFoundError if there is none."""
    with open(path, encoding="utf-8") as file:
        content: dict[str, Any] = json.load(file)
    return content


def write_synced(path: str, content: dict[str, Any]) -> None:
    """Write a new file, for our own user only, that is whole on the disk when this returns."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file)
        file.flush()
        os.fsync(descriptor)


def make_once(path: str, content: dict[str, Any], *, by: str) -> bool:
    """Write a file that can be made only once, whole from the start; False if someone else made it.

    `by` tells makers apart. FileNotFoundError if the folder is gone.
    """
    draft = f"{path}.{by}"
    try:
        write_synced(draft, content)
        return link_once(draft, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)


def link_once(ready: str, path: str) -> bool:
    """Give a file that is whole another name, which can be made only once; False if someone else made it."""
    try:
        os.link(ready, path)
    except FileExistsError:
        return False
    return True


def reserve(path: str) -> int:
    """A descriptor of a new file with room set aside: a job that fills the disk cannot lose its own end."""
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        os.posix_fallocate(descriptor, 0, RESERVED_BYTES)
    except OSError as exc:
        if exc.errno not in {errno.EOPNOTSUPP, errno.EINVAL}:
            raise
    return descriptor


def fill_reserved(descriptor: int, content: dict[str, Any]) -> None:
    """Write the reserved file; it is on the disk when this returns."""
    encoded = json.dumps(content).encode()
    os.pwrite(descriptor, encoded, 0)
    os.ftruncate(descriptor, len(encoded))
    os.fsync(descriptor)
    os.close(descriptor)


def sync_folder(path: str) -> None:
    """Make the names in a folder survive a power cut."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def same_folder(one: str, other: str) -> bool:
    """Whether both paths lead to the same folder now."""
    try:
        return os.path.samestat(os.stat(one), os.stat(other))
    except FileNotFoundError:
        return False


def utc_now() -> str:
    """Now, as RFC 3339 with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
