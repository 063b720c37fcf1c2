"""The HTTP server of the fake of Cloud Run: it answers in JSON, refuses as Google does, or hangs up."""

from __future__ import annotations

import contextlib
import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.fake_cloudrun_errors import Refusal

Answers = Callable[[str, str, Any, bytes], dict[str, Any]]


class AnsweringServer(ThreadingHTTPServer):
    """On a free port of 127.0.0.1, from now on, until `end`.

    `answer` gets method, target, headers and body; it raises Refusal, or ConnectionAbortedError to hang up.
    """

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, answer: Answers) -> None:
        super().__init__(("127.0.0.1", 0), type("Handler", (_Handler,), {"given": staticmethod(answer)}))
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def end(self) -> None:
        """Answer nobody any more."""
        self.shutdown()
        self.server_close()
        self._thread.join()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever is killed hangs up: that is no news. Anything else is."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    given: Answers
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            status, answer = 200, type(self).given(self.command, self.path, self.headers, body)
        except Refusal as refusal:
            status, answer = refusal.status, refusal.body
        except ConnectionAbortedError:
            self.close_connection = True
            return
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve

    def log_message(self, format: str, *args: Any) -> None:
        return
