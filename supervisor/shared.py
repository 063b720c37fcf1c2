"""What the master holds for all its children: loaded once, frozen, and never written to again.

A fork shares every page with its parent until one of the two writes to it. The collector writes to all
objects it looks at, so none of these are looked at; the child collects what it makes itself.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable

from django.db import DEFAULT_DB_ALIAS, connections
from django.db.models import Model
from django.db.models.functions import Now

from hosts.errors import ConfigurationError
from hosts.executors import registry
from hosts.kept import KeptQuery, KeptUpdate
from hosts.leases import Lease
from hosts.models import DockerHost, HostLease, HostRequest, Installation
from jobs import retention
from jobs.models import Attempt
from supervisor import database
from supervisor.worker.breadcrumb import NOBODY
from supervisor.worker.look import Look


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
        if not self._kinds:
            _warm_up()
        for kind in new:
            # Others' modules may hang, exit or start threads: each is imported by its own workers only.
            with contextlib.suppress(ConfigurationError):  # the worker says so, and parks its host
                if registry.is_built_in(kind):
                    registry.executor_class(kind)
        self._kinds |= new
        gc.collect()  # what imports leave behind would be shared, too
        gc.freeze()


def _warm_up() -> None:
    """Build, and never send, the kind of statement that a worker begins with.

    What Django and the interpreter keep of the first time is then shared: 1.1 MiB of each worker, and 10 ms.
    """
    nobody = Lease(NOBODY, 0, NOBODY, 0.0)
    Look(nobody)
    KeptUpdate(retention.gone(NOBODY, (), lease=nobody), container_gone_at=Now())
    KeptUpdate(Attempt.objects.filter(host_id=NOBODY).open(), epoch=0)
    models: tuple[type[Model], ...] = (DockerHost, HostLease, Installation, HostRequest, Attempt)
    for model in models:
        KeptQuery(model._default_manager.filter(pk=NOBODY))
        names = [field.attname for field in model._meta.concrete_fields]
        model.from_db(DEFAULT_DB_ALIAS, names, [None] * len(names))
