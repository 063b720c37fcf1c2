"""The project's settings, with `tests.support.deadly` in place of the process executor."""

from __future__ import annotations

from config.settings import *  # noqa: F403
from hosts.executors import registry

registry.EXECUTORS["process"] = "tests.support.deadly.DeadlyExecutor"
