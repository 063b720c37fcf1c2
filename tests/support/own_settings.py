"""The project's settings with less patience for an executor that hangs while it is made."""

from __future__ import annotations

from config.settings import *  # noqa: F403
from supervisor.worker import making

making.PATIENCE_SECONDS = 2.0
