"""A browser's side of a WebSocket of the application, without a server.

Channels has one too; importing it takes daphne, which nothing else here needs.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from asgiref.testing import ApplicationCommunicator


class Socket(ApplicationCommunicator):
    """One connection; `connect` first."""

    def __init__(self, application: Any, address: str, headers: Sequence[tuple[bytes, bytes]]) -> None:
        parts = urlsplit(address)
        scope = {
            "type": "websocket",
            "path": unquote(parts.path),
            "query_string": parts.query.encode(),
            "headers": list(headers),
            "subprotocols": [],
        }
        super().__init__(application, scope)

    async def connect(self, seconds: float = 5) -> bool:
        """Whether it was let in."""
        await self.send_input({"type": "websocket.connect"})
        return (await self.receive_output(seconds))["type"] == "websocket.accept"

    async def say(self, text: str) -> None:
        """Send a message."""
        await self.send_input({"type": "websocket.receive", "text": text})

    async def say_bytes(self, data: bytes) -> None:
        """Send one that is no text."""
        await self.send_input({"type": "websocket.receive", "bytes": data})

    async def hear(self, seconds: float = 5) -> Any:
        """The next message."""
        message = await self.receive_output(seconds)
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def closed(self, seconds: float = 5) -> int:
        """The code that it is closed with; AssertionError if something else comes first."""
        message = await self.receive_output(seconds)
        assert message["type"] == "websocket.close", message
        return int(message["code"])

    async def leave(self, seconds: float = 5) -> None:
        """Go away, and wait until that is noticed."""
        await self.send_input({"type": "websocket.disconnect", "code": 1000})
        await self.wait(seconds)
