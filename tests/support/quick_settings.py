"""The project's settings, for supervisors that trust in each other's coming and going sooner."""

from __future__ import annotations

from config.settings import *  # noqa: F403
from supervisor import sharing

sharing._STABLE_SECONDS = 2.0
sharing._HAND_OVER_EVERY_SECONDS = 1.0
