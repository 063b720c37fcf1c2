"""A connection of our own to an engine, for answers that never end (logs, events, pulls).

The client library reads such answers in a way that cannot be waited for together with others, costs six
times the CPU, and hides where an answer was cut off. Here, the socket stays in the caller's hands.
"""

from __future__ import annotations

import json
import mmap
import socket
import ssl
import threading
from collections.abc import Mapping
from urllib.parse import quote, urlencode

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from hosts.executors.docker import local, ssh
from hosts.executors.docker.client import translated
from hosts.executors.docker.endpoint import Endpoint, Tls

READ_BYTES = 256 * 1024
# A peer that is gone without a word (power cut, pulled cable) is found out within 25 s.
_KEEPALIVE = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 25_000}


def open_request(
    endpoint: Endpoint,
    target: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    http: str = "1.0",
    connect_seconds: float,
) -> socket.socket:
    """A non-blocking socket on which the request was sent; waits for the connection up to `connect_seconds`.

    With HTTP/1.0 the engine sends the body as it is and ends it by closing, so its end proves nothing; with
    1.1 it sends chunks, and the last one proves that nothing is missing.
    """
    lines = [f"{method} {endpoint.prefix}{target} HTTP/{http}", f"Host: {endpoint.authority}"]
    lines += [f"{key}: {value}" for key, value in (headers or {}).items()]
    lines += ["Connection: close", "Content-Length: 0"] if method == "POST" else ["Connection: close"]
    with translated(endpoint.name):
        connection = _connect(endpoint, connect_seconds)
        try:
            connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
            connection.setblocking(False)
        except BaseException:
            connection.close()
            raise
    return connection


def target(path: str, params: Mapping[str, object]) -> str:
    """A request target with its parameters; structured ones as JSON, which is how engines take filters."""
    flat = {key: json.dumps(value) if isinstance(value, dict) else value for key, value in params.items()}
    return f"{quote(path, safe='/:')}?{urlencode(flat)}"


class _Buffers(threading.local):
    """One for each thread that reads: `recv` would get, touch and give back as much memory for each read."""

    def __init__(self) -> None:
        # Pages of it are taken from the system when a read first reaches them.
        self.view = memoryview(mmap.mmap(-1, READ_BYTES, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


_buffers = _Buffers()


def receive(connection: socket.socket, name: str) -> bytes | None:
    """What has come, up to 256 KiB: b"" at the end, None if nothing has come yet."""
    view = _buffers.view
    try:
        return bytes(view[: connection.recv_into(view)])
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return None
    except ssl.SSLEOFError:
        return b""
    except Exception:
        with translated(name):
            raise


def holds_back(connection: socket.socket) -> bool:
    """Whether bytes wait that no selector sees, because TLS has taken them off the socket already."""
    return isinstance(connection, ssl.SSLSocket) and connection.pending() > 0


def _connect(endpoint: Endpoint, seconds: float) -> socket.socket:
    if endpoint.socket_path:
        return local.connect_to(endpoint.socket_path, seconds)
    if endpoint.ssh:
        return ssh.connect(endpoint.ssh, seconds)
    plain = socket.create_connection((endpoint.host, endpoint.port), seconds)
    try:
        _keep_alive(plain)
        return _encrypted(plain, endpoint.host, endpoint.tls) if endpoint.tls else plain
    except BaseException:
        plain.close()
        raise


def _keep_alive(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        if hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


def _encrypted(plain: socket.socket, host: str, tls: Tls) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=tls.ca_cert or DEFAULT_CA_BUNDLE_PATH)
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.client_cert:
        context.load_cert_chain(tls.client_cert, tls.client_key_file)
    return context.wrap_socket(plain, server_hostname=host)
