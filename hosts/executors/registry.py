"""Which kinds of engine there are. The modules are imported on first use, so a library that one kind
needs costs nothing (and breaks nothing) where that kind is not used."""

from __future__ import annotations

import contextlib
import dataclasses

from django.utils.module_loading import import_string

from hosts.errors import ConfigurationError
from hosts.executors.contract import ContainerExecutor, EngineFacts, HostView

EXECUTORS = {
    "docker": "hosts.executors.docker.DockerExecutor",
    "process": "hosts.executors.process.ProcessExecutor",
}


def executor_class(kind: str) -> type[ContainerExecutor]:
    """The class for `executor_type`; ConfigurationError if there is none, or it cannot be imported."""
    try:
        path = EXECUTORS[kind]
    except KeyError:
        known = ", ".join(sorted(EXECUTORS))
        raise ConfigurationError(f"There is no executor {kind!r}; known are: {known}.") from None
    try:
        return import_string(path)  # type: ignore[no-any-return]
    except ImportError as exc:
        raise ConfigurationError(f"The executor {kind!r} cannot be loaded: {exc}.") from exc


def executor_for(host: HostView) -> ContainerExecutor:
    """A new executor for the host; no engine is called yet."""
    return executor_class(host.executor_type)(host)


def check_engine(view: HostView, timeout_seconds: float) -> EngineFacts:
    """What the engine says of itself; raises as an executor's `check` does. The host's own timeout wins."""
    view = dataclasses.replace(view, config={"timeout": timeout_seconds, **view.config})
    with contextlib.closing(executor_for(view)) as executor:
        return executor.check()
