"""Cloud Logging's store as far as `entries:list` shows it: late, in order of time, 1000 entries a page."""

from __future__ import annotations

import re
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tests.support import fake_cloudrun_errors as errors

_TERM = re.compile(r'(?P<name>[\w.]+|labels\."[^"]+")(?P<op>=|>=|<=)(?P<value>"[^"]*"|\([^)]*\))')


class LogStore:
    """Entries may be written with any time; `lag(entry)` says how many seconds later each shows up."""

    def __init__(self, project: str, region: str) -> None:
        self._project, self._region = project, region
        self._lock = threading.Lock()
        self._entries: list[tuple[float, dict[str, Any]]] = []
        self.lag: Callable[[dict[str, Any]], float] = lambda entry: 0.0
        self.reads = 0
        self.reads_before_quota: int | None = None

    def write(
        self, execution: str, log: str, *, at_ns: int | None = None, insert_id: str = "", **payload: Any
    ) -> dict[str, Any]:
        """Store an entry as Cloud Run makes it of a line."""
        at_ns = time.time_ns() if at_ns is None else at_ns
        entry = {
            "insertId": insert_id or uuid.uuid4().hex[:20],
            "resource": {
                "type": "cloud_run_job",
                "labels": {
                    "job_name": execution.rpartition("-")[0],
                    "location": self._region,
                    "project_id": self._project,
                },
            },
            "timestamp": _stamp(at_ns),
            "labels": {
                "instanceId": "00fa" + execution[-8:],
                "run.googleapis.com/execution_name": execution,
                "run.googleapis.com/task_attempt": "0",
                "run.googleapis.com/task_index": "0",
            },
            "logName": f"projects/{self._project}/logs/run.googleapis.com%2F{log}",
            "receiveTimestamp": _stamp(time.time_ns()),
            **payload,
        }
        with self._lock:
            self._entries.append((time.monotonic() + self.lag(entry), entry))
        return entry

    def list(self, body: dict[str, Any]) -> dict[str, Any]:
        """One page of what is visible by now."""
        self.reads += 1
        if self.reads_before_quota is not None:
            self.reads_before_quota -= 1
            if self.reads_before_quota < 0:
                raise errors.throttled("logging.googleapis.com")
        if body.get("resourceNames") != [f"projects/{self._project}"]:
            raise errors.invalid("resource_names", "must name the project")
        terms = _terms(body.get("filter", ""))
        now = time.monotonic()
        with self._lock:
            found = [entry for at, entry in self._entries if at <= now and _matches(entry, terms)]
        unique = {(_wide(entry["timestamp"]), entry["insertId"]): entry for entry in found}
        ordered = [unique[key] for key in sorted(unique)]
        start, size = int(body.get("pageToken") or 0), min(int(body.get("pageSize") or 50), 1000)
        page = ordered[start : start + size]
        more = {"nextPageToken": str(start + size)} if start + size < len(ordered) else {}
        return {"entries": page, **more} if page else {}


def _terms(text: str) -> list[tuple[str, str, list[str]]]:
    terms = []
    for part in text.split(" AND "):
        found = _TERM.fullmatch(part)
        if not found:
            raise errors.invalid("filter", f"Unparseable filter: {part}")
        terms.append((found["name"], found["op"], re.findall(r'"([^"]*)"', found["value"])))
    return terms


def _matches(entry: dict[str, Any], terms: list[tuple[str, str, list[str]]]) -> bool:
    return all(_holds(_value(entry, name), op, values) for name, op, values in terms)


def _holds(value: str, op: str, values: list[str]) -> bool:
    if op == "=":
        return value in values
    return _wide(value) >= _wide(values[0]) if op == ">=" else _wide(value) <= _wide(values[0])


def _value(entry: dict[str, Any], name: str) -> str:
    if name.startswith('labels."'):
        return entry["labels"].get(name[8:-1], "")
    value: Any = entry
    for part in name.split("."):
        value = value.get(part, {})
    return value if isinstance(value, str) else ""


def _stamp(at_ns: int) -> str:
    """As many digits as are needed: Google leaves zeros at the end out by threes."""
    seconds, nanoseconds = divmod(at_ns, 10**9)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{nanoseconds:09d}"
    while fraction.endswith("000"):
        fraction = fraction[:-3]
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"


def _wide(text: str) -> str:
    whole, _, fraction = text.removesuffix("Z").partition(".")
    return f"{whole}.{fraction:0<9}"
