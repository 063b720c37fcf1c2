"""A small HTTP port for probes where no web process runs: `/health/live` and `/health/ready`, no more.

It belongs to the clerk, in a thread of its own: it answers while the clerk waits for a database that hangs.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

import structlog

from hosts.identity import boot_clock

logger = structlog.get_logger(__name__)

_READ_WITHIN_SECONDS = 5.0
# Longer than a call to a hanging database holds the clerk up, and the master speaks every five seconds.
_SILENT_AFTER_SECONDS = 30.0

# Why it is not well, as a sentence; empty when it is.
Judge = Callable[[], str]


class Signs:
    """What the clerk sees of the supervisor's health; the port's threads read it."""

    def __init__(self) -> None:
        self._heard_clock = boot_clock()
        self.trouble = "it is starting"

    def hear(self) -> None:
        """The master has spoken."""
        self._heard_clock = boot_clock()

    def live(self) -> str:
        """Why the supervisor does not live."""
        silent = boot_clock() - self._heard_clock
        return f"the master has been silent for {silent:.0f} s" if silent > _SILENT_AFTER_SECONDS else ""

    def ready(self) -> str:
        """Why it cannot work now."""
        return self.live() or self.trouble


def open_port(port: int, signs: Signs) -> ProbePort | None:
    """Serve on all addresses; None without a port, or where it is taken: that ends no supervisor."""
    if not port:
        return None
    everywhere = "::" if socket.has_dualstack_ipv6() else ""
    try:
        return ProbePort((everywhere, port), {"/health/live": signs.live, "/health/ready": signs.ready})
    except OSError as exc:
        logger.error("no probe port", port=port, reason=str(exc))
        return None


class ProbePort:
    """Serves until `close`. `judges` are by path."""

    def __init__(self, address: tuple[str, int], judges: dict[str, Judge]) -> None:
        handler = type("Handler", (_Handler,), {"judges": judges})
        self._server = _Server(address, handler)
        thread = threading.Thread(target=self._server.serve_forever, name="probe-port", daemon=True)
        thread.start()
        logger.info("probe port open", host=self.address[0], port=self.address[1])

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens."""
        host, port = self._server.server_address[:2]
        return str(host), int(port)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingMixIn, TCPServer):
    """Not `http.server`'s own, which asks the name servers who we are before it begins."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """By IPv6, for callers by IPv4 too."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Who asks and goes away, or sends rubbish, is no trouble of ours."""


class _Handler(BaseHTTPRequestHandler):
    judges: dict[str, Judge] = {}
    timeout = _READ_WITHIN_SECONDS
    server_version = "tallyman"
    sys_version = ""

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        judge = self.judges.get(self.path.partition("?")[0])
        if judge is None:
            status, said = (
                HTTPStatus.NOT_FOUND,
                {"status": "unknown", "message": "/health/live, /health/ready"},
            )
        else:
            trouble = judge()
            status = HTTPStatus.SERVICE_UNAVAILABLE if trouble else HTTPStatus.OK
            said = {"status": "fail" if trouble else "ok", "message": trouble}
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Probes come every few seconds; they are not worth a line."""
