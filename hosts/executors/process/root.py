"""The process root: the folder in which every job has one, and the identity that makes it an engine."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from hosts.errors import DockerConnectionError
from hosts.executors.process import store
from hosts.executors.process.shim import files
from hosts.executors.process.store import Folder, Spec

_IDENTITY = ".engine.json"
_NEW, _GONE = ".new-", ".gone-"
_UNFINISHED_FOR_SECONDS = 600
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,199}")


class ProcessRoot:
    """Finds, makes and removes the folders of jobs.

    The root carries a random id in a file. An empty folder in its place (a disk that is not mounted, say)
    is thus another engine, and not the same one on which every job is gone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity = ""
        self._names: dict[str, str] = {}

    def open(self) -> None:
        """Be ready for use, making the root at first; DockerConnectionError if it is another one now."""
        if self.engine_id() != self._identity:
            raise DockerConnectionError(f"The process root {self.path} was replaced by another one.")

    def engine_id(self) -> str:
        """Who the root is at this moment."""
        if not self._identity:
            self._identity = self._first_identity()
        return self._present_identity()

    def make(self, spec: Spec, environment: Mapping[str, str]) -> Folder | None:
        """A new folder under the spec's name, whole from the start; None if the name is taken."""
        draft = self.path / f"{_NEW}{secrets.token_hex(8)}"
        draft.mkdir(mode=0o700)
        try:
            store.fill(draft, spec, environment)
            # A folder replaces an empty one only; ours are never empty. So the name is the mutex.
            draft.rename(self.path / spec.name)
        except OSError as exc:
            if exc.errno not in _TAKEN:
                raise
            return None
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        files.sync_folder(str(self.path))
        self._names[spec.id] = spec.name
        return self.named(spec.name)

    def find(self, ref: str) -> Folder | None:
        """The folder with this name or id."""
        if not _NAME.fullmatch(ref):
            return None
        return self.named(ref) if self.named(ref).spec() else self.with_id(ref)

    def named(self, name: str) -> Folder:
        """The folder with this name, whether there is one or not."""
        return Folder(self.path / name)

    def with_id(self, container_id: str) -> Folder | None:
        """The folder with this id."""
        name = self._names.get(container_id)
        if name and self.named(name).holds(container_id):
            return self.named(name)
        for folder in self.folders():
            if folder.holds(container_id):
                self._names[container_id] = folder.name
                return folder
        self._names.pop(container_id, None)
        return None

    def folders(self) -> Iterator[Folder]:
        """Every folder that may be a job's."""
        with os.scandir(self.path) as entries:
            names = sorted(entry.name for entry in entries if _NAME.fullmatch(entry.name))
        return map(self.named, names)

    def remove(self, folder: Folder, container_id: str) -> None:
        """Delete the folder if it still is the one with this id: at once for others to see, then in fact."""
        away = Folder(self.path / f"{_GONE}{secrets.token_hex(8)}")
        if not folder.holds(container_id):
            return
        try:
            folder.path.rename(away.path)
        except FileNotFoundError:
            return
        if not away.holds(container_id):
            # We slept between the look and the rename, and meanwhile the name went to another one.
            away.path.rename(folder.path)
            return
        self._names.pop(container_id, None)
        shutil.rmtree(away.path, ignore_errors=True)

    def sweep(self) -> None:
        """Delete what makers and removers left that died half-way."""
        with os.scandir(self.path) as entries:
            hidden = [entry for entry in entries if entry.name.startswith((_NEW, _GONE))]
        for entry in hidden:
            if _age(entry) > _UNFINISHED_FOR_SECONDS:
                shutil.rmtree(entry.path, ignore_errors=True)

    def _first_identity(self) -> str:
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.path / _IDENTITY).exists():
            token = secrets.token_hex(8)
            files.make_once(str(self.path / _IDENTITY), {"id": token}, by=token)
            files.sync_folder(str(self.path))
        return self._present_identity()

    def _present_identity(self) -> str:
        try:
            token = files.read_json(str(self.path / _IDENTITY))["id"]
        except FileNotFoundError:
            raise DockerConnectionError(f"The process root {self.path} is gone, or not mounted.") from None
        return f"process-{_machine()}-{token}"


def is_name(name: str) -> bool:
    """Whether a job's folder may be called so."""
    return bool(_NAME.fullmatch(name))


def _age(entry: os.DirEntry[str]) -> float:
    try:
        status = entry.stat()
    except FileNotFoundError:
        return 0.0
    return time.time() - max(status.st_mtime, status.st_ctime)


def _machine() -> str:
    try:
        return Path("/etc/machine-id").read_text().strip()[:32] or socket.gethostname()
    except OSError:
        return socket.gethostname()
