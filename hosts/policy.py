"""What a host lets containers have: its column `policy`. Pure; saving and routing may ask it, launches do.

    {"images": ["registry.example/team/**", "busybox"],   only these; without it, all
     "paths": ["/srv/data", "/etc/ssl:ro"],               bind mounts at these and below; without it, none
     "volumes": ["cache", "team-*"],                      only these, whatever they are made of; without it,
                                                          those that are plain folders of the engine's own
     "networks": ["jobs-*"], "labels": ["team.*"],        only these; without it, all
     "capabilities": ["NET_ADMIN"], "devices": ["/dev/fuse"], "ulimits": ["rtprio"], "pids": 10000,
     "root": false, "new_privileges": false, "privileged": false, "gpus": false,
     "host_network": false, "host_pid": false}

In a pattern of `images`, `*` stands for anything up to the next slash and `**` for anything; a pattern
without a tag takes every tag and digest. `*` alone takes every image. Elsewhere `*` stands for anything.

A path that is sensitive (`hosts.sensitive`), the engine's own socket before all, is allowed by an entry at it
or below it only, never by one above.

A container that may write below a path may leave a symbolic link there, which the engine follows when it is
mounted itself: what writes below a path is to be trusted like what reads all of the machine, or given one
volume for itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from hosts import sensitive
from hosts.executors.container_options import PIDS_LIMIT, ContainerOptions, Volume

_FLAGS = ("root", "new_privileges", "privileged", "gpus", "host_network", "host_pid")
_LISTS = ("images", "paths", "volumes", "networks", "labels", "capabilities", "devices", "ulimits")
_NUMBERS = ("pids",)
# An empty one of these would forbid what every job needs, or what nobody would miss by mistake.
_NEVER_EMPTY = {"images": "no image could run", "networks": "no network could be joined"}
_HUB = "docker.io"
_HUB_NAMES = {"index.docker.io", "registry-1.docker.io"}
_EVERY_IMAGE = {"*", "**"}
_MAYBE_ID = re.compile(r"(sha256:)?[0-9a-f]{1,64}")
_NETWORK_ID = re.compile(r"[0-9a-f]{12,64}")
# What Docker gives every container anyway, so a template may add it again to none.
USUAL_CAPABILITIES = frozenset(
    (
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    )
)
_ONLY_STARS = re.compile(r"[\[?]")
# These put a process before others of the machine; all other limits only bound it.
_STRONG_ULIMITS = frozenset({"nice", "rtprio"})


def problems(policy: Any) -> list[str]:
    """A sentence for each thing that is wrong with a policy; empty when nothing is."""
    if not isinstance(policy, dict):
        return ["policy must be a JSON object; {} for the usual one."]
    return [*_unknown(policy), *_wrong_lists(policy), *_wrong_values(policy), *_wrong_paths(policy)]


def socket_of(base_url: str) -> str:
    """The path of the socket at which an engine listens; empty if it is at none."""
    return base_url.removeprefix("unix://") if base_url.startswith("unix://") else ""


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
    policy: Mapping[str, Any],
    image: str,
    options: ContainerOptions,
    networks: Iterable[str],
    *,
    socket: str = "",
) -> Iterator[str]:
    """A sentence for each thing of a container that the policy does not allow; `socket` is the engine's own.

    Whom the image runs as, and what its volumes are made of, only the engine knows: see `user_refusal` and
    `volume_refusal`. A policy that cannot be read allows nothing.
    """
    if wrong := problems(policy):
        yield f"What the host allows cannot be read: {wrong[0]}"
        return
    if not image_allowed(policy, image):
        yield f"The image {image} is not among the images that the host allows{_hint_at_id(image)}."
    if options.user:
        yield from filter(None, [user_refusal(policy, options.user)])
    for volume in options.volumes:
        yield from _volume_refusals(policy, volume, socket)
    for network in networks:
        yield from _network_refusals(policy, network)
    for label in options.container_labels:
        if not _listed(policy, "labels", label):
            yield f"The host does not allow the label {label}."
    yield from _security_refusals(policy, options)
    yield from _resource_refusals(policy, options)


def may_run_as_root(policy: Mapping[str, Any]) -> bool:
    """Whether containers may run as user 0."""
    return policy.get("root") is True


def pids_limit(policy: Mapping[str, Any]) -> int:
    """How many processes a container may have whose template says nothing about it."""
    return min(PIDS_LIMIT, most_pids(policy))


def most_pids(policy: Mapping[str, Any]) -> int:
    """How many processes a template may ask for."""
    most: int = policy.get("pids", PIDS_LIMIT)
    return most


def user_refusal(policy: Mapping[str, Any], user: str, image: str = "") -> str:
    """Why a container may not run as this user, the one of its `image` if that is named; empty: it may.

    A name may stand for user 0 in the image's own list of users, so only a number is believed.
    """
    name = user.partition(":")[0]
    whose = f"The image {image} runs as" if image else "It is to run as"
    if may_run_as_root(policy) or (name.isascii() and name.isdigit() and int(name) > 0):
        return ""
    if name in {"", "root"} or (name.isascii() and name.lstrip("+-").isdigit()):
        return f"{whose} root, which the host does not allow."
    return f"{whose} {name}, who may be root by another name, which the host does not allow: write a number."


def volume_refusal(policy: Mapping[str, Any], name: str, driver: str, options: Mapping[str, str]) -> str:
    """Why a container may not mount a volume that the engine has; empty: it may.

    A volume of the driver `local` with options can be any folder of the machine, or another machine's.
    """
    if "volumes" in policy or (driver == "local" and not options):
        return ""
    made_of = options.get("device") or f"what the driver {driver} keeps"
    return f"The volume {name} is made of {made_of}, so the host's policy has to name it in volumes."


def _volume_refusals(policy: Mapping[str, Any], volume: Volume, socket: str) -> Iterator[str]:
    if not volume.is_bind:
        if not _listed(policy, "volumes", volume.source):
            yield f"The volume {volume.source} is not among those that the host allows."
        return
    how = "" if volume.read_only else " for writing"
    entries = [path for path, mode in _paths(policy) if volume.read_only or mode != "ro"]
    if not any(sensitive.is_within(volume.source, entry) for entry in entries):
        yield f"The path {volume.source} is not below one that the host lets containers mount{how}."
        return
    for path in sensitive.uncovered(volume.source, entries, sockets=[socket] if socket else []):
        yield (
            f"The path {volume.source} shows {path}, by which a container can take the machine: the host's "
            f"policy has to name it itself in paths{how}."
        )


def _security_refusals(policy: Mapping[str, Any], options: ContainerOptions) -> Iterator[str]:
    security = options.security
    for flag in ("privileged", "host_pid"):
        if getattr(security, flag) and policy.get(flag) is not True:
            yield f"The host does not allow {flag} containers."
    # With it, a program with the set-uid bit makes anybody root.
    if not security.no_new_privileges and policy.get("new_privileges") is not True:
        yield "The host does not allow programs to gain privileges (no_new_privileges: false)."
    granted = {one.upper().removeprefix("CAP_") for one in policy.get("capabilities", [])}
    for capability in security.cap_add:
        if "ALL" not in granted and capability not in USUAL_CAPABILITIES | granted:
            yield f"The host does not allow the capability {capability}."
    for device in security.devices:
        if device.source not in policy.get("devices", []):
            yield f"The host does not allow the device {device.source}."


def _resource_refusals(policy: Mapping[str, Any], options: ContainerOptions) -> Iterator[str]:
    resources, most = options.resources, most_pids(policy)
    if resources.gpus is not None and policy.get("gpus") is not True:
        yield "The host does not allow its GPUs."
    if resources.pids is not None and resources.pids > most:
        yield f"The host allows {most} processes in a container, not {resources.pids} (pids)."
    for limit in resources.ulimits:
        if limit.name in _STRONG_ULIMITS and limit.name not in policy.get("ulimits", []):
            yield f"The host does not allow the ulimit {limit.name}."


def _network_refusals(policy: Mapping[str, Any], network: str) -> Iterator[str]:
    if network == "host":
        if policy.get("host_network") is not True:
            yield "The host does not allow its own network (host) for containers."
    # container:x and ns:x are another's, and Podman takes orders after a colon.
    elif ":" in network or "/" in network or _NETWORK_ID.fullmatch(network):
        yield f"{network} is no name of a network, or somebody else's; name a network of the engine."
    elif not _listed(policy, "networks", network):
        yield f"The network {network} is not among those that the host allows."


def _listed(policy: Mapping[str, Any], key: str, name: str) -> bool:
    return key not in policy or any(
        fnmatchcase(name, _ONLY_STARS.sub(r"[\g<0>]", one)) for one in policy[key]
    )


def _paths(policy: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for entry in policy.get("paths", []):
        path, _, mode = entry.partition(":")
        yield path, mode


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
    known = (*_LISTS, *_NUMBERS, *_FLAGS)
    for key in policy:
        if key not in known:
            yield f"policy: there is no {key!r}; known are: {', '.join(known)}."


def _wrong_lists(policy: Mapping[str, Any]) -> Iterator[str]:
    for key in _LISTS:
        value = policy.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
            yield f"policy: {key} must be a list of texts."
    for key, consequence in _NEVER_EMPTY.items():
        if policy.get(key) == []:
            yield f"policy: {key} is empty, so {consequence}; leave it out to allow all."


def _wrong_values(policy: Mapping[str, Any]) -> Iterator[str]:
    for key in _FLAGS:
        if not isinstance(policy.get(key, False), bool):
            yield f"policy: {key} must be true or false."
    for key in _NUMBERS:
        value = policy.get(key, 1)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            yield f"policy: {key} must be a whole number from 1 up."


def _wrong_paths(policy: Mapping[str, Any]) -> Iterator[str]:
    paths = policy.get("paths", [])
    for entry in paths if isinstance(paths, list) else []:
        path, _, mode = str(entry).partition(":")
        if not path.startswith("/") or {".", ".."} & set(path.split("/")) or mode not in {"", "ro"}:
            yield f"policy: paths: {entry!r} must be a whole path without .., as in /srv or /srv:ro."
