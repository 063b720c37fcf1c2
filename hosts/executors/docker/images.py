"""Image references, and bringing an image to the engine."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from docker import auth
from docker.errors import DockerException

from hosts.errors import ContainerExecutionError, DockerConnectionError, EngineError
from hosts.executors.docker import wire
from hosts.executors.docker.client import CONNECT_SECONDS, one_line, unexpected
from hosts.executors.docker.endpoint import Endpoint
from hosts.executors.docker.lines import JsonLines, Request

# A pull is silent while the engine waits for a registry or unpacks a big layer.
IDLE_SECONDS = 180.0

_LAYER_DONE = {"Already exists", "Pull complete"}
_NAME = "Check the name and the tag of docker_image."
_LOGIN = "Log in to the image's registry on the machine that runs the worker."
# The engine's words, in the order they are looked for; everything else is tried again later.
_FINAL = (
    (r"no matching manifest", "image_platform", "The registry has no build of this image for this host."),
    (r"manifest unknown|name unknown|not found: manifest", "image_not_found", _NAME),
    (r"pull access denied", "image_denied", f"{_NAME} {_LOGIN}"),
    (r"unauthorized|no basic auth credentials|(^|: )denied\b", "image_denied", _LOGIN),
    (r"invalid reference format|repository name must", "image_invalid", "Correct docker_image."),
    (r": not found", "image_not_found", _NAME),
)
_TRANSIENT = ("toomanyrequests", "too many requests", "rate limit")


def split_reference(reference: str) -> tuple[str, str]:
    """Repository, and tag or digest, of an image reference; the tag is `latest` where none is given."""
    repository, _, by_digest = reference.partition("@")
    path, slash, name = repository.rpartition("/")
    name, _, tag = name.partition(":")
    return f"{path}{slash}{name}", by_digest or tag or "latest"


def digest(image: Mapping[str, Any], reference: str) -> str:
    """The digest that the image's registry knows it by; its local id if it came from none."""
    known: dict[str, str] = dict(entry.split("@", 1) for entry in image.get("RepoDigests") or [])
    repository, _ = split_reference(reference)
    any_digest: str = next(iter(known.values()), image.get("Id") or "")
    return known.get(repository, any_digest)


def pull(
    endpoint: Endpoint,
    version: str,
    image: str,
    progress: Callable[[str], None],
    cancelled: Callable[[], bool],
) -> None:
    """Bring the image to the engine, or raise: ContainerExecutionError if trying again is useless."""
    repository, tag = split_reference(image)
    request = Request(
        target=wire.target(f"/v{version}/images/create", {"fromImage": repository, "tag": tag}),
        method="POST",
        headers=_credentials(repository),
        connect_seconds=min(CONNECT_SECONDS, endpoint.timeout),
        answer_seconds=IDLE_SECONDS,
        idle_seconds=IDLE_SECONDS,
    )
    report = _Progress(progress)
    with JsonLines(endpoint, request, cancelled) as lines:
        status = lines.status()
        if status not in {0, HTTPStatus.OK}:
            words = lines.refusal()
            raise refusal(image, words) if words else unexpected(endpoint.name, status, words)
        for line in lines:
            if "error" in line:
                raise refusal(image, one_line(str(line["error"])))
            report.take(line)
    if cancelled():
        raise DockerConnectionError(f"{endpoint.name}: the pull of {image} was given up.")


def refusal(image: str, words: str) -> EngineError:
    """The error for what the engine says about a pull."""
    said = words.lower()
    if not any(text in said for text in _TRANSIENT):
        for pattern, failure_class, hint in _FINAL:
            if re.search(pattern, said):
                return ContainerExecutionError(
                    f"The image {image} cannot be pulled: {words}", failure_class=failure_class, hint=hint
                )
    return DockerConnectionError(f"The image {image} was not pulled: {words}")


class _Progress:
    """Makes short texts of the engine's many lines."""

    def __init__(self, progress: Callable[[str], None]) -> None:
        self._progress = progress
        self._layers: dict[str, bool] = {}

    def take(self, line: Mapping[str, Any]) -> None:
        status, layer = str(line.get("status", "")), str(line.get("id", ""))
        if not layer or status.startswith("Pulling from"):
            self._progress(one_line(status))
        elif self._layers.get(layer) != (status in _LAYER_DONE):
            self._layers[layer] = status in _LAYER_DONE
            self._progress(f"{sum(self._layers.values())} of {len(self._layers)} layers")


def _credentials(repository: str) -> dict[str, str]:
    """What `docker login` left on this machine for the image's registry, if anything."""
    try:
        registry, _ = auth.resolve_repository_name(repository)
        login = auth.load_config().resolve_authconfig(registry)
    except DockerException as exc:
        raise DockerConnectionError(f"The registry login for {repository} cannot be read: {exc}") from exc
    return {"X-Registry-Auth": auth.encode_header(login).decode()} if login else {}
