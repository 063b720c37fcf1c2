"""(b) Log bytes a second of one chatty container into the database, beside a bare read of the same frames."""

from __future__ import annotations

import socket
import time
from typing import Any

from bench import engine as engines
from bench import ground, work
from bench.rounds import Result, in_turn
from hosts.executors.frames import HEADER
from tests.support.engines import Engine
from tests.support.postgres import PostgresServer

MEGABYTES = 40
TARGET = 0.8
_READ_BYTES = 256 * 1024
_NAP_SECONDS = 0.0005


def measure(server: PostgresServer) -> Result:
    """Both in turn, live: the container is started, and the clock stops at the last byte."""
    from hosts.models import DockerHost
    from jobs.models import ContainerTemplate

    with engines.started() as engine:
        host = DockerHost.objects.create(name="docker", connection_string=engine.url, policy={"root": True})
        template = ContainerTemplate.objects.create(
            name="chatty", docker_image=engines.CHATTY, command=engines.chatty(MEGABYTES)
        )
        with ground.supervisor():
            _stored(host, template)
            sides = in_turn(
                {
                    "tallyman": lambda: _stored(host, template),
                    "bare read": lambda: _read(engine),
                }
            )
    ours, bare = sides.values()
    ratio = ours.over(bare)
    result = Result("b", "One chatty container", ["", "MB/s of payload", "ratio"])
    result.rows = [
        ["into the database", str(ours), str(ratio)],
        ["bare read, parsed and dropped", str(bare), "1"],
    ]
    result.at_least("ratio", ratio.median, TARGET)
    result.notes.append(
        f"{MEGABYTES} MB in lines of {engines.LINE_BYTES} bytes (the engine adds 39 to each), log "
        "driver local, followed while the container writes. Ours: from the container's start as the "
        "engine tells it to the end of the attempt, when every byte is committed, the last read "
        "after the exit included. Bare: from the container's start to the end of the stream, over "
        "HTTP/1.0, walking the frames."
    )
    return result


def _stored(host: Any, template: Any) -> float:
    from jobs.models import Attempt

    ids = work.submit(host, template, 1)
    work.wait_for(ids)
    attempt = Attempt.objects.get(job__in=ids)
    assert attempt.stdout_bytes == MEGABYTES * 1_000_000, f"{attempt.stdout_bytes} bytes are stored"
    assert attempt.logs_complete
    return MEGABYTES / (attempt.ended_at - attempt.started_at).total_seconds()


def _read(engine: Engine) -> float:
    api = engines.client(engine)
    command = engines.chatty(MEGABYTES).split()
    made = api.create_container_from_config(engines.container(engines.CHATTY, command))["Id"]
    api.start(made)
    began = time.perf_counter()
    payload = _drop(engine, made)
    seconds = time.perf_counter() - began
    api.remove_container(made, force=True, v=True)
    api.close()
    assert payload == MEGABYTES * 1_000_000, f"{payload} bytes were read"
    return MEGABYTES / seconds


def _drop(engine: Engine, made: str) -> int:
    """Read the log to its end; the bytes of payload in it, timestamps aside."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(engine.url.removeprefix("unix://"))
        target = f"/v1.41/containers/{made}/logs?follow=1&stdout=1&stderr=1&timestamps=1"
        connection.sendall(f"GET {target} HTTP/1.0\r\nHost: docker\r\n\r\n".encode())
        data = b""
        while b"\r\n\r\n" not in data:
            data += connection.recv(_READ_BYTES)
        data = data.partition(b"\r\n\r\n")[2]
        payload = 0
        while True:
            place, counted = _walk(data)
            payload += counted
            more = connection.recv(_READ_BYTES)
            if not more:
                return payload
            data = data[place:] + more
            if len(more) < _READ_BYTES:
                time.sleep(_NAP_SECONDS)


def _walk(data: bytes) -> tuple[int, int]:
    unpack, place, have, payload = HEADER.unpack_from, 0, len(data), 0
    while place + HEADER.size <= have:
        _, length = unpack(data, place)
        end = place + HEADER.size + length
        if end > have:
            break
        place, payload = end, payload + length - 31
    return place, payload
