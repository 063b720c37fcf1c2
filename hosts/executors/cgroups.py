"""What a container of this machine uses, read from the kernel's own files: cgroup v1 and v2.

Read so, a container costs a fraction of a millisecond, where an engine's stats call may take a second. Only
where the engine's containers are processes of this machine, seen by us: whoever asks names a pid and the
container's id, and nothing is read unless the kernel says that this pid is in a cgroup of that id. A pid that
was given to another process meanwhile is told apart by its start.

What the kernel does not charge to a container is not in its figures: on v1, what was written through the page
cache and reached the disk later. What the engine did in it before its first instruction is (some 30 ms). A
controller that is switched off leaves its figures unknown.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hosts.executors.contract import Usage
from hosts.identity import start_ticks

PROC = Path("/proc")
CGROUPS = Path("/sys/fs/cgroup")
_SHORTEST_ID = 32
_BLOCKS_V1 = (
    "blkio.throttle.io_service_bytes_recursive",
    "blkio.throttle.io_service_bytes",  # kernels before 4.17
    "blkio.bfq.io_service_bytes_recursive",
)
_MICRO, _NANO = 1_000_000, 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one container's files are. `v1` has a folder for each controller, `v2` is one for all."""

    pid: int
    start_ticks: int
    own_network: bool
    v1: Mapping[str, Path]
    v2: Path | None
    proc: Path


def find(
    pid: int, container_id: str, *, own_network: bool, proc: Path = PROC, root: Path = CGROUPS
) -> Place | None:
    """The files of a running container; None if they cannot be seen from here.

    `own_network`: it shares its network with nobody, so that the network's counters are its own.
    """
    ticks = start_ticks(pid, proc)
    text = _text(proc / str(pid) / "cgroup")
    if ticks is None or text is None or len(container_id) < _SHORTEST_ID:
        return None
    folders = dict(_folders(text, container_id, root))
    v2 = folders.pop("", None)
    if "memory" in folders:
        v2 = None  # a machine of both has its controllers on v1, and an empty tree beside them
    if not folders and v2 is None:
        return None
    return Place(pid=pid, start_ticks=ticks, own_network=own_network, v1=folders, v2=v2, proc=proc)


def read(place: Place) -> Usage | None:
    """One reading; None if the container has ended, or ends while it is read."""
    if not (place.proc / str(place.pid)).exists():  # spares the look for ten files of one that has ended
        return None
    at = datetime.now(UTC)
    usage = _read_v2(place, at) if place.v2 else _read_v1(place, at)
    # Asked last: while its first process lives, all that was read before was its own.
    if start_ticks(place.pid, place.proc) != place.start_ticks:
        return None
    return usage if usage.memory_bytes is not None or usage.cpu_seconds is not None else None


def _folders(text: str, container_id: str, root: Path) -> Iterable[tuple[str, Path]]:
    """The container's folder for each controller of /proc/<pid>/cgroup; "" stands for v2."""
    for line in text.splitlines():
        number, controllers, path = line.split(":", 2)
        parts = path.strip("/").split("/")
        holding = [place for place, part in enumerate(parts) if container_id in part]
        if not holding or ".." in parts:
            continue
        # Not deeper: a container may move its processes into cgroups of its own making.
        inside = Path(*parts[: holding[0] + 1])
        if number == "0" and not controllers:
            base = root if (root / "cgroup.controllers").exists() else root / "unified"
            folders = [("", base / inside)]
        else:
            # Controllers mounted together have links to their own names on some systems only.
            folders = [
                (name, root / mount / inside)
                for name in controllers.split(",")
                for mount in (controllers, name)
            ]
        yield from ((name, folder) for name, folder in folders if folder.is_dir())


