"""Short calls to one engine, and the one place where the client library's errors become ours."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

import docker
import structlog
from docker.errors import DockerException, TLSParameterError
from docker.tls import TLSConfig
from requests import RequestException
from requests import Timeout as RequestTimeout
from urllib3.exceptions import HTTPError
from urllib3.exceptions import TimeoutError as PoolTimeout

from hosts.errors import ConfigurationError, DockerConnectionError
from hosts.executors.docker import local, podman, ssh, versions
from hosts.executors.docker.endpoint import Endpoint, Tls
from hosts.executors.docker.local import LocalSession

CONNECT_SECONDS = 5.0
LONGEST_MESSAGE = 300

# We put the negotiated version into each path ourselves; the library only wants to have been told one.
_LIBRARY_VERSION = "1.41"
_OTHER_VERSION = "client version"

_CAUSES: tuple[tuple[type[BaseException], str], ...] = (
    (FileNotFoundError, "there is no socket at its address"),
    (PermissionError, "we are not allowed to use its socket"),
    (ConnectionRefusedError, "it refused the connection"),
    (socket.gaierror, "its name cannot be resolved"),
    (ssl.SSLCertVerificationError, "its certificate was not accepted"),
    (TimeoutError, "it did not answer in time"),
    (RequestTimeout, "it did not answer in time"),
    (PoolTimeout, "it did not answer in time"),
    (ConnectionResetError, "it closed the connection"),
    (BrokenPipeError, "it closed the connection"),
)

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, whatever its status. `message` is the engine's own words about an error, on one line.

    It is empty where somebody else (a proxy) answered; `text` is what that one said.
    """

    status: int
    data: Any
    message: str = ""
    text: str = ""


