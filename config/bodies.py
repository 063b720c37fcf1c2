"""How much a request may bring with it. Nothing here takes files.

Django's ASGI handler stores a whole body before any view is asked, on disk once it is large: whoever reaches
the port could fill that. So the bytes are counted before they come to Django.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NoReturn

from django.core.files.uploadhandler import FileUploadHandler, StopUpload

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Any, Any, Any], Awaitable[None]]

_REFUSAL = b"This request has too large a body.\n"


class LimitBodies:
    """Answers 413 in place of another ASGI application, if a body is larger than `limit` bytes."""

    def __init__(self, application: Application, limit: int) -> None:
        self._application, self._limit = application, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand it on as it is, but count what comes."""
        if _announced(scope) > self._limit:
            await _refuse(send)
            return
        came = 0

        async def count() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            # As if the client had gone: nothing is kept, and no view is asked.
            return message if came <= self._limit else {"type": "http.disconnect"}

        await self._application(scope, count, send)
        if came > self._limit:
            await _refuse(send)


def _announced(scope: Scope) -> int:
    """What Content-Length says; nothing, if it is no number, which the server looks after."""
    for name, value in scope["headers"]:
        if name.lower() == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain"), (b"connection", b"close"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": _REFUSAL})


class NoFiles(FileUploadHandler):
    """Takes no file: a form with one in it is read no further."""

    def new_file(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Stop at the beginning of the first one."""
        raise StopUpload(connection_reset=True)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes | None:
        """Never asked."""
        return None

    def file_complete(self, file_size: int) -> None:
        """Never asked."""
