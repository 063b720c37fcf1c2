"""The engine of a run, its chatty image, and the host that stands for it."""

from __future__ import annotations

import contextlib
import io
import random
import tarfile
from collections.abc import Iterator
from typing import Any

import docker

from tests.support import busybox
from tests.support.engines import Engine, running_engine
from tests.support.unix_transport import UnixAdapter

CHATTY = "tallyman-bench:latest"
TEXT = "/text"
TEXT_BYTES = 2_000_000
LINE_BYTES = 100
_WORDS = (
    "accepted",
    "batch",
    "cache",
    "commit",
    "customer",
    "fetched",
    "in",
    "index",
    "job",
    "ms",
    "order",
    "page",
)


@contextlib.contextmanager
def started() -> Iterator[Engine]:
    """An engine of its own with both images, gone afterwards."""
    with running_engine() as engine:
        archive = io.BytesIO(busybox.archive())
        with tarfile.open(fileobj=archive, mode="a") as tar:
            lines = tarfile.TarInfo(TEXT.strip("/"))
            lines.size, lines.mode = TEXT_BYTES, 0o644
            tar.addfile(lines, io.BytesIO(_text()))
        repository, tag = CHATTY.split(":")
        engine.api.import_image_from_data(archive.getvalue(), repository=repository, tag=tag)
        yield engine


def _text() -> bytes:
    """Lines as services write them, of one length; zlib makes about a quarter of them."""
    chance = random.Random(1)
    lines = []
    for number in range(TEXT_BYTES // LINE_BYTES):
        words = " ".join(chance.choices(_WORDS, k=9))
        key = f"{chance.getrandbits(48):012x}"
        line = f"2026-01-01 12:00:{number % 60:02} INFO worker-{number % 8} {words} id={key}"
        lines.append(line.ljust(LINE_BYTES - 1)[: LINE_BYTES - 1])
    return ("\n".join(lines) + "\n").encode()


def chatty(megabytes: int) -> str:
    """The command of a container that says so much."""
    return f"cat {' '.join([TEXT] * (megabytes * 1_000_000 // TEXT_BYTES))}"


def client(engine: Engine) -> docker.APIClient:
    """A client for one thread, which keeps its connection."""
    api = docker.APIClient(base_url=engine.url, version="1.41", timeout=60)
    api.mount("http+docker://", UnixAdapter(engine.url.removeprefix("unix://")))
    return api


def container(image: str, command: list[str]) -> dict[str, Any]:
    """What POST /containers/create gets: what the Docker executor sends, but for labels and environment."""
    return {
        "Image": image,
        "Cmd": command,
        "Tty": False,
        "OpenStdin": False,
        "AttachStdin": False,
        "AttachStdout": False,
        "AttachStderr": False,
        "HostConfig": {
            "NetworkMode": "default",
            "Init": True,
            "AutoRemove": False,
            "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
            "LogConfig": {
                "Type": "local",
                "Config": {"max-size": "2g", "max-file": "2", "compress": "false"},
            },
            "SecurityOpt": ["no-new-privileges"],
            "PidsLimit": 4096,
        },
    }
