"""What a host lets containers have: its column `policy`. Pure; routing may ask it, and launches do.

    {"images": ["registry.example/team/**", "busybox"],   only these; without it, all
     "paths": ["/srv/data", "/etc/ssl:ro"],               bind mounts at these and below; without it, none
     "capabilities": ["NET_ADMIN"], "devices": ["/dev/fuse"],
     "privileged": false, "host_network": false, "host_pid": false}

In a pattern of `images`, `*` stands for anything up to the next slash and `**` for anything; a pattern
without a tag takes every tag and digest. `*` alone takes every image.

A container that may write below a path may leave a symbolic link there, which the engine follows when it is
mounted itself: what writes below a path is to be trusted like what reads all of the machine, or given one
volume for itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from hosts.executors.container_options import ContainerOptions, Volume

_FLAGS = ("privileged", "host_network", "host_pid")
_LISTS = ("images", "paths", "capabilities", "devices")
_HUB = "docker.io"
_HUB_NAMES = {"index.docker.io", "registry-1.docker.io"}
_EVERY_IMAGE = {"*", "**"}
_MAYBE_ID = re.compile(r"(sha256:)?[0-9a-f]{1,64}")
# What Docker gives every container anyway, so a template that dropped ALL may add it again.
USUAL_CAPABILITIES = frozenset(
    (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)


def problems(policy: Any) -> list[str]:
    """A sentence for each thing that is wrong with a policy; empty when nothing is."""
    if not isinstance(policy, dict):
        return ["policy must be a JSON object; {} for the usual one."]
    return [*_unknown(policy), *_wrong_lists(policy), *_wrong_flags(policy), *_wrong_paths(policy)]


def image_allowed(policy: Any, image: str) -> bool:
    """Whether a host with this policy may run the image. A policy that cannot be read allows none."""
    if not isinstance(policy, dict):
        return False
    if "images" not in policy:
        return True
    patterns = policy["images"]
    if not isinstance(patterns, list) or not all(isinstance(one, str) for one in patterns):
        return False
    if _EVERY_IMAGE & set(patterns):
        return True
    # The engine would take it for the beginning of an image's id, whatever that image is called.
    if not image or _MAYBE_ID.fullmatch(image):
        return False
    return any(_pattern(one).fullmatch(_full_name(image)) for one in patterns)


def refusals(
    policy: Mapping[str, Any], image: str, options: ContainerOptions, networks: Iterable[str]
) -> Iterator[str]:
    """A sentence for each thing of a container that the policy does not allow."""
    if not image_allowed(policy, image):
        yield f"The image {image} is not among the images that the host allows{_hint_at_id(image)}."
    for volume in options.volumes:
        if volume.is_bind and not _path_allowed(policy, volume):
            how = "" if volume.read_only else " for writing"
            yield f"The path {volume.source} is not below one that the host lets containers mount{how}."
    for network in networks:
        yield from _network_refusals(policy, network)
    yield from _security_refusals(policy, options)


def _security_refusals(policy: Mapping[str, Any], options: ContainerOptions) -> Iterator[str]:
    security = options.security
    for flag in ("privileged", "host_pid"):
        if getattr(security, flag) and policy.get(flag) is not True:
            yield f"The host does not allow {flag} containers."
    granted = {one.upper().removeprefix("CAP_") for one in policy.get("capabilities", [])}
    for capability in security.cap_add:
        if "ALL" not in granted and capability not in USUAL_CAPABILITIES | granted:
            yield f"The host does not allow the capability {capability}."
    for device in security.devices:
        if device.source not in policy.get("devices", []):
            yield f"The host does not allow the device {device.source}."


def _network_refusals(policy: Mapping[str, Any], network: str) -> Iterator[str]:
    if network == "host" and policy.get("host_network") is not True:
        yield "The host does not allow its own network (host) for containers."
    if network.startswith(("container:", "ns:")):
        yield f"The network {network} is another's; name a network of the engine."


def _path_allowed(policy: Mapping[str, Any], volume: Volume) -> bool:
    for entry in policy.get("paths", []):
        path, _, mode = entry.partition(":")
        if mode == "ro" and not volume.read_only:
            continue
        if volume.source == path or volume.source.startswith(f"{path.rstrip('/')}/"):
            return True
    return False


def _hint_at_id(image: str) -> str:
    return " (it may be an id: write its name and tag)" if _MAYBE_ID.fullmatch(image) else ""


def _full_name(image: str) -> str:
    """The image as engines understand it: registry, folder, name, and digest or else tag."""
    name, _, digest = image.partition("@")
    first, slash, rest = name.partition("/")
    is_registry = slash and (first == "localhost" or bool(re.search(r"[.:A-Z]", first)))
    registry, path = (first, rest) if is_registry else (_HUB, name)
    if registry in _HUB_NAMES:
        registry = _HUB
    if registry == _HUB and "/" not in path:
        path = f"library/{path}"
    path, _, tag = path.partition(":")
    return f"{registry}/{path}@{digest}" if digest else f"{registry}/{path}:{tag or 'latest'}"


@lru_cache(maxsize=1000)
def _pattern(text: str) -> re.Pattern[str]:
    name = text.partition("@")[0]
    any_tag = "@" not in text and ":" not in name.rpartition("/")[2]
    # Completed as an image's name would be; a tag that it did not have stands for all.
    full = _full_name(text)
    full = full.removesuffix(":latest") if any_tag else full
    parts = [_WILDCARDS.get(part, re.escape(part)) for part in re.split(r"(\*\*|\*)", full)]
    return re.compile("".join(parts) + ("[:@].*" if any_tag and not full.endswith("**") else ""))


_WILDCARDS = {"**": ".*", "*": "[^/]*"}


def _unknown(policy: Mapping[str, Any]) -> Iterator[str]:
    known = (*_LISTS, *_FLAGS)
    for key in policy:
        if key not in known:
            yield f"policy: there is no {key!r}; known are: {', '.join(known)}."


def _wrong_lists(policy: Mapping[str, Any]) -> Iterator[str]:
    for key in _LISTS:
        value = policy.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            yield f"policy: {key} must be a list of texts."
    if policy.get("images") == []:
        yield "policy: images is empty, so no image could run; leave it out to allow all."


def _wrong_flags(policy: Mapping[str, Any]) -> Iterator[str]:
    for key in _FLAGS:
        if not isinstance(policy.get(key, False), bool):
            yield f"policy: {key} must be true or false."


def _wrong_paths(policy: Mapping[str, Any]) -> Iterator[str]:
    paths = policy.get("paths", [])
    for entry in paths if isinstance(paths, list) else []:
        path, _, mode = str(entry).partition(":")
        if not path.startswith("/") or ".." in path.split("/") or mode not in {"", "ro"}:
            yield f"policy: paths: {entry!r} must be a whole path without .., as in /srv or /srv:ro."
