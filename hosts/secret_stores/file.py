"""`file:/run/credentials/db`: a file of the worker's machine, below a folder that the settings name."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import ClassVar

from django.conf import settings

from hosts.secret_stores.contract import LONGEST_SECRET, SecretNotFound, SecretStore, StoreUnavailable


class FileStore(SecretStore):
    """Only files below the folders in `TALLYMAN_SECRET_FILE_ROOTS`, links followed; without it, none.

    The last line end is no part of the secret.
    """

    form: ClassVar[str] = "/whole/path"

    def problems(self, path: str) -> list[str]:
        if not path.startswith("/") or ".." in path.split("/") or "\x00" in path:
            return [f"{path!r} must be a whole path without .., as in file:/run/credentials/db-password."]
        return []

    def read(self, path: str) -> str:
        roots = [root.resolve() for root in map(Path, settings.TALLYMAN_SECRET_FILE_ROOTS)]
        # Asked before anything of the file is touched: whether it exists is nobody's business otherwise.
        if not any(Path(os.path.realpath(path)).is_relative_to(root) for root in roots):
            raise SecretNotFound("it is not below a folder of TALLYMAN_SECRET_FILE_ROOTS")
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except FileNotFoundError:
            raise SecretNotFound("there is no such file on the supervisor's machine") from None
        except OSError as exc:
            raise StoreUnavailable(f"it cannot be opened: {exc.strerror}") from None
        try:
            # What was opened, whatever its path leads to by now.
            opened = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
            if not any(opened.is_relative_to(root) for root in roots):
                raise SecretNotFound("it is not below a folder of TALLYMAN_SECRET_FILE_ROOTS")
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise SecretNotFound("it is no plain file")
            with open(descriptor, "rb", closefd=False) as file:
                return _text(file.read(LONGEST_SECRET + 3))
        finally:
            os.close(descriptor)


def _text(content: bytes) -> str:
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise SecretNotFound("what is in it is no UTF-8 text") from None
    return text.removesuffix("\n").removesuffix("\r")
