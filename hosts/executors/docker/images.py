"""Image references, and bringing an image to the engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self

from docker import auth
from docker.errors import DockerException

from hosts import registries
from hosts.errors import DockerConnectionError
from hosts.executors.docker import pull_errors, wire
from hosts.executors.docker.client import CONNECT_SECONDS, one_line, unexpected
from hosts.executors.docker.endpoint import Endpoint, seconds
from hosts.executors.docker.lines import JsonLines, Request, Silence
from hosts.executors.docker.pull_progress import PullProgress


@dataclass(frozen=True, slots=True, kw_only=True)
class PullSettings:
    """How patient a host's pulls are, and the logins they may use."""

    connect_seconds: float
    idle_seconds: float
    total_seconds: float
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Self:
        """What a host's settings say."""
        return cls(
            connect_seconds=seconds(config, "pull_connect_timeout"),
            idle_seconds=seconds(config, "pull_idle_timeout"),
            total_seconds=seconds(config, "pull_total_timeout"),
            config=config,
        )


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
    settings: PullSettings,
    *,
    progress: Callable[[str], None],
    cancelled: Callable[[], bool],
) -> None:
    """Bring the image to the engine, or raise: ContainerExecutionError if trying again is useless."""
    repository, tag = split_reference(image)
    login = _Login.at(repository, settings.config)
    deadline = time.monotonic() + settings.total_seconds
    request = Request(
        target=wire.target(f"/v{version}/images/create", {"fromImage": repository, "tag": tag}),
        method="POST",
        headers=login.headers,
        http="1.1",
        connect_seconds=min(CONNECT_SECONDS, endpoint.timeout, settings.connect_seconds),
        answer_seconds=settings.connect_seconds,
        idle_seconds=settings.idle_seconds,
    )
    with JsonLines(endpoint, request, lambda: cancelled() or time.monotonic() > deadline) as lines:
        try:
            _follow(lines, image, PullProgress(progress), endpoint.name, login)
        except Silence as exc:
            if lines.is_answered:
                raise pull_errors.silent(image, settings.idle_seconds) from exc
            raise pull_errors.no_answer(image, settings.connect_seconds) from exc
        if lines.is_complete:
            return
    raise pull_errors.given_up(image) if cancelled() else pull_errors.too_long(image, settings.total_seconds)


def _follow(lines: JsonLines, image: str, report: PullProgress, host: str, login: _Login) -> None:
    # The engine says nothing, not even a status, before it has the registry's answer.
    status = lines.status()
    if status not in {0, HTTPStatus.OK}:
        words = lines.refusal()
        raise (
            pull_errors.refusal(image, words, login_hint=login.hint(host))
            if words
            else unexpected(host, status, words)
        )
    for line in lines:
        if "error" in line:
            words = one_line(str(line["error"]))
            raise pull_errors.refusal(image, words, login_hint=login.hint(host))
        report.take(line)


def login_headers(image: str, config: Mapping[str, Any]) -> Mapping[str, str]:
    """The header by which an engine learns the login for an image's registry; empty where there is none."""
    return _Login.at(split_reference(image)[0], config).headers


@dataclass(frozen=True, slots=True)
class _Login:
    """What we tell a registry about ourselves, if anything: the host's own login, else this machine's."""

    registry: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    source: str = ""

    @classmethod
    def at(cls, repository: str, config: Mapping[str, Any]) -> Self:
        try:
            registry, _ = auth.resolve_repository_name(repository)
            if login := registries.login_of(config, registry):
                return cls(registry, _header({**login, "serveraddress": registry}), "The login set for")
            if login := auth.load_config().resolve_authconfig(registry):
                source = "The login in this machine's Docker configuration for"
                return cls(registry, _header(login), source)
            return cls(registry)
        except DockerException as exc:
            raise DockerConnectionError(
                f"The registry login for {repository} cannot be read: {exc}", failure_class="image_pull"
            ) from exc

    def hint(self, host: str) -> str:
        """What to do about a registry that does not let us in."""
        said = (
            f"{self.source} {self.registry} was refused"
            if self.source
            else f"No login is set for {self.registry}"
        )
        return (
            f"{said}. Set one: manage.py manage_docker_host registry-login {host} {self.registry} "
            "--username USER --password-stdin"
        )


def _header(login: Mapping[str, Any]) -> dict[str, str]:
    return {"X-Registry-Auth": auth.encode_header(dict(login)).decode()}
