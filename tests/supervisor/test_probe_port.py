from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from supervisor.probe_port import ProbePort


@pytest.fixture
def port() -> Iterator[ProbePort]:
    judges = {"/health/live": lambda: "", "/health/ready": lambda: "the database does not answer"}
    opened = ProbePort(("127.0.0.1", 0), judges)
    yield opened
    opened.close()


def ask(port: ProbePort, path: str, method: str = "GET") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(*port.address, timeout=5)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_what_is_well_is_200_and_what_is_not_503_with_the_reason(port: ProbePort) -> None:
    assert ask(port, "/health/live?x=1") == (200, b'{"status": "ok", "message": ""}')
    status, body = ask(port, "/health/ready")
    assert (status, json.loads(body)["message"]) == (503, "the database does not answer")


def test_head_has_no_body_and_other_paths_do_not_exist(port: ProbePort) -> None:
    assert ask(port, "/health/ready", "HEAD") == (503, b"")
    assert ask(port, "/")[0] == 404
    assert ask(port, "/health/live", "POST")[0] == 501


def test_who_sends_rubbish_or_nothing_keeps_no_one_else_waiting(port: ProbePort) -> None:
    with socket.create_connection(port.address), socket.create_connection(port.address) as rubbish:
        rubbish.sendall(b"\0" * 100_000)
        assert ask(port, "/health/live")[0] == 200