def _read_v1(place: Place, at: datetime) -> Usage:
    memory, stat = place.v1.get("memory"), _pairs(_file(place.v1.get("memory"), "memory.stat"))
    cpu = _number(_file(place.v1.get("cpuacct"), "cpuacct.usage"))
    blocks = _blocks_v1(place.v1.get("blkio"))
    hit = _number(_file(memory, "memory.failcnt"))
    now = _number(_file(memory, "memory.usage_in_bytes"))
    high = _number(_file(memory, "memory.max_usage_in_bytes"))
    return Usage(
        at=at,
        **_memory(now, high, hit, stat.get("total_inactive_file"), stat.get("total_active_file")),
        cpu_seconds=None if cpu is None else cpu / _NANO,
        **_network(place),
        block_read_bytes=blocks.get("Read"),
        block_write_bytes=blocks.get("Write"),
        pids=_number(_file(place.v1.get("pids"), "pids.current")),
    )


def _read_v2(place: Place, at: datetime) -> Usage:
    stat = _pairs(_file(place.v2, "memory.stat"))
    cpu = _pairs(_file(place.v2, "cpu.stat")).get("usage_usec")
    io = _file(place.v2, "io.stat")
    hit = _pairs(_file(place.v2, "memory.events")).get("max")
    now = _number(_file(place.v2, "memory.current"))
    high = _number(_file(place.v2, "memory.peak"))
    return Usage(
        at=at,
        **_memory(now, high, hit, stat.get("inactive_file"), stat.get("active_file")),
        cpu_seconds=None if cpu is None else cpu / _MICRO,
        **_network(place),
        block_read_bytes=_key_sum(io, "rbytes"),
        block_write_bytes=_key_sum(io, "wbytes"),
        pids=_number(_file(place.v2, "pids.current")),
    )


def _memory(
    now: int | None, high: int | None, hit: int | None, inactive: int | None, active: int | None
) -> dict[str, int | None]:
    """The measures of memory; `hit` says how often its limit was, `inactive` and `active` are page cache."""
    # A container that grows while its files are read may have passed what the first one said.
    peak = None if high is None else max(high, now or 0)
    return {
        "memory_bytes": None if now is None or inactive is None else max(0, now - inactive),
        "cache_bytes": None if inactive is None or active is None else inactive + active,
        "memory_high_bytes": peak if hit == 0 else None,
    }


def _blocks_v1(folder: Path | None) -> dict[str, int]:
    """Bytes by direction; empty if unknown."""
    for name in _BLOCKS_V1:
        lines = (line.split() for line in (_file(folder, name) or "").splitlines())
        entries = [words for words in lines if len(words) == 3]  # noqa: PLR2004  # "8:0 Read 4096"
        # Kernels from about 6.10 on count here only for devices with a limit: no device means nothing.
        if entries:
            return {
                way: sum(int(count) for _, kind, count in entries if kind == way) for way in ("Read", "Write")
            }
    return {}


def _key_sum(io_stat: str | None, key: str) -> int | None:
    if io_stat is None:
        return None
    words = (word.partition("=") for word in io_stat.split())
    return sum(int(value) for name, _, value in words if name == key)


def _network(place: Place) -> dict[str, int | None]:
    """Bytes received and sent by the interfaces of the container's network, its loopback left out."""
    text = _text(place.proc / str(place.pid) / "net" / "dev") if place.own_network else None
    received = sent = None if text is None else 0
    for line in (text or "").splitlines()[2:]:
        name, _, counters = line.partition(":")
        if name.strip() != "lo":
            numbers = counters.split()
            received, sent = (received or 0) + int(numbers[0]), (sent or 0) + int(numbers[8])
    return {"network_rx_bytes": received, "network_tx_bytes": sent}


def _file(folder: Path | None, name: str) -> str | None:
    return _text(folder / name) if folder else None


def _text(path: Path) -> str | None:
    # A cgroup that goes away while it is read answers ENODEV, a process that does, ESRCH.
    with contextlib.suppress(OSError):
        return path.read_text()
    return None


def _number(text: str | None) -> int | None:
    return int(text) if text and text.strip().isdigit() else None


def _pairs(text: str | None) -> dict[str, int]:
    words = (line.split() for line in (text or "").splitlines())
    return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2}  # noqa: PLR2004
