"""`env:NAME`: a variable of the worker's own environment, if the settings let jobs have it."""

from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from typing import ClassVar

from django.conf import settings

from hosts.secret_stores.contract import SecretNotFound, SecretStore

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class EnvironmentStore(SecretStore):
    """The worker's environment holds what no job may have, the key of all secrets for one: what may be read
    has to be named by `TALLYMAN_SECRET_ENV` (patterns such as `JOB_*`); without it, nothing."""

    form: ClassVar[str] = "NAME"

    def problems(self, path: str) -> list[str]:
        if not _NAME.fullmatch(path):
            return [f"{path!r} is no name of an environment variable; write one as in env:JOB_PASSWORD."]
        return []

    def read(self, path: str) -> str:
        if not any(fnmatchcase(path, pattern) for pattern in settings.TALLYMAN_SECRET_ENV):
            raise SecretNotFound("TALLYMAN_SECRET_ENV does not let jobs have it")
        value = os.environ.get(path)
        if not value:
            raise SecretNotFound("the supervisor's environment has no such variable")
        return value
