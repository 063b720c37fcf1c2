"""A real Podman behind its compatible socket: what works there as on Docker."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator

import pytest

from hosts.errors import ContainerBusy, ContainerExecutionError, DockerConnectionError, ImageMissing
from hosts.executors import frames, option_reader
from hosts.executors.contract import Network
from hosts.executors.docker import DockerExecutor
from hosts.executors.docker.podman import PodmanSplitter
from hosts.executors.frames import STDERR, STDOUT
from tests.support.containers import (
    host_view,
    job_view,
    launch,
    read_log,
    resume_after,
    run,
    script,
    until_exited,
    written,
)
from tests.support.podman import Podman, running_podman, unavailable
from tests.support.requirements import missing

NOWHERE = (Network(name="none"),)


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    if reason := unavailable():
        missing("podman", reason)
    with running_podman() as podman:
        yield podman


@pytest.fixture
def executor(podman) -> Iterator[DockerExecutor]:
    # Debian's Podman comes without a first process for containers.
    executor = DockerExecutor(host_view(podman.url, init=False))
    yield executor
    for seen in executor.list_containers():
        executor.remove(seen.container_id, force=True)
    executor.close()


def text(log: bytes, stream: int) -> bytes:
    return b"".join(frame.payload for frame in frames.walk(log) if frame.stream == stream)


@pytest.mark.docker
def test_it_says_the_same_id_each_time(executor):
    assert executor.check().engine_id == executor.check().engine_id


@pytest.mark.docker
def test_a_job_runs_and_its_log_exit_and_options_are_right(executor, podman):
    options = option_reader.read(
        {
            "user": "1000:100",
            "container_labels": {"team": "billing"},
            "volumes": ["podman-test:/data"],
            "tmpfs": {"/scratch": "size=1m"},
            "resources": {"pids": 50, "ulimits": {"nofile": 256, "nproc": 512}},
            "security": {"read_only": True, "cap_drop": ["ALL"]},
        }
    )
    job = script(
        "id -u; echo wrong >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; printf end; exit 3",
        networks=NOWHERE,
        template={"memory_limit": 64, "options": options},
    )

    seen = run(executor, job)

    assert seen.exit_code == 3
    log = read_log(executor, seen.container_id)
    assert text(log, STDOUT) == b"1000\n" + b"x" * 40_000 + b"\nend"
    assert text(log, STDERR) == b"wrong\n"
    assert written(log, STDOUT) == text(log, STDOUT)
    made = podman.api.inspect_container(seen.container_id)
    assert made["Config"]["User"] == "1000:100"
    assert made["Config"]["Labels"]["team"] == "billing"
    how = made["HostConfig"]
    assert (how["Memory"], how["PidsLimit"], how["ReadonlyRootfs"]) == (64 * 2**20, 50, True)
    assert seen.metadata["image_digest"].startswith("sha256:")


@pytest.mark.docker
def test_a_log_is_taken_up_again_without_gap_or_repeat(executor):
    container_id = launch(
        executor, script("for n in $(seq 300); do echo same; done; echo last", networks=NOWHERE)
    )
    until_exited(executor, container_id)
    log = read_log(executor, container_id, follow=True)
    assert log == read_log(executor, container_id)

    pieces = list(frames.walk(log))
    for place in (1, 150, len(pieces)):
        stored = b"".join(frames.pack(*piece) for piece in pieces[:place])
        assert stored + read_log(executor, container_id, resume_after(stored)) == log


@pytest.mark.docker
def test_the_life_of_a_container_is_told_as_by_docker(executor):
    job = script("sleep 60", networks=NOWHERE)
    made = executor.create(job)
    again = executor.create(job)
    assert (again.container_id, again.fresh, again.state) == (made.container_id, False, "created")
    executor.start(made.container_id)

    with pytest.raises(ContainerBusy):
        executor.remove(made.container_id)
    usage = executor.usage(made.container_id)
    assert usage is not None
    assert [seen.state for seen in executor.list_containers()] == ["running"]
    executor.signal(made.container_id, "KILL")

    assert until_exited(executor, made.container_id).exit_code == 137
    executor.remove(made.container_id)
    assert executor.observe(made.container_id) is None
    unstarted = executor.create(script("true", networks=NOWHERE))
    assert executor.discard(unstarted.container_id) is None
    hints = executor.watch(threading.Event())
    assert next(hints).action == "connected"
    assert next(hints).container_id
    hints.close()


@pytest.mark.docker
def test_what_cannot_be_made_is_refused_as_by_docker(executor, podman):
    with pytest.raises(ImageMissing):
        executor.create(job_view("true", template={"docker_image": "localhost/nothing:1"}))
    with pytest.raises(ContainerExecutionError, match="terminal") as caught:
        executor.create(script("true", tty=True))
    assert "tty" in caught.value.hint
    unknown = executor.create(job_view("no-such-program", networks=NOWHERE)).container_id
    with pytest.raises(ContainerExecutionError) as caught:
        executor.start(unknown)
    assert caught.value.failure_class == "command_not_found"
    executor.remove(unknown)
    assert executor.list_containers() == []


def frame(stream: int, record: bytes) -> bytes:
    return struct.pack(">BxxxL", stream, len(record)) + record


def test_lines_that_come_in_pieces_are_put_together_and_cut_as_docker_cuts_them():
    splitter = PodmanSplitter("h")
    sent = (
        frame(1, b"2026-01-02T03:04:05+01:00 " + b"x" * 10_000)
        + frame(2, b"2026-01-02T03:04:05Z err\n")
        + frame(1, b"2026-01-02T03:04:06+01:00 " + b"x" * 10_000)
        + frame(1, b"2026-01-02T03:04:07+01:00 end\n")
        + frame(1, b"2026-01-02T03:04:08Z open")
    )

    got = b"".join(splitter.feed(sent[place : place + 7]) for place in range(0, len(sent), 7))
    got += splitter.end(proved=True)

    assert [(one.stream, one.time, len(one.payload)) for one in frames.walk(got)] == [
        (2, b"2026-01-02T03:04:05.000000000Z", 4),
        (1, b"2026-01-02T02:04:05.000000000Z", 16_384),
        (1, b"2026-01-02T02:04:05.000000000Z", 3_620),
        (1, b"2026-01-02T03:04:08.000000000Z", 4),
    ]


@pytest.mark.parametrize("sent", [frame(3, b"x"), frame(1, b"no time\n"), frame(1, b"2026-01-02 x\n") * 2])
def test_what_is_no_log_is_said(sent):
    with pytest.raises(DockerConnectionError, match="no record"):
        PodmanSplitter("h").feed(sent)
