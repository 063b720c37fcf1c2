"""Secrets as files in memory, for containers that a plain engine runs, near or far.

No bind mount reaches a far engine, and what is uploaded into a container's own tmpfs before it is started
is lost: an engine mounts that only at the start. So the folder is an anonymous volume of the driver `local`,
which is a tmpfs by its options. The engine itself mounts such a volume for as long as somebody uses it:

1. another container is made of the same image, with the volumes of the first one. It never runs;
2. an upload into it is begun and not ended. Meanwhile the engine keeps the volume mounted;
3. the files are uploaded into the first container, and the engine is asked whether they stay;
4. the first container is started, which keeps the volume mounted from here on;
5. the upload is ended, and the other container removed.

When the container ends, the engine unmounts the volume, and nothing of it is left anywhere. Nothing in the
image is needed for it, no program, no shell, and no wrapper stands around the command.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import socket
import tarfile
import time
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from hosts.errors import ContainerExecutionError, DockerConnectionError
from hosts.executors.docker import wire
from hosts.executors.docker.client import Client, one_line, translated
from hosts.executors.docker.endpoint import Endpoint
from hosts.executors.docker.secret_mounts import FOLDER, Files

_MODE = 0o400
_END_OF_ARCHIVE = bytes(1024)
_LOOK_AGAIN_SECONDS = 0.02
_LARGEST_PASSWD = 1024 * 1024
_PASSWD_FIELDS = 7


@contextlib.contextmanager
def handed_over(
    endpoint: Endpoint, client: Client, inspected: Mapping[str, Any], files: Files
) -> Iterator[None]:
    """Inside, the files are where the container will find them; it is to be started there, or not at all.

    DockerConnectionError, ContainerExecutionError: nothing was started.
    """
    container_id, image = inspected["Id"], inspected["Image"]
    owner = _owner(endpoint, client, container_id, str(inspected["Config"].get("User") or ""))
    name = f"{inspected['Name'].removeprefix('/')}-secrets"
    helper = _make_helper(client, name, container_id, image, files.labels)
    try:
        with _mounted(endpoint, client, helper):
            _put(endpoint, client, container_id, _archive(files.contents, owner), next(iter(files.contents)))
            yield
    finally:
        client.delete(f"/containers/{helper}", params={"force": 1, "v": 1})


def _make_helper(client: Client, name: str, container_id: str, image: str, labels: Mapping[str, str]) -> str:
    body = {
        "Image": image,
        "Entrypoint": ["/never-started"],
        "Cmd": [],
        "Labels": dict(labels),
        "HostConfig": {"NetworkMode": "none", "VolumesFrom": [container_id]},
    }
    reply = client.post("/containers/create", params={"name": name}, body=body)
    if reply.status == HTTPStatus.CONFLICT:
        _remove_former(client, name, labels)
        reply = client.post("/containers/create", params={"name": name}, body=body)
    return str(client.expect(reply)["Id"])


def _remove_former(client: Client, name: str, labels: Mapping[str, str]) -> None:
    """One of a start that was cut off; what is not ours is left alone, and stays in the way."""
    reply = client.get(f"/containers/{quote(name, safe='')}/json")
    if reply.status == HTTPStatus.NOT_FOUND:
        return
    found = client.expect(reply)
    own = found["Config"].get("Labels") or {}
    if any(own.get(key) != value for key, value in labels.items()):
        raise ContainerExecutionError(
            f"A container that is not ours has the name {name}.",
            failure_class="name_conflict",
            hint="Find out whose it is, and remove it.",
        )
    client.delete(f"/containers/{found['Id']}", params={"force": 1, "v": 1})


@contextlib.contextmanager
def _mounted(endpoint: Endpoint, client: Client, helper: str) -> Iterator[None]:
    """An upload into the helper that lasts as long as the block; DockerConnectionError if it was cut off."""
    connection = _begin(endpoint, client, "PUT", helper, FOLDER, length=len(_END_OF_ARCHIVE))
    try:
        yield
        with translated(endpoint.name):
            connection.sendall(_END_OF_ARCHIVE)
            status, _, words = _answer(connection, "PUT")
    finally:
        connection.close()
    if status != HTTPStatus.OK:
        raise DockerConnectionError(
            f"{endpoint.name}: the secret files may not have been kept for the container ({status}): {words}"
        )


def _put(endpoint: Endpoint, client: Client, container_id: str, archive: bytes, last: str) -> None:
    """Upload the files until they stay: the engine may not have mounted their volume yet."""
    deadline = time.monotonic() + endpoint.timeout
    while True:
        with (
            contextlib.closing(
                _begin(endpoint, client, "PUT", container_id, FOLDER, length=len(archive))
            ) as connection,
            translated(endpoint.name),
        ):
            connection.sendall(archive)
            status, _, words = _answer(connection, "PUT")
        if status != HTTPStatus.OK:
            raise DockerConnectionError(
                f"{endpoint.name}: the engine does not take the secret files ({status}): {words}"
            )
        if _is_there(endpoint, client, container_id, f"{FOLDER}/{last}"):
            return
        if time.monotonic() >= deadline:
            raise DockerConnectionError(f"{endpoint.name}: the secret files do not stay where they are put.")
        time.sleep(_LOOK_AGAIN_SECONDS)


def _is_there(endpoint: Endpoint, client: Client, container_id: str, path: str) -> bool:
    with contextlib.closing(_begin(endpoint, client, "HEAD", container_id, path)) as connection:
        status, _, words = _answer(connection, "HEAD")
    if status not in {HTTPStatus.OK, HTTPStatus.NOT_FOUND}:
        raise DockerConnectionError(f"{endpoint.name}: the engine answered {status}: {words}")
    return status == HTTPStatus.OK


def _archive(contents: Mapping[str, str], owner: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, text in contents.items():
            data = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode, entry.mtime = len(data), _MODE, int(time.time())
            entry.uid, entry.gid = owner
            tar.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


# ── whose they are ────────────────────────────────────────────────────────────────────────────────────────


def _owner(endpoint: Endpoint, client: Client, container_id: str, user: str) -> tuple[int, int]:
    """The ids of the user that a container will run as."""
    name, _, group = user.partition(":")
    gid = int(group) if group.isdecimal() else 0
    if name.isdecimal() or not name:
        return int(name or 0), gid
    for line in _passwd(endpoint, client, container_id).splitlines():
        fields = line.split(":")
        if len(fields) == _PASSWD_FIELDS and fields[0] == name and fields[2].isdecimal():
            return int(fields[2]), gid or (int(fields[3]) if fields[3].isdecimal() else 0)
    if name == "root":
        return 0, gid
    raise ContainerExecutionError(
        f"The image's /etc/passwd has no user {name!r}, so its secret files would be nobody's.",
        failure_class="start_refused",
        hint="Give the template a user by its number, as in 1000, or hand the secrets over as variables.",
    )


def _passwd(endpoint: Endpoint, client: Client, container_id: str) -> str:
    with contextlib.closing(_begin(endpoint, client, "GET", container_id, "/etc/passwd")) as connection:
        status, content, words = _answer(connection, "GET")
    if status == HTTPStatus.NOT_FOUND:
        return ""
    if status != HTTPStatus.OK:
        raise DockerConnectionError(f"{endpoint.name}: the engine answered {status}: {words}")
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            first = tar.next()
            file = tar.extractfile(first) if first and first.isfile() else None
            return file.read(_LARGEST_PASSWD).decode("utf-8", "replace") if file else ""
    except tarfile.TarError:
        return ""


# ── the engine's archive API, which speaks of bytes where all else is JSON ────────────────────────────────


def _begin(
    endpoint: Endpoint,
    client: Client,
    method: str,
    container_id: str,
    path: str,
    *,
    length: int | None = None,
) -> socket.socket:
    """A connection on which the request was sent, but for its body."""
    target = wire.target(f"/v{client.version()}/containers/{container_id}/archive", {"path": path})
    headers = {} if length is None else {"Content-Type": "application/x-tar", "Content-Length": str(length)}
    connection = wire.open_request(
        endpoint, target, method=method, headers=headers, http="1.1", connect_seconds=endpoint.timeout
    )
    connection.settimeout(endpoint.timeout)
    return connection


def _answer(connection: socket.socket, method: str) -> tuple[int, bytes, str]:
    """Status, body, and the engine's words if it is an error."""
    with translated("the engine"):
        response = http.client.HTTPResponse(connection, method=method)
        try:
            response.begin()
            content = response.read(_LARGEST_PASSWD * 2)
        except http.client.HTTPException as exc:
            raise OSError(f"an answer that is none: {type(exc).__name__}") from exc
        finally:
            response.close()
    return response.status, content, _words(content) if response.status >= HTTPStatus.BAD_REQUEST else ""


def _words(content: bytes) -> str:
    text = content.decode("utf-8", "replace")
    try:
        return one_line(str(json.loads(text)["message"]))
    except (ValueError, TypeError, KeyError):
        return one_line(text)
