"""An engine behind a real SSH server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hosts.errors import DockerConnectionError
from hosts.executors.docker import DockerExecutor, ssh
from hosts.executors.frames import STDOUT
from tests.support.containers import host_view, launch, read_log, run, script, until_exited, written
from tests.support.requirements import missing
from tests.support.sshd import SshServer, running_sshd, unavailable
from tests.support.waiting import wait_until

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    if reason := unavailable():
        missing("sshd", reason)
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def host_behind(server: SshServer, docker_engine, **config):
    """The test's engine as a host at the other end of ssh."""
    known = {"ssh_identity_file": str(server.key), "ssh_known_hosts": str(server.known_hosts)}
    return host_view(server.url(docker_engine.url.removeprefix("unix://")), **{**known, **config})


@pytest.fixture
def executor(server, docker_engine) -> Iterator[DockerExecutor]:
    executor = DockerExecutor(host_behind(server, docker_engine))
    yield executor
    for seen in executor.list_containers():
        executor.remove(seen.container_id, force=True)
    executor.close()


def ssh_processes() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if child.name() == "ssh"]


def test_everything_works_over_ssh_and_no_process_is_left(executor):
    hints = executor.watch(threading.Event())
    assert next(hints).action == "connected"

    seen = run(executor, script("head -c 300000 /dev/zero | tr '\\0' x; echo; echo done; exit 3"))

    assert seen.exit_code == 3
    assert written(read_log(executor, seen.container_id), STDOUT) == b"x" * 300_000 + b"\ndone\n"
    assert next(hints).container_id == seen.container_id
    hints.close()
    executor.close()
    assert ssh_processes() == []


def test_short_calls_share_one_connection(executor):
    executor.check()
    (process,) = ssh_processes()

    executor.check()
    executor.observe("nothing-has-this-name")

    assert ssh_processes() == [process]


def test_a_log_is_followed_by_a_selector(executor):
    container_id = launch(executor, script("for n in 1 2 3; do echo $n; sleep 0.1; done"))

    assert written(read_log(executor, container_id, follow=True), STDOUT) == b"1\n2\n3\n"
    assert executor.usage(until_exited(executor, container_id).container_id) is None


def test_a_connection_that_breaks_is_unknown_and_the_next_call_goes_on(executor):
    executor.check()
    (process,) = ssh_processes()

    process.kill()
    wait_until(lambda: process.status() == psutil.STATUS_ZOMBIE, 5, "ssh to die")

    assert executor.check().engine_id


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"ssh_known_hosts": "/dev/null"}, "Host key verification failed"),
        ({"ssh_identity_file": "/dev/null"}, "Permission denied"),
    ],
)
def test_who_does_not_know_whom_is_said_in_sshs_own_words(server, docker_engine, tmp_path, config, words):
    empty = tmp_path / "empty"
    empty.touch(mode=0o600)
    host = host_behind(server, docker_engine, **dict.fromkeys(config, str(empty)))
    executor = DockerExecutor(host)

    with pytest.raises(DockerConnectionError, match=words):
        executor.check()
    executor._client._version = "1.41"
    with pytest.raises(DockerConnectionError, match=words):
        next(executor.watch(threading.Event()))

    executor.close()
    assert ssh_processes() == []


def test_a_machine_without_that_engine_says_so(server):
    executor = DockerExecutor(
        host_view(
            server.url("/run/no-engine.sock"),
            ssh_identity_file=str(server.key),
            ssh_known_hosts=str(server.known_hosts),
        )
    )

    with pytest.raises(DockerConnectionError, match=r"no-engine\.sock"):
        executor.check()
    executor.close()


def test_a_machine_that_is_not_there_is_a_connection_error(server, docker_engine, monkeypatch):
    gone = host_view("ssh://root@127.0.0.1:1", ssh_known_hosts=str(server.known_hosts))
    executor = DockerExecutor(gone)
    with pytest.raises(DockerConnectionError, match="Connection refused"):
        executor.check()
    executor.close()

    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(DockerConnectionError, match="ssh is not installed"):
        executor.check()


def test_no_more_than_a_few_log_in_at_once(server, docker_engine, executor):
    executor.check()
    started = threading.Barrier(20)
    answers: list[str] = []

    def ask() -> None:
        started.wait()
        answers.append(executor.check().engine_id)
        executor.close()

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(answers) == 20
    assert ssh._logins._value == ssh.MOST_LOGINS


FOLLOWER = """
import os, sys
from hosts.executors.docker import wire
from hosts.executors.docker.endpoint import endpoint_from
config = {"ssh_identity_file": sys.argv[2], "ssh_known_hosts": sys.argv[3]}
endpoint = endpoint_from("h", sys.argv[1], config)
connection = wire.open_request(endpoint, "/v1.41/events", connect_seconds=5)
connection.setblocking(True)
connection.recv_into(bytearray(1000))
print("following", flush=True)
sys.stdin.read()
"""


def test_ssh_ends_when_the_worker_is_killed(server, docker_engine):
    url = server.url(docker_engine.url.removeprefix("unix://"))
    root = Path(__file__).resolve().parents[2]
    follower = subprocess.Popen(
        [sys.executable, "-c", FOLLOWER, url, str(server.key), str(server.known_hosts)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"following\n"
    (process,) = psutil.Process(follower.pid).children()
    assert process.name() == "ssh"

    follower.send_signal(signal.SIGKILL)
    follower.communicate()

    wait_until(lambda: not process.is_running(), 10, "ssh to end")