class Client:
    """Short calls to one engine from any thread: each thread has connections of its own."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._local = threading.local()
        self._version = ""
        self._is_podman = False

    def get(self, path: str, *, params: Mapping[str, Any] | None = None) -> Reply:
        """GET under the negotiated API version; DockerConnectionError if there is no answer."""
        return self._call("GET", path, params)

    def post(
        self,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """POST, as `get`."""
        return self._call("POST", path, params, body, headers)

    def delete(self, path: str, *, params: Mapping[str, Any] | None = None) -> Reply:
        """DELETE, as `get`."""
        return self._call("DELETE", path, params)

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Let this thread's calls inside wait no longer than that for an answer, if the host lets them."""
        self._local.timeout = min(seconds, self._endpoint.timeout)
        try:
            yield
        finally:
            del self._local.timeout

    def version(self) -> str:
        """The API version that we speak with the engine; asks it the first time only."""
        if not self._version:
            self.negotiate()
        return self._version

    def is_podman(self) -> bool:
        """Whether the engine is a Podman; asks it the first time only."""
        return bool(self.version()) and self._is_podman

    def negotiate(self) -> dict[str, Any]:
        """What the engine says under /version now; what we agree on is used from here on.

        DockerConnectionError if we have no API version in common: the engine may be upgraded.
        """
        reply = self._request("GET", "/version")
        facts: dict[str, Any] = self.expect(reply)
        try:
            newest, oldest = str(facts["ApiVersion"]), str(facts.get("MinAPIVersion") or "")
        except (KeyError, TypeError, AttributeError) as exc:
            raise self.unexpected(reply) from exc
        self._is_podman = podman.is_podman(facts)
        self._version = versions.agreed(self._endpoint.name, newest, oldest)
        return facts

    def expect(self, reply: Reply) -> Any:
        """The JSON of a successful reply; DockerConnectionError with the engine's words for any other."""
        if reply.status >= HTTPStatus.BAD_REQUEST or reply.data is None:
            raise self.unexpected(reply)
        return reply.data

    def unexpected(self, reply: Reply) -> DockerConnectionError:
        """The error for an answer that proves nothing."""
        return unexpected(self._endpoint.name, reply.status, reply.message or reply.text)

    def close(self) -> None:
        """Drop the calling thread's connections."""
        session = self._local.__dict__.pop("session", None)
        if session is not None:
            session.close()

    def _call(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        reply = self._request(method, f"/v{self.version()}{path}", params, body, headers)
        if reply.status == HTTPStatus.BAD_REQUEST and _OTHER_VERSION in reply.message:
            # Another engine than the one we asked: nothing that it refuses so says anything about a job.
            self._version = ""
            raise self.unexpected(reply)
        return reply

    def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        data = None if body is None else json.dumps(body)
        with translated(self._endpoint.name):
            session = self._session()
            if isinstance(session, LocalSession):
                status, content = session.request(method, path, params, data, self._patience(), headers)
                return _reply(status, content.decode("utf-8", "replace"))
            response = session.request(
                method,
                session.base_url + path,
                params=params,
                data=data,
                headers={"Content-Type": "application/json", **(headers or {})},
                timeout=(min(CONNECT_SECONDS, self._patience()), self._patience()),
            )
        # Not response.text: it would guess at the encoding, at length.
        return _reply(response.status_code, response.content.decode("utf-8", "replace"))

    def _patience(self) -> float:
        seconds: float = getattr(self._local, "timeout", self._endpoint.timeout)
        return seconds

    def _session(self) -> LocalSession | docker.APIClient:
        session: LocalSession | docker.APIClient | None = getattr(self._local, "session", None)
        if session is None and self._endpoint.socket_path:
            session = self._local.session = LocalSession(
                partial(local.connect_to, self._endpoint.socket_path)
            )
        if session is None and self._endpoint.ssh:
            session = self._local.session = LocalSession(partial(ssh.connect, self._endpoint.ssh))
        if session is None:
            session = docker.APIClient(
                base_url=self._endpoint.url,
                version=_LIBRARY_VERSION,
                tls=_library_tls(self._endpoint.tls),
            )
            # Else HTTP_PROXY would get the calls to tcp hosts, and REQUESTS_CA_BUNDLE replace the authority.
            session.trust_env = False
            self._local.session = session
        return session


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn whatever a client library raises inside into one of our errors, with its cause in plain words."""
    try:
        yield
    except TLSParameterError as exc:
        raise ConfigurationError(f"{name}: {exc.msg}") from exc
    except (DockerException, RequestException, HTTPError, OSError) as exc:
        raise DockerConnectionError(f"{name}: the engine cannot be reached: {plain_cause(exc)}.") from exc


def plain_cause(exc: BaseException) -> str:
    """Why a call got no answer, in a few words."""
    chain = list(_chain(exc))
    if isinstance(chain[0], ssh.SshFailed):
        return one_line(str(chain[0]))
    for kind, words in _CAUSES:
        if any(isinstance(link, kind) for link in chain):
            return words
    return one_line(str(chain[-1]))


def one_line(text: str) -> str:
    """Someone else's words, on one line of bearable length."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_MESSAGE else line[: LONGEST_MESSAGE - 3] + "..."


def engine_words(text: str) -> str:
    """The message of an engine's error answer, on one line; empty if no engine wrote it."""
    data = _json(text)
    return one_line(str(data["message"])) if isinstance(data, dict) and "message" in data else ""


def unexpected(name: str, status: int, words: str) -> DockerConnectionError:
    """The error for an answer that proves nothing."""
    said = words or "nothing that an engine would say"
    return DockerConnectionError(f"{name}: the engine answered {status}: {said}")


def _reply(status: int, text: str) -> Reply:
    data = _json(text)
    if status < HTTPStatus.BAD_REQUEST and data is not None:
        return Reply(status, data)
    return Reply(status, data, engine_words(text), one_line(text[: 2 * LONGEST_MESSAGE]))


def _content(response: Any, seconds: float) -> bytes:
    """The body; what is longer or comes more slowly than an engine's is given up."""
    bound, parts = local.Bound(seconds), []
    try:
        for part in response.iter_content(64 * 1024):
            bound.take(len(part))
            parts.append(part)
    except BaseException:
        response.close()
        raise
    return b"".join(parts)


@contextmanager
def understood(name: str) -> Iterator[None]:
    """Turn what goes wrong inside, while an engine's JSON is read, into a DockerConnectionError."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as exc:
        logger.warning("engine not understood", host=name, exc_info=True)
        words = one_line(f"{type(exc).__name__}: {exc}")
        raise DockerConnectionError(
            f"{name}: the engine answers as no Docker engine does ({words})."
        ) from exc


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _chain(exc: BaseException) -> Iterator[BaseException]:
    """The exception and what it was made of; the libraries hide causes among their arguments too."""
    seen: list[BaseException] = []
    todo: list[BaseException] = [exc]
    while todo:
        link = todo.pop(0)
        if any(link is other for other in seen):
            continue
        seen.append(link)
        yield link
        inside = (*link.args, getattr(link, "reason", None), link.__cause__, link.__context__)
        todo.extend(part for part in inside if isinstance(part, BaseException))


def _library_tls(tls: Tls | None) -> TLSConfig | bool:
    if tls is None:
        return False
    pair = (tls.client_cert, tls.client_key_file) if tls.client_cert else None
    return TLSConfig(client_cert=pair, ca_cert=tls.ca_cert or None, verify=tls.verify)
