"""How templates write `container_options`. Pure.

Each reader takes one field as JSON has it and returns what an executor works with, or raises OptionError: a
sentence that names the field, and says what to write instead. Nothing here knows an engine.
"""

from __future__ import annotations

import ipaddress
import math
import re
import shlex
from collections.abc import Callable, Mapping
from typing import Any

from hosts.executors.container_options import (
    UNLIMITED,
    ContainerOptions,
    Device,
    Port,
    Resources,
    Security,
    Ulimit,
    Volume,
)

RESERVED_LABELS = "tallyman."
HOST_GATEWAY = "host-gateway"
LARGEST_MB = 64 * 1024 * 1024
_PORTS = range(1, 65_536)
_PORT = re.compile(
    r"((?:(?P<ip>\[[0-9A-Fa-f:]+\]|[0-9.]+):)?(?P<host>\d{0,5}):)?(?P<inside>\d{1,5})(/(?P<kind>tcp|udp|sctp))?"
)
_VOLUME_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?")
_CAPABILITY = re.compile(r"[A-Z][A-Z0-9_]*")
_TMPFS_OPTION = re.compile(
    r"(size=\d+[kmg]?%?|mode=[0-7]{3,4}|uid=\d+|gid=\d+|nr_inodes=\d+[kmg]?|ro|rw|(no)?(exec|suid|dev|atime))"
)
_DEVICE = re.compile(r"(?P<source>/[^:]+)(:(?P<target>/[^:]+))?(:(?P<access>r?w?m?))?")
ULIMITS = frozenset(
    (
        *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc"),
        *("rss", "rtprio", "rttime", "sigpending", "stack"),
    )
)
_RESOURCES = ("swap_mb", "pids", "shm_mb", "ulimits", "gpus")
_SECURITY = (
    *("read_only", "cap_add", "cap_drop", "no_new_privileges", "init"),
    *("privileged", "host_pid", "devices"),
)


class OptionError(ValueError):
    """A field that cannot be used; the text names it, and says what to write instead."""


def read(values: Mapping[str, Any]) -> ContainerOptions:
    """Options by the names in `FIELDS`; what is missing or empty is as usual. OptionError."""
    return ContainerOptions(
        **{name: _READERS[name](values[name]) for name in FIELDS if values.get(name) not in _EMPTY}
    )


def together(options: ContainerOptions, memory_limit: int | None) -> str:
    """What is wrong with fields that are right each by itself; empty if nothing is."""
    if options.resources.swap_mb and not memory_limit:
        return "resources: swap_mb comes on top of memory_limit; give the template a memory_limit, too."
    targets = [volume.target for volume in options.volumes] + list(options.tmpfs)
    for target in targets:
        if targets.count(target) > 1:
            return f"volumes, tmpfs: {target!r} stands there twice; mount one thing at one place."
    return ""


def entrypoint(value: Any) -> tuple[str, ...]:
    """Shell words, as a command."""
    try:
        return tuple(shlex.split(_text("entrypoint", value)))
    except ValueError as exc:
        raise OptionError(f"entrypoint: this cannot be split into words: {exc}.") from exc


def user(value: Any) -> str:
    """A user, or a user and a group, by name or number."""
    name = _text("user", value)
    if name and not _USER.fullmatch(name):
        raise OptionError(f"user: {name!r} is no user; write a name or number, as in app, 1000 or 1000:100.")
    return name


def container_labels(value: Any) -> dict[str, str]:
    """Names to texts; those that start with `tallyman.` are ours."""
    labels = _texts("container_labels", value, '{"team": "billing"}')
    for name in labels:
        if not name or "=" in name:
            raise OptionError(f"container_labels: {name!r} is no name; write one without =, as in team.")
        if name.lower().startswith(RESERVED_LABELS):
            raise OptionError(
                f"container_labels: {name!r}: names that start with {RESERVED_LABELS} are set by Tallyman; "
                "use another prefix."
            )
    return labels


def volumes(value: Any) -> tuple[Volume, ...]:
    """A list of SOURCE:TARGET or SOURCE:TARGET:ro; a source with a slash first is a path of the machine."""
    return tuple(_volume(text) for text in _list("volumes", value, '["/srv/data:/data:ro", "cache:/cache"]'))


