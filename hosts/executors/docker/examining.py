"""The steps of a connection test of a Docker engine."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from hosts.errors import DockerConnectionError
from hosts.executors.contract import LABEL_PREFIX, HostView
from hosts.executors.docker import client, local
from hosts.executors.docker.client import CONNECT_SECONDS, Client
from hosts.executors.docker.endpoint import Endpoint, Tls
from hosts.executors.examining import Step, StepWarning

_EXPIRES_SOON = timedelta(days=30)
# No registry has this name (RFC 2606), so no engine has such an image: nothing comes of its creation.
_NO_IMAGE = "nothing.invalid/tallyman-connection-test:none"


def way_to(endpoint: Endpoint) -> list[Step]:
    """What must work before the engine itself can answer. Of ssh its own words tell, in the engine's step."""
    if endpoint.ssh:
        return []
    if endpoint.socket_path:
        hint = (
            "Does the engine run, and is its socket there? The supervisor's user must be allowed to use it: "
            "usually by being in the group docker."
        )
        return [Step(name="Socket", run=lambda: _socket(endpoint), hint=hint)]
    return [
        Step(
            name="Address resolves",
            run=lambda: _resolve(endpoint),
            hint="Check the name, and the name servers of the supervisor's machine.",
        ),
        Step(
            name="TCP connection",
            run=lambda: _connect(endpoint),
            hint="Does the engine listen on this port, and does a firewall let us through?",
        ),
        Step(
            name="TLS certificate",
            run=lambda: _certificate(endpoint),
            hint="Give the certificate authority that signed the engine's certificate, and an address that "
            "is in the certificate.",
        ),
    ]


def of_engine(host: HostView, engine: Client) -> list[Step]:
    """What can be said once it answers."""
    return [
        system(engine),
        Step(name="Other installations", run=lambda: _neighbours(host, engine)),
        Step(
            name="May create containers",
            run=lambda: _may_create(engine),
            hint="Something between us and the engine (an authorization plugin, a proxy for reading only) "
            "refuses. Let it allow /containers, /images and /events.",
        ),
    ]


def system(engine: Client) -> Step:
    """Its operating system, architecture and control groups."""
    return Step(name="System", run=lambda: _system(engine))


def nodes(able_nodes: Callable[[], Sequence[Any]]) -> Step:
    """Whether a swarm has a node that takes tasks."""

    def run() -> str:
        count = len(able_nodes())
        if not count:
            raise StepWarning("no node takes tasks now", "See docker node ls on a manager.")
        return f"{count} take tasks"

    return Step(name="Nodes", run=run)


def _socket(endpoint: Endpoint) -> str:
    with client.translated(endpoint.name):
        local.connect_to(endpoint.socket_path, CONNECT_SECONDS).close()
    return endpoint.socket_path


def _resolve(endpoint: Endpoint) -> str:
    with client.translated(endpoint.name):
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    return ", ".join(dict.fromkeys(str(address[0]) for *_, address in found))


def _connect(endpoint: Endpoint) -> str:
    with client.translated(endpoint.name), _connection(endpoint) as connection:
        return f"to {connection.getpeername()[0]} port {endpoint.port}"


def _connection(endpoint: Endpoint) -> socket.socket:
    return socket.create_connection((endpoint.host, endpoint.port), CONNECT_SECONDS)


def _certificate(endpoint: Endpoint) -> str:
    if endpoint.tls is None:
        raise StepWarning(
            "not encrypted",
            "Whoever reaches this port rules the engine's machine. Use TLS, ssh, or a network of its own.",
        )
    try:
        with (
            client.translated(endpoint.name),
            _connection(endpoint) as raw,
            _context(endpoint.tls).wrap_socket(raw, server_hostname=endpoint.host) as connection,
        ):
            der, version = connection.getpeercert(binary_form=True), connection.version()
    except DockerConnectionError as exc:
        raise DockerConnectionError(_tls_trouble(exc)) from exc
    text = _expiry(der or b"")
    if not endpoint.tls.verify:
        raise StepWarning(
            f"{version}, {text}; not verified", "Turn tls_verify on: else anybody may pose as it."
        )
    return f"{version}, {text}"


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca_cert or None)
    if not tls.verify:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if tls.client_cert:
        context.load_cert_chain(tls.client_cert, tls.client_key_file or None)
    return context


def _tls_trouble(error: DockerConnectionError) -> str:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"The engine's certificate was not accepted: {cause.verify_message}."
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, TimeoutError):
        return f"What answers there speaks no TLS that we understand ({cause.reason or cause})."
    return str(error)


def _expiry(certificate: bytes) -> str:
    from cryptography import x509  # of no use to workers, and large

    until = x509.load_der_x509_certificate(certificate).not_valid_after_utc
    text = f"valid until {until:%Y-%m-%d}"
    if until - datetime.now(UTC) < _EXPIRES_SOON:
        raise StepWarning(f"{text}, which is soon", "Renew the engine's certificate.")
    return text


def _system(engine: Client) -> str:
    info: Mapping[str, Any] = engine.expect(engine.get("/info"))
    parts = [
        info.get("OperatingSystem"),
        info.get("Architecture"),
        f"kernel {info['KernelVersion']}" if info.get("KernelVersion") else "",
        f"cgroup v{info['CgroupVersion']}" if info.get("CgroupVersion") else "",
        f"storage {info['Driver']}" if info.get("Driver") else "",
    ]
    text = ", ".join(str(part) for part in parts if part)
    lacking = [
        name for key, name in (("MemoryLimit", "memory"), ("CPUCfsQuota", "CPU")) if info.get(key) is False
    ]
    if lacking:
        hint = "Its control groups lack the controllers; limits of jobs are not applied there."
        raise StepWarning(f"{text}; cannot limit {' and '.join(lacking)}", hint)
    return text


def _neighbours(host: HostView, engine: Client) -> str:
    label = f"{LABEL_PREFIX}installation"
    params = {"all": 1, "filters": json.dumps({"label": [label]})}
    found = engine.expect(engine.get("/containers/json", params=params))
    owners = {(entry.get("Labels") or {}).get(label) for entry in found} - {str(host.installation)}
    if owners:
        raise StepWarning(
            f"containers of {len(owners)} other installation(s) of this program are there",
            "Both would think that the whole engine is theirs: give each installation engines of its own, or "
            "fewer slots.",
        )
    return "none"


def _may_create(engine: Client) -> str:
    reply = engine.post("/containers/create", body={"Image": _NO_IMAGE})
    if reply.status == HTTPStatus.NOT_FOUND and reply.message:
        return "yes"
    if reply.status == HTTPStatus.CREATED:  # nobody may have such an image, but somebody did
        with suppress(TypeError, KeyError):
            engine.delete(f"/containers/{reply.data['Id']}")
        return "yes"
    words = reply.message or reply.text or "nothing that an engine would say"
    raise DockerConnectionError(f"The engine answered {reply.status} to a creation: {words}")
