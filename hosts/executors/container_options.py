"""What a template may say of its containers beside image, command and limits, as executors are handed it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

UNLIMITED = -1
# How many processes a container may have where nothing else is said.
PIDS_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class Volume:
    """A named volume of the engine, or a path of its machine, and where the container finds it."""

    source: str
    target: str
    read_only: bool = False

    @property
    def is_bind(self) -> bool:
        """Whether it is a path of the engine's machine."""
        return self.source.startswith("/")


@dataclass(frozen=True, slots=True)
class Port:
    """A port of the container that the engine's machine opens; `host_port` 0: one that is free."""

    inside: int
    protocol: str = "tcp"
    host_port: int = 0
    host_ip: str = ""


@dataclass(frozen=True, slots=True)
class Ulimit:
    """One limit of setrlimit(2); -1 is none."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the engine's machine; `access` is out of r, w and m."""

    source: str
    target: str
    access: str = "rwm"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """Limits that most jobs leave to the host. `gpus`: "all", how many, or which; None: none."""

    swap_mb: int = 0  # beside memory_limit; -1: as much as there is
    pids: int | None = None
    shm_mb: int | None = None
    ulimits: tuple[Ulimit, ...] = ()
    gpus: Literal["all"] | int | tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Security:
    """What the container's processes may do. `init` None: as the host says.

    No Linux capability is kept unless it is asked for; `cap_drop` of nothing leaves those that engines give.
    """

    read_only: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ("ALL",)
    no_new_privileges: bool = True
    init: bool | None = None
    privileged: bool = False
    host_pid: bool = False
    devices: tuple[Device, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerOptions:
    """All of it, as an executor is handed it. Executors whose engine cannot do one of them refuse the job."""

    entrypoint: tuple[str, ...] = ()
    user: str = ""
    container_labels: Mapping[str, str] = field(default_factory=dict)
    volumes: tuple[Volume, ...] = ()
    tmpfs: Mapping[str, str] = field(default_factory=dict)
    extra_hosts: Mapping[str, str] = field(default_factory=dict)
    ports: tuple[Port, ...] = ()
    resources: Resources = field(default_factory=Resources)
    security: Security = field(default_factory=Security)
