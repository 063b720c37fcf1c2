"""Entries of Cloud Logging as frames. Pure.

Cloud Run makes an entry of every line, without its end: it is given back. A line that is a JSON object is
taken apart there, so its bytes are written anew here; a line of more than 256 KB comes as several entries.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hosts.executors.frames import PIECE_BYTES, STDERR, STDOUT, pack

_STREAMS = {"stdout": STDOUT, "stderr": STDERR}
_LOG = "run.googleapis.com%2F"
_FRACTION_DIGITS = 9


def log_names(project: str) -> list[str]:
    """The logs that hold what containers write; Cloud Run's own messages stand in others."""
    return [f"projects/{project}/logs/{_LOG}{name}" for name in _STREAMS]


def stamp(time: str) -> str:
    """A time as Google writes it, 0 to 9 digits after the second, in the 30 characters of a frame."""
    whole, _, fraction = time.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<{_FRACTION_DIGITS}}Z"


def key(entry: Mapping[str, Any]) -> tuple[str, str]:
    """What makes it the same entry: Cloud Logging takes two with the same time and insertId for one."""
    return stamp(entry["timestamp"]), str(entry.get("insertId", ""))


class Assembler:
    """Makes frames of entries, taken in order; a line in several entries is given out once it is whole."""

    def __init__(self) -> None:
        self._parts: dict[str, dict[int, Mapping[str, Any]]] = {}

    def frames(self, entry: Mapping[str, Any]) -> list[bytes]:
        """The frames that are whole with this entry; none for an entry that is no line of a container."""
        split = entry.get("split")
        if not split:
            return list(_frames([entry]))
        parts = self._parts.setdefault(str(split.get("uid")), {})
        parts[int(split.get("index", 0))] = entry
        if len(parts) < int(split.get("totalSplits", 1)):
            return []
        del self._parts[str(split.get("uid"))]
        return list(_frames([parts[index] for index in sorted(parts)]))

    def rest(self) -> list[bytes]:
        """Frames of the lines of which no more parts will come."""
        parts, self._parts = self._parts, {}
        return [one for each in parts.values() for one in _frames([each[index] for index in sorted(each)])]


def _frames(parts: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    parts = list(parts)
    stream = _STREAMS.get(str(parts[0].get("logName", "")).rpartition(_LOG)[2])
    if stream is None:
        return
    time = stamp(parts[0]["timestamp"]).encode()
    line = "".join(map(_text, parts)).encode("utf-8", "surrogatepass") + b"\n"
    for start in range(0, len(line), PIECE_BYTES):
        yield pack(stream, time, line[start : start + PIECE_BYTES])


def _text(entry: Mapping[str, Any]) -> str:
    if "textPayload" in entry:
        return str(entry["textPayload"])
    payload = entry.get("jsonPayload")
    if payload is None:
        return ""
    # What it takes out of the object to make it its own.
    severity = entry.get("severity", "DEFAULT")
    said = {} if severity == "DEFAULT" or "severity" in payload else {"severity": severity}
    return json.dumps({**said, **payload}, ensure_ascii=False, separators=(",", ":"))
