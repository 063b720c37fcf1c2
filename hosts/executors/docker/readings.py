"""What the engine's JSON says, in our words. Pure."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from hosts.executors import machine
from hosts.executors.contract import ContainerState, EngineFacts, Observation, Usage
from hosts.executors.docker import podman
from hosts.executors.docker.client import one_line
from hosts.executors.docker.options import volumes_of
from hosts.executors.docker.spec import size_in_bytes

_HIGHEST_CODE = 2**32 - 1  # Windows has such
_NEVER = "0001-01-01"
_STATES: dict[str, ContainerState] = {
    "created": "created",
    "running": "running",
    "paused": "running",
    "restarting": "running",
    "exited": "exited",
    "dead": "exited",
    "removing": "exited",
}
_DEFAULT_LOG_SIZES = {"local": "20m"}
# A state that we do not know may be one in which the container runs: nothing must be deleted or begun again.
_OTHER_STATE: ContainerState = "running"


def text(value: Any) -> str:
    """The value, which is a text; TypeError if it is not."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} where a text is due")
    return value


def exit_code(value: Any) -> int | None:
    """The value, which is an exit code or nothing; TypeError or ValueError if it is neither."""
    if value is not None and type(value) is not int:
        raise TypeError(f"{value!r:.40} where an exit code is due")
    if value is not None and not -_HIGHEST_CODE <= value <= _HIGHEST_CODE:
        raise ValueError(f"{value!r:.40} where an exit code is due")
    return value


def _labels(value: Any) -> dict[str, str]:
    return {text(name): text(one) for name, one in dict(value or {}).items()}


def observation(inspected: Mapping[str, Any], image_digest: str) -> Observation:
    """One container from GET /containers/<id>/json."""
    status = inspected["State"]
    error = one_line(text(status.get("Error") or ""))
    name = text(inspected["Name"]).removeprefix("/")
    state = _STATES.get(text(status["Status"]), _OTHER_STATE)
    return Observation(
        container_id=text(inspected["Id"]),
        name=name,
        state=state,
        labels=_labels(inspected["Config"].get("Labels")),
        exit_code=exit_code(status.get("ExitCode")) if state == "exited" or error else None,
        oom_killed=bool(status.get("OOMKilled")),
        started_at=moment(status.get("StartedAt")),
        finished_at=moment(status.get("FinishedAt")),
        error=error,
        image_digest=image_digest,
        log_limit_bytes=log_limit(inspected["HostConfig"].get("LogConfig") or {}),
        metadata={
            "container_name": name,
            "container_id": inspected["Id"],
            "network": _network(inspected),
            "volumes": volumes_of(inspected["HostConfig"]),
            # A container that does not run has none any more; of those it asked for, the numbers are known.
            "ports": _ports(inspected["NetworkSettings"].get("Ports") or {})
            or _ports(inspected["HostConfig"].get("PortBindings") or {}),
            "image_digest": image_digest,
        },
    )


def log_limit(log_config: Mapping[str, Any]) -> int | None:
    """How much of a log the engine surely holds before it begins to drop its oldest part; None: all of it."""
    driver, options = log_config.get("Type"), log_config.get("Config") or {}
    size = size_in_bytes(str(options.get("max-size") or _DEFAULT_LOG_SIZES.get(str(driver), "")))
    # JSON may take seven bytes for one that was written.
    return size if size is None or driver != "json-file" else size // 7


def listed(entry: Mapping[str, Any]) -> Observation:
    """One container from GET /containers/json, which tells neither times nor exit codes."""
    return Observation(
        container_id=text(entry["Id"]),
        name=text(next(iter(entry.get("Names") or [""]))).removeprefix("/"),
        state=_STATES.get(text(entry["State"]), _OTHER_STATE),
        labels=_labels(entry.get("Labels")),
    )


def engine_facts(version: Mapping[str, Any], info: Mapping[str, Any]) -> EngineFacts:
    """An engine from GET /version and GET /info."""
    return EngineFacts(
        engine_id=podman.engine_id(info) if podman.is_podman(version) else _engine_id(info),
        version=str(version.get("Version") or ""),
        api_version=str(version["ApiVersion"]),
        cpus=info.get("NCPU"),
        memory_bytes=info.get("MemTotal"),
        containers_running=info.get("ContainersRunning"),
        operating_system=str(info.get("OperatingSystem") or ""),
        clock_at=_clock(info.get("SystemTime")),
        **_machine_of(info),
    )


