"""An image registry that holds one image, and the usual refusals, for pulls by real engines."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.support import busybox

MANIFEST_TYPE = "application/vnd.docker.distribution.manifest.v2+json"
_PATH = re.compile(r"/v2/(?P<name>.+)/(?P<what>manifests|blobs)/(?P<reference>[^/]+)")
_REFUSALS = {
    "denied": (403, "DENIED", "requested access to the resource is denied"),
    "busy": (429, "TOOMANYREQUESTS", "You have reached your pull rate limit"),
}


class Registry:
    """Serves `<address>/<any name>:v1`.

    Names that begin with `denied/` and `busy/` are refused; the layer of `stuck/` never comes.
    """

    def __init__(self) -> None:
        self.closing = threading.Event()
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
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    registry: Registry
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        asked = _PATH.fullmatch(self.path)
        if self.path == "/v2/":
            self._answer(200, b"{}", "application/json")
        elif asked is None:
            self._refuse(404, "UNSUPPORTED", "no such thing")
        elif refusal := _REFUSALS.get(asked["name"].split("/")[0]):
            self._refuse(*refusal)
        else:
            self._serve(asked["name"], asked["what"], asked["reference"])

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _serve(self, name: str, what: str, reference: str) -> None:
        manifest, blobs = _image()
        if what == "blobs":
            if name.startswith("stuck/"):
                self.registry.closing.wait()
            self._answer(200, blobs[reference], "application/octet-stream")
        elif reference in ("v1", _digest(manifest)):
            self._answer(200, manifest, MANIFEST_TYPE, _digest(manifest))
        else:
            self._refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")

    def _refuse(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": message}]})
        self._answer(status, body.encode(), "application/json")

    def _answer(self, status: int, body: bytes, content_type: str, digest: str = "") -> None:
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if digest:
            self.send_header("Docker-Content-Digest", digest)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


@cache
def _image() -> tuple[bytes, dict[str, bytes]]:
    """The manifest, and the blobs that it names."""
    archive = busybox.archive()
    layer = gzip.compress(archive, compresslevel=1, mtime=0)
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["sh"], "Env": ["FROM_IMAGE=yes"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(archive)]},
        }
    ).encode()
    kind = "application/vnd.docker"
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _described(config, f"{kind}.container.image.v1+json"),
        "layers": [_described(layer, f"{kind}.image.rootfs.diff.tar.gzip")],
    }
    return json.dumps(manifest).encode(), {_digest(config): config, _digest(layer): layer}


def _described(blob: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "size": len(blob), "digest": _digest(blob)}


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"
