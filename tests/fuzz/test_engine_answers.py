"""A hostile or broken engine: whatever it answers is an answer or one of our errors, and soon over."""

from __future__ import annotations

import copy
import json
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from hosts.errors import TallymanError
from hosts.executors.docker import DockerExecutor
from hosts.executors.log_source import Resume
from tests.fuzz import hostile, nasty
from tests.fuzz.settings import fuzzed
from tests.support.containers import host_view, script

_CONTAINER = "c" * 64
_STATE = {
    "Status": "exited",
    "Running": False,
    "OOMKilled": False,
    "ExitCode": 0,
    "Error": "",
    "StartedAt": "2026-01-02T03:04:05.123456789Z",
    "FinishedAt": "2026-01-02T03:04:06.123456789Z",
}
# What an engine says, so far as we read it.
REAL: dict[str, Any] = {
    "Id": _CONTAINER,
    "ID": "ABCD:EFGH",
    "Name": "/name",
    "Names": ["/name"],
    "Image": "sha256:" + "0" * 64,
    "RepoDigests": ["busybox@sha256:" + "0" * 64],
    "ApiVersion": "1.41",
    "MinAPIVersion": "1.12",
    "Version": "20.10.24",
    "Components": [{"Name": "Engine", "Version": "20.10.24"}],
    "NCPU": 2,
    "MemTotal": 1024,
    "ContainersRunning": 1,
    "DockerRootDir": "/var/lib/docker",
    "SystemTime": "2026-01-02T03:04:05.123456789Z",
    "OperatingSystem": "Debian",
    "State": _STATE,
    "Config": {"Labels": {"a": "b"}, "Image": "busybox", "Env": ["A=b"], "Tty": False},
    "HostConfig": {
        "LogConfig": {"Type": "local", "Config": {"max-size": "2g"}},
        "NetworkMode": "default",
        "PortBindings": {"80/tcp": [{"HostIp": "", "HostPort": "8080"}]},
        "Binds": ["/a:/b:ro"],
        "Memory": 1,
        "CgroupParent": "",
    },
    "NetworkSettings": {"Networks": {"bridge": {}}, "Ports": {"80/tcp": [{"HostPort": "8080"}]}},
    "Warnings": [],
    "read": "2026-01-02T03:04:05.123456789Z",
    "cpu_stats": {"cpu_usage": {"total_usage": 5, "percpu_usage": [1]}},
    "memory_stats": {"usage": 5, "max_usage": 6, "stats": {"inactive_file": 1, "active_file": 1}},
    "networks": {"eth0": {"rx_bytes": 1, "tx_bytes": 2}},
    "blkio_stats": {"io_service_bytes_recursive": [{"op": "Read", "value": 1}]},
    "pids_stats": {"current": 1},
    "status": "Pulling",
    "progressDetail": {"current": 1, "total": 2},
    "Action": "die",
    "Actor": {"ID": _CONTAINER, "Attributes": {"exitCode": "1"}},
    "timeNano": 1_767_323_045_123_456_789,
    "message": "no such thing",
}


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in it, from the top."""
    yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from _places(one, (*at, key))


@st.composite
def answers(draw: st.DrawFn) -> Any:
    """What a real engine says, with something else in one to three places."""
    value = copy.deepcopy(REAL)
    for place in draw(st.lists(st.sampled_from(list(_places(REAL))), min_size=1, max_size=3)):
        other = draw(nasty.json_values)
        if not place:
            return other
        inner: Any = value
        for key in place[:-1]:
            inner = inner[key] if isinstance(inner, dict) and key in inner else None
        if isinstance(inner, dict):
            inner[place[-1]] = other
    return draw(st.sampled_from([value, [value], {"Containers": [value]}]))


def _calls(executor: DockerExecutor) -> list[Callable[[], Any]]:
    def log() -> None:
        with closing(executor.open_log("x", Resume(), follow=False)) as source:
            until = time.monotonic() + 2
            while time.monotonic() < until and source.read(65_536) is not None:
                pass

    def watch() -> None:
        with closing(executor.watch(threading.Event())) as hints:
            for _ in range(5):
                next(hints, None)

    return [
        executor.check,
        lambda: executor.create(script("true")),
        lambda: executor.start("x"),
        lambda: executor.observe("x"),
        executor.list_containers,
        lambda: executor.signal("x", "TERM"),
        lambda: executor.remove("x"),
        log,
        watch,
        lambda: executor.usage("x"),
        lambda: executor.pull("busybox", progress=str, cancelled=lambda: False),
    ]


def _is_borne(url: str) -> None:
    """Every call comes to an end, with an answer or with an error of ours."""
    executor = DockerExecutor(host_view(url, timeout=1, init=False))
    try:
        for call in _calls(executor):
            with suppress(TallymanError):
                call()
    finally:
        executor.close()


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[hostile.Hostile]:
    with hostile.engine(tmp_path) as one:
        yield one


def _http(status: int, body: bytes, kind: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body


def test_an_answer_of_the_wrong_shape_is_an_error_of_ours(engine: hostile.Hostile) -> None:
    @fuzzed
    @given(answer=answers(), status=st.sampled_from([200, 200, 200, 201, 204, 304, 404, 409, 500, 503]))
    @example(answer=None, status=200)
    @example(answer={}, status=200)
    @example(answer=[1], status=200)
    @example(answer={**REAL, "State": {**_STATE, "ExitCode": "boo"}}, status=200)
    @example(answer={**REAL, "State": {**_STATE, "ExitCode": 10**30}}, status=200)
    @example(answer={**REAL, "Config": {"Labels": {"a": 7, "b": None}}}, status=200)
    def is_borne(answer: Any, status: int) -> None:
        engine.answer = _http(status, json.dumps(answer).encode(errors="surrogatepass"))
        _is_borne(engine.url)

    is_borne()


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\x00" * 1000,
        b"HTTP/1.1 200 OK",
        b"HTTP/9.9 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n\xff\xfe\xfd",
        b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 1000,
        b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 10_000 + b"\r\n{}",
        _http(500, b"<html>" + b"\x1b[31m<script>alert(1)</script>" * 1000, "text/html"),
        _http(200, b"[" * 100_000),
        _http(200, b'{"a":' * 100_000),
    ],
    ids=lambda answer: repr(answer[:24]),
)
def test_what_is_no_proper_answer_is_an_error_of_ours(engine: hostile.Hostile, answer: bytes) -> None:
    engine.answer = answer
    _is_borne(engine.url)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b" " * 65_536,
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + b'{"status": "x"}\n' * 4096,
        b"HTTP/1.1 200 OK\r\n" + b"X-Endless: 1\r\n" * 4096,
        b"A" * 65_536,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4096,
    ],
    ids=["blanks", "lines", "heads", "no-http", "continues"],
)
def test_an_endless_answer_is_given_up_and_not_kept(engine: hostile.Hostile, answer: bytes) -> None:
    engine.answer, engine.is_endless = answer, True
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    executor = DockerExecutor(host_view(engine.url, timeout=1, init=False))
    for call in (executor.check, executor.list_containers, lambda: executor.observe("x")):
        began = time.monotonic()
        with pytest.raises(TallymanError):
            call()
        assert time.monotonic() - began < 30
    executor.close()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300 * 1024  # KiB
