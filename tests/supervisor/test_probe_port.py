from __future__ import annotations

import argparse
import http.client
import json
import socket
from collections.abc import Iterator

import pytest

from supervisor import arguments
from supervisor.probe_port import ProbePort, Signs, open_port
from tests.support.engines import free_port
from tests.support.requirements import missing


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


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_on_all_addresses_it_answers_by_either_protocol(address: str) -> None:
    if address == "::1" and not socket.has_dualstack_ipv6():
        missing("ipv6", "this machine has no IPv6")
    signs = Signs()
    opened = open_port(free_port(), signs)
    assert opened is not None
    try:
        connection = http.client.HTTPConnection(address, opened.address[1], timeout=5)
        connection.request("GET", "/health/live")
        assert connection.getresponse().status == 200
    finally:
        opened.close()


def test_a_port_that_is_taken_ends_nobody(port: ProbePort) -> None:
    assert open_port(port.address[1], Signs()) is None


@pytest.mark.parametrize("text", ["0", "65536", "-1", "http", "1e3"])
def test_what_is_no_port_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no port"):
        arguments.port(text)


def test_who_sends_rubbish_or_nothing_keeps_no_one_else_waiting(port: ProbePort) -> None:
    with socket.create_connection(port.address), socket.create_connection(port.address) as rubbish:
        rubbish.sendall(b"\0" * 100_000)
        assert ask(port, "/health/live")[0] == 200
