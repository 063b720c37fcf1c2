"""A template's container options in the engine's own words. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hosts.executors.container_options import UNLIMITED, ContainerOptions, Port, Resources, Security

MEBIBYTE = 1024 * 1024


def container(options: ContainerOptions) -> dict[str, Any]:
    """What stands beside HostConfig in the body of POST /containers/create."""
    body: dict[str, Any] = {"User": options.user}
    if options.entrypoint:
        body["Entrypoint"] = list(options.entrypoint)
    if options.ports:
        body["ExposedPorts"] = {_port(port): {} for port in options.ports}
    return body


def host_config(options: ContainerOptions, *, memory_mb: int | None, init: bool, pids: int) -> dict[str, Any]:
    """What stands in it; `init` and `pids` are the host's wishes, for a template that has none."""
    security = options.security
    return {
        "Init": init if security.init is None else security.init,
        "Mounts": [
            {
                "Type": "bind" if volume.is_bind else "volume",
                "Source": volume.source,
                "Target": volume.target,
                "ReadOnly": volume.read_only,
            }
            for volume in options.volumes
        ],
        "Tmpfs": dict(options.tmpfs),
        "ExtraHosts": [f"{name}:{address}" for name, address in options.extra_hosts.items()],
        "PortBindings": _bindings(options.ports),
        **_resources(options.resources, memory_mb, pids),
        **_security(security),
    }


def volumes_of(host_config: Mapping[str, Any]) -> list[str]:
    """The volumes and paths that a container was made with, as templates write them."""
    mounts = [
        f"{mount.get('Source', '')}:{mount['Target']}{':ro' if mount.get('ReadOnly') else ''}"
        for mount in host_config.get("Mounts") or []
        if mount.get("Source")  # the one for secrets has none
    ]
    return mounts + list(host_config.get("Binds") or [])


def _resources(resources: Resources, memory_mb: int | None, pids: int) -> dict[str, Any]:
    limits: dict[str, Any] = {"PidsLimit": resources.pids or pids}
    if memory_mb:
        limits["Memory"] = memory_mb * MEBIBYTE
        # Memory and swap together: without swap_mb a job over its limit is killed, not slowed down.
        unlimited = resources.swap_mb == UNLIMITED
        limits["MemorySwap"] = UNLIMITED if unlimited else (memory_mb + resources.swap_mb) * MEBIBYTE
    if resources.shm_mb:
        limits["ShmSize"] = resources.shm_mb * MEBIBYTE
    if resources.ulimits:
        limits["Ulimits"] = [
            {"Name": one.name, "Soft": one.soft, "Hard": one.hard} for one in resources.ulimits
        ]
    if resources.gpus is not None:
        limits["DeviceRequests"] = [_gpus(resources)]
    return limits


def _gpus(resources: Resources) -> dict[str, Any]:
    wanted: dict[str, Any] = {"Capabilities": [["gpu"]]}
    if isinstance(resources.gpus, tuple):
        return {**wanted, "DeviceIDs": list(resources.gpus)}
    return {**wanted, "Count": -1 if resources.gpus == "all" else resources.gpus}


def _security(security: Security) -> dict[str, Any]:
    return {
        "ReadonlyRootfs": security.read_only,
        "CapAdd": list(security.cap_add),
        "CapDrop": list(security.cap_drop),
        "SecurityOpt": ["no-new-privileges"] if security.no_new_privileges else [],
        "Privileged": security.privileged,
        "PidMode": "host" if security.host_pid else "",
        "Devices": [
            {"PathOnHost": one.source, "PathInContainer": one.target, "CgroupPermissions": one.access}
            for one in security.devices
        ],
    }


def _bindings(ports: tuple[Port, ...]) -> dict[str, list[dict[str, str]]]:
    bindings: dict[str, list[dict[str, str]]] = {}
    for port in ports:
        outside = {"HostIp": port.host_ip, "HostPort": str(port.host_port or "")}
        bindings.setdefault(_port(port), []).append(outside)
    return bindings


def _port(port: Port) -> str:
    return f"{port.inside}/{port.protocol}"
