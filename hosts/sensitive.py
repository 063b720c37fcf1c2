"""Paths of an engine's machine by which a container that has them can take the machine. Pure.

Compared are texts: a folder with another name for one of these (a symbolic link, a bind mount) is not known
from afar. That no folder that containers may write below leads here is for who writes the policy to see to.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

PATHS = (
    # Where engines listen: whoever writes to one is root there.
    *("/run", "/var/run"),
    *("/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock", "/var/run/podman/podman.sock"),
    *("/run/containerd/containerd.sock", "/var/run/containerd/containerd.sock"),
    # What engines keep: images, secrets, and the files of all other containers.
    *("/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/var/lib/kubelet"),
    # The kernel, the devices, and what is run or believed by root.
    *("/boot", "/dev", "/etc", "/proc", "/root", "/sys", "/usr", "/bin", "/sbin", "/lib", "/lib64"),
    "/var/spool/cron",
)


def is_within(path: str, folder: str) -> bool:
    """Whether the path is the folder, or lies below it."""
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def uncovered(source: str, entries: Iterable[str], *, sockets: Sequence[str] = ()) -> Iterator[str]:
    """The sensitive paths that a mount of `source` shows, although no entry names them themselves.

    An entry for one of them stands at it or below it, and holds the whole of `source` or of the path.
    """
    allowed = [entry.rstrip("/") or "/" for entry in entries]
    for path in dict.fromkeys((*PATHS, *sockets)):
        if is_within(source, path):
            is_named = any(is_within(source, entry) and is_within(entry, path) for entry in allowed)
        elif is_within(path, source):
            is_named = path in allowed
        else:
            continue
        if not is_named:
            yield path