def tmpfs(value: Any) -> dict[str, str]:
    """Places in the container to what mount(8) takes for a tmpfs."""
    places = _texts("tmpfs", value, '{"/tmp": "size=64m"}')
    for place, options in places.items():
        _require_path("tmpfs", place)
        for option in filter(None, options.split(",")):
            if not _TMPFS_OPTION.fullmatch(option):
                raise OptionError(
                    f"tmpfs: {option!r} is no option for {place}; write some of size=64m, mode=1777, uid=0, "
                    "gid=0, ro, noexec, nosuid, nodev, separated by commas."
                )
    return places


def extra_hosts(value: Any) -> dict[str, str]:
    """Names to addresses, for the container's /etc/hosts."""
    hosts = _texts("extra_hosts", value, '{"db": "10.0.0.5"}')
    for name, address in hosts.items():
        if not _HOST_NAME.fullmatch(name):
            raise OptionError(f"extra_hosts: {name!r} is no name of a host; write one as in db.example.")
        if address != HOST_GATEWAY and not _is_address(address):
            raise OptionError(
                f"extra_hosts: {address!r} for {name} is no address; write one as in 10.0.0.5, or "
                f"{HOST_GATEWAY} for the engine's machine."
            )
    return hosts


def ports(value: Any) -> tuple[Port, ...]:
    """A list of PORT, HOST_PORT:PORT or IP:HOST_PORT:PORT, each perhaps with /tcp, /udp or /sctp."""
    found = tuple(_port(text) for text in _list("ports", value, '["8080", "127.0.0.1:9000:80/udp"]'))
    if len(set(found)) < len(found):
        raise OptionError("ports: one of them stands there twice; leave one out.")
    return found


def resources(value: Any) -> Resources:
    """`swap_mb`, `pids`, `shm_mb`, `ulimits`, `gpus`."""
    given = _known("resources", value, _RESOURCES)
    least = {"swap_mb": UNLIMITED, "pids": 1, "shm_mb": 1}
    numbers = {
        name: _number(f"resources: {name}", given[name], low, LARGEST_MB)
        for name, low in least.items()
        if name in given
    }
    limits = tuple(_ulimit(name, one) for name, one in _mapping("resources: ulimits", given.get("ulimits")))
    return Resources(**numbers, ulimits=limits, gpus=_gpus(given.get("gpus")))


def security(value: Any) -> Security:
    """Flags, capabilities and devices, by the names of `Security`."""
    given = _known("security", value, _SECURITY)
    flags = ("read_only", "no_new_privileges", "init", "privileged", "host_pid")
    for name in flags:
        if not isinstance(given.get(name, True), bool):
            raise OptionError(f"security: {name} must be true or false, not {given[name]!r}.")
    caps: dict[str, Any] = {
        name: _capabilities(name, given[name]) for name in ("cap_add", "cap_drop") if name in given
    }
    devices = _list("security: devices", given.get("devices", []), '["/dev/fuse", "/dev/sda:/dev/xvda:r"]')
    return Security(
        **{name: given[name] for name in flags if name in given},
        **caps,
        devices=tuple(_device(text) for text in devices),
    )


def _volume(text: str) -> Volume:
    source, *rest = text.split(":")
    mode = rest.pop() if len(rest) > 1 else "rw"
    if len(rest) != 1 or mode not in {"ro", "rw"}:
        raise OptionError(
            f"volumes: {text!r} is no volume; write SOURCE:TARGET, or SOURCE:TARGET:ro, as in "
            "/srv/data:/data:ro or cache:/cache."
        )
    if source.startswith("/"):
        _require_path("volumes", source)
    elif not _VOLUME_NAME.fullmatch(source):
        raise OptionError(
            f"volumes: {source!r} is neither the name of a volume nor a whole path; write cache or /srv/data."
        )
    _require_path("volumes", rest[0])
    return Volume(source, rest[0], read_only=mode == "ro")


def _require_path(name: str, path: str) -> None:
    parts = path.split("/")
    if parts[0] or path == "/" or {"", ".", ".."} & set(parts[1:]):
        raise OptionError(
            f"{name}: {path!r} must be a whole path other than /, without .. in it, nor a slash at its end; "
            "write it as in /data."
        )


