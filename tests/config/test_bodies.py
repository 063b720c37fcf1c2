"""How much a request may bring: counted before Django keeps any of it."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpRequest
from django.test import RequestFactory

from config.bodies import LimitBodies
from tests.support.loops import in_a_loop
from tests.support.web import running_web

LIMIT = 100


def statuses(pieces: Iterable[bytes], *, length: str = "") -> tuple[list[int], int]:
    """What a body in pieces is answered, and how many bytes of it the application behind was given."""
    taken = 0
    sent: list[int] = []
    left = list(pieces)

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        nonlocal taken
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            taken += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: Any) -> None:
        if "status" in message:
            sent.append(message["status"])

    headers = [(b"content-length", length.encode())] if length else []
    limited = LimitBodies(application, LIMIT)
    in_a_loop(lambda: limited({"type": "http", "headers": headers}, receive, send))
    return sent, taken


def test_what_is_small_enough_comes_through():
    assert statuses([b"x" * 50, b"x" * 50], length="100") == ([200], 100)


def test_what_is_announced_too_large_is_refused_unread():
    assert statuses([b"x"], length="101") == ([413], 0)


@pytest.mark.parametrize("length", ["", "5", "many", "-1"])
def test_what_turns_out_too_large_is_refused_whatever_was_announced(length):
    assert statuses([b"x" * 60, b"x" * 60, b"x" * 1000], length=length) == ([413], 60)


def test_no_form_takes_a_file():
    sent = {"first": "1", "file": SimpleUploadedFile("x.bin", b"y" * 10_000), "last": "2"}
    request: HttpRequest = RequestFactory().post("/", sent)

    assert request.POST["first"] == "1"
    assert not request.FILES


@pytest.mark.process
@pytest.mark.sqlite_only
@pytest.mark.django_db(transaction=True)
def test_the_web_process_refuses_a_large_body_and_answers_the_next_one(database_url):
    def chunks() -> Iterator[bytes]:
        for _ in range(50):
            yield b"x" * 100_000

    with running_web(database_url) as web:
        for body in (b"x" * 3_000_000, chunks()):
            connection = http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)
            with contextlib.suppress(ConnectionError):  # it need not take all of it
                connection.request("POST", "/admin/login/", body)
            assert connection.getresponse().status == 413
            connection.close()
        assert web.ask("/health/live") == 200
