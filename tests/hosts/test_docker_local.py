"""Short requests over a Unix socket: one connection, whole answers or an error."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from hosts.executors.docker.local import LocalSession, connect_to

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Server:
    """Answers each request with the next of `answers`, word for word; None closes the connection instead."""

    def __init__(self, path: Path) -> None:
        self.answers: list[bytes | None] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                self._answer(connection)

    def _answer(self, connection: socket.socket) -> None:
        while request := connection.recv(65536):
            self.requests.append(request)
            answer = self.answers.pop(0)
            if answer is None:
                return
            connection.sendall(answer)
            if b"close" in answer or not answer.startswith(b"HTTP/1.1"):
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path / "socket")
    yield server
    server.close()


@pytest.fixture
def ask(server: Server, tmp_path: Path) -> Iterator[Callable[..., tuple[int, bytes]]]:
    session = LocalSession(partial(connect_to, str(tmp_path / "socket")))
    yield lambda path="/x", params=None, body=None: session.request("POST", path, params, body, 5.0)
    session.close()


def test_a_connection_is_kept(server, ask):
    server.answers = [OK, OK]
    assert [ask(), ask()] == [(200, b"{}"), (200, b"{}")]
    assert server.connections == 1


def test_a_connection_that_the_engine_closed_meanwhile_is_made_anew(server, ask):
    server.answers = [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na", OK]
    assert [ask(), ask()] == [(200, b"a"), (200, b"{}")]
    assert server.connections == 2


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n",
            (200, b"abc"),
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", (304, b"")),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, (200, b"{}")),
        (b"HTTP/1.0 500 Oh\r\n\r\nall of it", (500, b"all of it")),
    ],
)
def test_every_form_of_an_answer_is_read(server, ask, answer, expected):
    server.answers = [answer]
    assert ask() == expected


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nclose",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nclose",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nclose\r\n",
        b"HTTP/1.1 200 close\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 close",
        b"SSH-2.0-OpenSSH\r\n",
    ],
)
def test_an_answer_that_is_not_whole_is_an_error_and_the_next_request_goes_well(server, ask, answer):
    server.answers = [answer, OK]
    with pytest.raises(OSError):  # noqa: PT011 (whichever it is, it means that nothing is known)
        ask()
    assert ask() == (200, b"{}")
    assert len(server.requests) == 2, "each was sent once"


def test_no_value_ends_the_line_of_a_request(server, ask):
    server.answers = [OK]
    ask("/a b\r\nX: y", {"name": "c d\r\n", "all": 1, "none": None}, "{}")
    head = server.requests[0].split(b"\r\n")
    assert head[0] == b"POST /a%20b%0D%0AX:%20y?name=c+d%0D%0A&all=1 HTTP/1.1"
    assert b"Content-Length: 2" in head
