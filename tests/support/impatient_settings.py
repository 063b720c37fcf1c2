"""The settings of `deadly_settings`, with the master of `impatient`."""

from __future__ import annotations

from tests.support.deadly_settings import *  # noqa: F403
from tests.support.deadly_settings import registry

registry.EXECUTORS["docker"] = "tests.support.impatient.DockerExecutor"
