"""How much a request may bring: counted before Django keeps any of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpRequest
from django.test import RequestFactory

from config.bodies import LimitBodies

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
    asyncio.run(LimitBodies(application, LIMIT)({"type": "http", "headers": headers}, receive, send))
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
