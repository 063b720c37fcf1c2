"""What an executor can. Whatever it does not say that it can, nobody asks of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any


def _way(words: str) -> Any:
    """A flag for how a worker works with it; the words are for people to whom the lack of it matters."""
    return field(default=False, metadata={"lack": words})


def _wish(words: str) -> Any:
    """A flag for something that a job may ask for; "Docker cannot ..." is said with the words."""
    return field(default=False, metadata={"words": words})


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """Flags of an executor's class. False: it cannot, or nobody has said that it can.

    How a worker works with it:

    * `pull`: `pull` brings images on request; else the engine does it by itself, or there are none;
    * `hints`: `watch` tells of a container's end; else the worker looks at each of them more often;
    * `logs`: `open_log` gives a log; `live_logs`: while the container runs, too, else it is read at its end;
    * `usage`: `usage` tells what a running container uses;
    * `stop`: `signal` ends a container by TERM and KILL; else a job can only be waited for;
    * `lists`: `list_containers` tells of what an earlier worker has made;
    * `starts_later`: `start` returns once the start is taken on, and `observe` says when it runs.

    All others are for what a job may ask for (`needs` of its spec, `jobs.needs`): a job that asks for what
    an executor cannot do is not given to it.
    """

    hints: bool = False
    logs: bool = _way("tell what a job wrote")
    live_logs: bool = _way("tell what a job writes before it has ended")
    usage: bool = _way("tell what a job uses")
    stop: bool = _way("stop a job, neither by cancel nor after timeout_seconds")
    lists: bool = False
    starts_later: bool = False
    pull: bool = _way("choose when an image is pulled (pull_policy)")

    signals: bool = _wish("send any other signal than TERM and KILL (stop_signal)")
    working_directory: bool = _wish("set the working directory")
    entrypoint: bool = _wish("replace the image's entrypoint")
    user: bool = _wish("run a container as another user")
    tty: bool = _wish("give a container a terminal (tty)")
    memory_limit: bool = _wish("limit a container's memory")
    swap_limit: bool = _wish("limit a container's swap")
    cpu_limit: bool = _wish("limit a container's CPUs")
    pids_limit: bool = _wish("limit a container's processes")
    shm_size: bool = _wish("set the size of /dev/shm")
    ulimits: bool = _wish("set ulimits")
    gpus: bool = _wish("give a container GPUs")
    networks: bool = _wish("join a container to networks")
    network_aliases: bool = _wish("give a container names in its networks")
    host_network: bool = _wish("give a container its host's network")
    extra_hosts: bool = _wish("add names to a container's /etc/hosts")
    ports: bool = _wish("publish ports")
    mounts: bool = _wish("mount volumes or folders of its host")
    tmpfs: bool = _wish("mount a tmpfs")
    labels: bool = _wish("give a container labels")
    read_only: bool = _wish("make a container's root file system read-only")
    linux_capabilities: bool = _wish("add or drop Linux capabilities")
    privileged: bool = _wish("run privileged containers")
    no_new_privileges: bool = _wish("choose whether programs may gain privileges (no_new_privileges)")
    host_pid: bool = _wish("show a container its host's processes (host_pid)")
    devices: bool = _wish("give a container devices of its host")
    init: bool = _wish("choose whether a container has an init process")
    secret_files: bool = _wish("hand secrets over as files (in /run/secrets)")


WISHES: dict[str, str] = {
    one.name: one.metadata["words"] for one in fields(Capabilities) if "words" in one.metadata
}


_LACKS: dict[str, str] = {
    one.name: one.metadata["lack"] for one in fields(Capabilities) if "lack" in one.metadata
} | WISHES


def lacks(can: Capabilities, needs: Iterable[str], *, label: str) -> list[str]:
    """What of `needs` (names of flags) an executor cannot do: a sentence each; empty: it can do all of it."""
    return [f"{label} cannot {WISHES[need]}." for need in sorted(set(needs)) if not getattr(can, need)]


def cannot(can: Capabilities) -> list[str]:
    """All that such an executor cannot do and somebody may miss, in a few words each."""
    return [words for name, words in _LACKS.items() if not getattr(can, name)]
