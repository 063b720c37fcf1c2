"""The settings of `deadly_settings`, and a master with less patience whose second child hangs at birth."""

from __future__ import annotations

import itertools
import os
import time

from supervisor import children
from tests.support.deadly_settings import *  # noqa: F403

HANGS = 2  # the clerk is the first
forks = itertools.count(1)
fork = 0


def note_fork() -> None:
    global fork
    fork = next(forks)


def hang() -> None:
    while fork == HANGS:
        time.sleep(60)


children.STALL_SECONDS = 10.0
os.register_at_fork(before=note_fork, after_in_child=hang)
