"""An image registry with an image of every name, and the usual refusals, for pulls by real engines."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import random
import re
import tarfile
import threading
from collections import Counter
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.support import busybox

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<what>manifests|blobs)/(?P<reference>[^/]+)")
_TOKEN = "a-token"
_DRIP_BYTES = 1000  # an engine tells of each hundredth of a layer: of 2,000 bytes
_REFUSALS = {
    "denied": (403, "DENIED", "requested access to the resource is denied"),
    "busy": (429, "TOOMANYREQUESTS", "You have reached your pull rate limit"),
    "broken": (503, "UNAVAILABLE", "come back later"),
}


class Registry:
    """Serves `<address>/<any name>:v1`, of two layers; the second one is of this image only.

    Names that begin with `denied/`, `busy/` and `broken/` are refused. Of `mute/` not even the manifest
    comes, of `stuck/` no layer; the second layer of `held/` stops halfway until `let_go` is set, and that of
    `slow/` comes a few bytes at a time, ten seconds long.
    """

    def __init__(self, *, login: tuple[str, str] | None = None, bearer: bool = False) -> None:
        """`login` is the user and password without which nothing is served; `bearer`: by way of a token."""
        self.closing = threading.Event()
        self.let_go = threading.Event()
        self.login, self.bearer = login, bearer
        self.version = 1  # of every image: another one is another image under the same tag
        self.asked: Counter[str] = Counter()  # how often an engine asked what v1 is; once for each pull
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"registry": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        # Engines talk to registries at 127.0.0.1 without TLS.
        self.address = f"127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.closing.set()
        self.let_go.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    registry: Registry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = _PATH.fullmatch(self.path)
        if urlsplit(self.path).path == "/token":
            self._token()
        elif not self._is_let_in():
            self._challenge()
        elif self.path == "/v2/":
            self._answer(200, b"{}", "application/json")
        elif asked is None:
            self._refuse(404, "UNSUPPORTED", "no such thing")
        elif refusal := _REFUSALS.get(asked["name"].split("/")[0]):
            self._refuse(*refusal)
        else:
            self.registry.asked[asked["name"]] += asked["reference"] == "v1"
            self._serve(asked["name"], asked["what"], asked["reference"])

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _has_login(self) -> bool:
        expected = base64.b64encode(":".join(self.registry.login or ()).encode()).decode()
        return self.headers.get("Authorization") == f"Basic {expected}"

    def _is_let_in(self) -> bool:
        if self.registry.login is None:
            return True
        if self.registry.bearer:
            return self.headers.get("Authorization") == f"Bearer {_TOKEN}"
        return self._has_login()

    def _token(self) -> None:
        if self._has_login():
            self._answer(200, json.dumps({"token": _TOKEN}).encode(), "application/json")
        else:
            self._refuse(401, "UNAUTHORIZED", "authentication required")

    def _challenge(self) -> None:
        address = self.registry.address
        realm = f'Bearer realm="http://{address}/token",service="{address}"'
        self._refuse(
            401,
            "UNAUTHORIZED",
            "authentication required",
            realm if self.registry.bearer else 'Basic realm="r"',
        )

    def _serve(self, name: str, what: str, reference: str) -> None:
        kind = name.split("/")[0]
        manifest, blobs = _image(name, self.registry.version)
        if what == "blobs":
            if kind == "stuck":
                self.registry.closing.wait()
            is_own = reference == list(blobs)[-1]
            self._send_blob(blobs[reference], kind if is_own else "")
            return
        if kind == "mute":
            self.registry.closing.wait()
        if reference in ("v1", _digest(manifest)):
            self._answer(200, manifest, MANIFEST_TYPE, _digest(manifest))
        else:
            self._refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")

    def _send_blob(self, blob: bytes, kind: str) -> None:
        half = len(blob) // 2 if kind in {"held", "slow"} else len(blob)
        self._answer(200, blob[:half], "application/octet-stream", length=len(blob))
        if kind == "held":
            self.registry.let_go.wait()
        place = half
        while kind == "slow" and place < len(blob) and not self.registry.closing.wait(0.1):
            self.wfile.write(blob[place : place + _DRIP_BYTES])
            place += _DRIP_BYTES
        self.wfile.write(blob[place:])

    def _refuse(self, status: int, code: str, message: str, challenge: str = "") -> None:
        body = json.dumps({"errors": [{"code": code, "message": message}]})
        self._answer(status, body.encode(), "application/json", challenge=challenge)

    def _answer(
        self,
        status: int,
        body: bytes,
        content_type: str,
        digest: str = "",
        *,
        length: int | None = None,
        challenge: str = "",
    ) -> None:
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        if challenge:
            self.send_header("WWW-Authenticate", challenge)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True  # an engine that gave up a pull


@cache
def _image(name: str, version: int) -> tuple[bytes, dict[str, bytes]]:
    """The manifest, and the blobs that it names; the last one is the layer of this image only."""
    layers = [busybox.archive(), _own_layer(name, version)]
    packed = [_packed_busybox(), gzip.compress(layers[1], compresslevel=1, mtime=0)]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["sh"], "Env": ["FROM_IMAGE=yes", f"VERSION={version}"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer) for layer in layers]},
        }
    ).encode()
    kind = "application/vnd.docker"
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _described(config, f"{kind}.container.image.v1+json"),
        "layers": [_described(layer, f"{kind}.image.rootfs.diff.tar.gzip") for layer in packed],
    }
    return json.dumps(manifest).encode(), {_digest(blob): blob for blob in (config, *packed)}


@cache
def _packed_busybox() -> bytes:
    return gzip.compress(busybox.archive(), compresslevel=1, mtime=0)


def _own_layer(name: str, version: int) -> bytes:
    content = random.Random(f"{name} {version}").randbytes(200_000)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        about = tarfile.TarInfo("about")
        about.size = len(content)
        tar.addfile(about, io.BytesIO(content))
    return buffer.getvalue()


def _described(blob: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "size": len(blob), "digest": _digest(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"