def _port(text: str) -> Port:
    found = _PORT.fullmatch(text)
    inside, outside = (int(found[part] or 0) for part in ("inside", "host")) if found else (0, 0)
    address = (found["ip"] or "").strip("[]") if found else ""
    if inside not in _PORTS or (outside and outside not in _PORTS) or (address and not _is_address(address)):
        raise OptionError(
            f"ports: {text!r} is no port; write 8080 (any free port of the host), 9000:8080 or "
            "127.0.0.1:9000:8080/udp."
        )
    return Port(inside, (found and found["kind"]) or "tcp", outside, address)


def _ulimit(name: str, value: Any) -> Ulimit:
    if name not in ULIMITS:
        raise OptionError(
            f"resources: ulimits: {name!r} is no limit; write one of {', '.join(sorted(ULIMITS))}."
        )
    both = value if isinstance(value, list) else [value, value]
    where = f"resources: ulimits: {name}"
    if len(both) != 2:  # noqa: PLR2004
        raise OptionError(f"{where} must be a number, or two: [1024, 4096] is soft and hard.")
    soft, hard = (_number(where, one, UNLIMITED, 2**63 - 1) for one in both)
    if hard != UNLIMITED and (soft == UNLIMITED or soft > hard):
        raise OptionError(f"{where}: the first number (soft) must not be above the second one (hard).")
    return Ulimit(name, soft, hard)


def _gpus(value: Any) -> Any:
    if value is None or value == "all":
        return value
    if isinstance(value, list) and value and all(isinstance(one, str) and one for one in value):
        return tuple(value)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise OptionError('resources: gpus must be "all", a number of them, or a list of ids such as ["0", "2"].')


def _capabilities(name: str, value: Any) -> tuple[str, ...]:
    found = []
    for text in _list(f"security: {name}", value, '["NET_BIND_SERVICE"]'):
        capability = text.upper().removeprefix("CAP_")
        if not _CAPABILITY.fullmatch(capability):
            raise OptionError(
                f"security: {name}: {text!r} is no capability; write one as in NET_ADMIN, or ALL."
            )
        found.append(capability)
    return tuple(found)


def _device(text: str) -> Device:
    found = _DEVICE.fullmatch(text)
    if not found or ".." in text.split("/"):
        raise OptionError(
            f"security: devices: {text!r} is no device; write /dev/fuse, or /dev/sda:/dev/xvda:r."
        )
    return Device(found["source"], found["target"] or found["source"], found["access"] or "rwm")


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise OptionError(f"{name} must be text, not {_kind(value)}.")
    _require_characters(name, value)
    return value


def _require_characters(name: str, text: str) -> None:
    if "\x00" in text or any("\ud800" <= one <= "\udfff" for one in text):
        raise OptionError(f"{name}: this holds a NUL, or something that is no character; take it out.")


def _texts(name: str, value: Any, example: str) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
        raise OptionError(f"{name} must be a JSON object of texts, as in {example}.")
    for part in (*value, *value.values()):
        _require_characters(name, part)
    return dict(value)


def _list(name: str, value: Any, example: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise OptionError(f"{name} must be a JSON list of texts, as in {example}.")
    for part in value:
        _require_characters(name, part)
    return value


def _known(name: str, value: Any, keys: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise OptionError(f"{name} must be a JSON object with some of: {', '.join(keys)}.")
    for key in value:
        if key not in keys:
            raise OptionError(f"{name}: there is no {key!r}; write some of: {', '.join(keys)}.")
    return value


def _mapping(name: str, value: Any) -> list[tuple[str, Any]]:
    if value is not None and not isinstance(value, dict):
        raise OptionError(f'{name} must be a JSON object, as in {{"nofile": [1024, 4096]}}.')
    return list((value or {}).items())


def _number(name: str, value: Any, low: int, high: int) -> int:
    whole = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value) and value % 1 == 0)
    if isinstance(value, bool) or not whole or not low <= value <= high:
        raise OptionError(f"{name} must be a whole number from {low} to {high}, not {value!r}.")
    return int(value)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", bool: "true or false"}.get(type(value), "a number")


_EMPTY: tuple[Any, ...] = (None, "", [], {})
_READERS: Mapping[str, Callable[[Any], Any]] = {
    "entrypoint": entrypoint,
    "user": user,
    "container_labels": container_labels,
    "volumes": volumes,
    "tmpfs": tmpfs,
    "extra_hosts": extra_hosts,
    "ports": ports,
    "resources": resources,
    "security": security,
}
FIELDS = tuple(_READERS)
