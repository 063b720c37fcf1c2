"""What the master holds for all its children: loaded once, frozen, and never written to again.

A fork shares every page with its parent until one of the two writes to it. The collector writes to all
objects it looks at, so none of these are looked at; the child collects what it makes itself.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable

from django.db import connections

from hosts.errors import ConfigurationError
from hosts.executors import registry
from supervisor import database


def freeze() -> None:
    """Let the collector leave alone what there is; children are to be forked soon."""
    database.known_migrations()
    connections.close_all()
    gc.disable()
    gc.freeze()


class Executors:
    """The kinds that workers were forked for so far. None is loaded before some host is of its kind.

    A library that an executor needs takes long to import, so it is done neither while the clerk could be at
    work already, nor in each worker. No client is made here.
    """

    def __init__(self) -> None:
        self._kinds: set[str] = set()

    def load(self, kinds: Iterable[str]) -> None:
        """Load those that are new."""
        new = set(kinds) - self._kinds
        if not new:
            return
        for kind in new:
            with contextlib.suppress(ConfigurationError):  # the worker says so, and parks its host
                registry.executor_class(kind)
        self._kinds |= new
        gc.collect()  # what imports leave behind would be shared, too
        gc.freeze()
