"""The project's settings with `tests.support.troubled` for the process executor, and less patience."""

from __future__ import annotations

from config.settings import *  # noqa: F403
from hosts.executors import registry
from supervisor import children

registry.EXECUTORS["process"] = "tests.support.troubled.TroubledExecutor"
children.STALL_SECONDS = children.BOOT_SECONDS = 4.0