def _engine_id(info: Mapping[str, Any]) -> str:
    # Engines before 23 take their id from a file of the machine, so several on one machine share it.
    return f"{info.get('ID') or ''} {info.get('DockerRootDir') or ''}".strip()


def _clock(told: Any) -> datetime | None:
    with contextlib.suppress(ValueError):
        return moment(told) if isinstance(told, str) else None
    return None


def _machine_of(info: Mapping[str, Any]) -> dict[str, Any]:
    is_here = machine.is_here(str(info.get("Name") or ""))
    return machine.readings(str(info.get("DockerRootDir") or "/")) if is_here else {}


def has_own_network(inspected: Mapping[str, Any]) -> bool:
    """Whether nobody else sends and receives over the container's network."""
    mode = str(inspected["HostConfig"].get("NetworkMode") or "")
    return mode != "host" and not mode.startswith(("container:", "ns:"))


def usage(stats: Mapping[str, Any]) -> Usage | None:
    """One reading from GET /containers/<id>/stats; None if the container was not running.

    The engine writes 0 for a counter that it has not got; of those, none is taken for a figure.
    """
    if str(stats.get("read", _NEVER)).startswith(_NEVER):
        return None
    # No process runs without time.
    cpu = ((stats.get("cpu_stats") or {}).get("cpu_usage") or {}).get("total_usage") or None
    memory = stats.get("memory_stats") or {}
    details = memory.get("stats") or {}
    networks = (stats.get("networks") or {}).values()
    blocks = (stats.get("blkio_stats") or {}).get("io_service_bytes_recursive")
    return Usage(
        at=moment(stats["read"]),
        memory_bytes=_memory(memory),
        cache_bytes=_cache(details, "inactive_file", "active_file"),
        # Engines with cgroup v2 do not send it. Docker leaves a failcnt of 0 out.
        memory_high_bytes=memory.get("max_usage") or None if details and not memory.get("failcnt") else None,
        cpu_seconds=cpu / 1e9 if cpu else None,
        network_rx_bytes=_total(network.get("rx_bytes") for network in networks),
        network_tx_bytes=_total(network.get("tx_bytes") for network in networks),
        block_read_bytes=_blocks(blocks, "read"),
        block_write_bytes=_blocks(blocks, "write"),
        pids=(stats.get("pids_stats") or {}).get("current") or None,
    )


def moment(text: str | None) -> datetime | None:
    """An engine's time; None for the year 1, by which it means never."""
    if not text or text.startswith(_NEVER):
        return None
    return datetime.fromisoformat(text).astimezone(UTC)


def _network(inspected: Mapping[str, Any]) -> str:
    joined = inspected["NetworkSettings"].get("Networks") or {}
    mode = str(inspected["HostConfig"].get("NetworkMode") or "")
    return mode if mode in joined or not joined else next(iter(joined))


def _ports(ports: Mapping[str, Any]) -> dict[str, int]:
    return {
        port: int(bound[0]["HostPort"])
        for port, bound in ports.items()
        if bound and bound[0].get("HostPort") not in {None, "", "0"}
    }


def _memory(memory: Mapping[str, Any]) -> int | None:
    # The page cache counts as used, but goes away by itself. Without the details (Podman sends none) nobody
    # knows how much of the whole it is.
    cache = _cache(memory.get("stats") or {}, "inactive_file")
    if "usage" not in memory or cache is None:
        return None
    return max(0, int(memory["usage"]) - cache)


def _cache(details: Mapping[str, Any], *names: str) -> int | None:
    """Bytes of the page cache; cgroup v1 tells them with and without what is below, v2 only with."""
    parts = [details.get(f"total_{name}", details.get(name)) for name in names]
    return None if None in parts else sum(map(int, parts))


def _blocks(entries: Iterable[Mapping[str, Any]] | None, direction: str) -> int | None:
    if not entries:
        # None: no controller, or no traffic on v2. []: v1, where new kernels count for few devices.
        return None
    return sum(int(entry["value"]) for entry in entries if str(entry["op"]).lower() == direction)


def _total(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
