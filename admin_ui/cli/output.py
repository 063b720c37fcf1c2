"""Where a command's results and remarks go."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from django.core.management.base import OutputWrapper
from django.core.serializers.json import DjangoJSONEncoder

from admin_ui import presenters
from hosts.executors import frames


class Output:
    """Results on stdout, remarks on stderr, a container's bytes on the one they were written to."""

    def __init__(self, stdout: OutputWrapper, stderr: OutputWrapper) -> None:
        self._by_stream = {frames.STDOUT: stdout, frames.STDERR: stderr}

    def line(self, text: str = "") -> None:
        """One line of the result."""
        self._by_stream[frames.STDOUT].write(text)

    def remark(self, text: str) -> None:
        """One line that is no part of the result."""
        stderr = self._by_stream[frames.STDERR]
        stderr.write(text, lambda plain: plain)
        stderr.flush()

    def json(self, value: Any) -> None:
        """The result as JSON."""
        self.line(json.dumps(value, cls=DjangoJSONEncoder, indent=2))

    def fields(self, pairs: Iterable[tuple[str, str]]) -> None:
        """One line for each pair that has a value."""
        kept = [(name, presenters.printable(value)) for name, value in pairs if value]
        width = max((len(name) for name, _ in kept), default=0)
        for name, value in kept:
            self.line(f"{name:{width}}  {value}")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns under their names."""
        clean = [list(header), *([presenters.printable(cell) for cell in row] for row in rows)]
        widths = [max(len(row[column]) for row in clean) for column in range(len(header))]
        for row in clean:
            self.line("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())

    def bytes(self, data: bytes, stream: int = frames.STDOUT) -> None:
        """A container's bytes, as they are, seen at once."""
        wrapper = self._by_stream.get(stream, self._by_stream[frames.STDOUT])
        wrapper.flush()
        buffer = getattr(wrapper, "buffer", None)
        if buffer is not None:
            buffer.write(data)
            buffer.flush()
        else:
            wrapper.write(data.decode("utf-8", errors="replace"), lambda text: text, ending="")
