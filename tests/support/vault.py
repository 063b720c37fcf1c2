"""A server that speaks what HashiCorp documents of Vault's API: KV v1 and v2, tokens, AppRole, namespaces."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass
class Vault:
    """What it holds, what it was asked, how it misbehaves. `v2`: path to its versions, None for deleted."""

    url: str = ""
    namespace: str = ""
    v1: dict[str, dict[str, Any]] = field(default_factory=dict)
    v2: dict[str, list[dict[str, Any] | None]] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=lambda: {"hvs.root"})
    roles: dict[str, str] = field(default_factory=dict)
    lease_seconds: int = 1200
    sealed: bool = False
    answer: tuple[int, bytes, dict[str, str]] | None = None  # instead of all others
    hangs: threading.Event | None = None
    asked: list[str] = field(default_factory=list)
    logins: int = 0


def _response(data: Any = None, auth: Any = None) -> dict[str, Any]:
    return {
        "request_id": "9a2b1c3d-0000-0000-0000-000000000000",
        "lease_id": "",
        "renewable": False,
        "lease_duration": 2764800 if auth is None else 0,
        "data": data,
        "wrap_info": None,
        "warnings": None,
        "auth": auth,
    }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    vault: Vault

    def do_GET(self) -> None:
        self._handle(None)

    def do_POST(self) -> None:
        self._handle(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _handle(self, body: Any) -> None:
        self.vault.asked.append(f"{self.command} {self.path}")
        if self.vault.hangs is not None:
            self.vault.hangs.wait(30)
        if self.vault.answer is not None:
            self._send(*self.vault.answer)
            return
        status, answer = self._answer(body)
        self._send(status, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _answer(self, body: Any) -> tuple[int, dict[str, Any]]:
        if self.vault.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if (self.headers.get("X-Vault-Namespace") or "").strip("/") != self.vault.namespace:
            return 403, {"errors": ["permission denied"]}
        url = urlsplit(self.path)
        parts = url.path.removeprefix("/v1/")
        if parts == "auth/approle/login" and body is not None:
            return self._log_in(body)
        if self.headers.get("X-Vault-Token") not in self.vault.tokens:
            return 403, {"errors": ["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"]}
        return self._read(parts, parse_qs(url.query))

    def _log_in(self, body: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if self.vault.roles.get(body.get("role_id", "")) != body.get("secret_id"):
            return 400, {"errors": ["invalid role or secret ID"]}
        self.vault.logins += 1
        token = f"hvs.login{self.vault.logins}"
        self.vault.tokens.add(token)
        lasts = {"lease_duration": self.vault.lease_seconds, "renewable": True}
        return 200, _response(auth={"client_token": token, "accessor": "a", "policies": ["default"], **lasts})

    def _read(self, path: str, query: dict[str, list[str]]) -> tuple[int, dict[str, Any]]:
        mount, _, rest = path.partition("/data/")
        if rest and f"{mount}/{rest}" in self.vault.v2:
            versions = self.vault.v2[f"{mount}/{rest}"]
            number = int(query.get("version", ["0"])[0]) or len(versions)
            if number > len(versions):
                return 404, {"errors": []}
            data = versions[number - 1]
            metadata = {
                "created_time": "2026-05-01T12:00:00.000000000Z",
                "custom_metadata": None,
                "deletion_time": "" if data is not None else "2026-05-02T12:00:00.000000000Z",
                "destroyed": False,
                "version": number,
            }
            return 200 if data is not None else 404, _response({"data": data, "metadata": metadata})
        if path in self.vault.v1:
            return 200, _response(self.vault.v1[path])
        return 404, {"errors": []}

    def _send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(content)

    def log_message(self, *_args: object) -> None:
        pass


@contextlib.contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[Vault]:
    """A Vault at an address of this machine; with `tls`, by https."""
    vault = Vault()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"vault": vault}))
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    vault.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield vault
    finally:
        if vault.hangs is not None:
            vault.hangs.set()
        server.shutdown()
        server.server_close()
