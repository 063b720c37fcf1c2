"""What goes wrong between us and an engine, and which of our errors it becomes."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from hosts.errors import (
    ContainerBusy,
    ContainerExecutionError,
    DockerConnectionError,
    ImageMissing,
)
from hosts.executors.docker import DockerExecutor
from tests.support.containers import NOTHING_STORED, drain, host_view, job_view, run, script
from tests.support.engines import free_port
from tests.support.relay import Relay

NO_INIT = {"init": False}


@pytest.fixture
def bare_executor(docker_engine):
    """An executor whose containers have no first process of the engine's."""
    executor = DockerExecutor(host_view(docker_engine.url, init=False))
    yield executor
    for seen in executor.list_containers():
        executor.remove(seen.container_id, force=True)
    executor.close()


def _every_call(executor):
    return [
        executor.check,
        lambda: executor.create(script("true")),
        lambda: executor.start("x"),
        lambda: executor.observe("x"),
        executor.list_containers,
        lambda: executor.signal("x", "TERM"),
        lambda: executor.remove("x"),
        lambda: list(drain(executor.open_log("x", NOTHING_STORED, follow=True))),
        lambda: next(executor.watch(threading.Event())),
        lambda: executor.usage("x"),
        lambda: executor.pull("busybox", progress=print, cancelled=lambda: False),
    ]


def test_an_engine_that_is_not_there_is_a_connection_error_everywhere(tmp_path):
    urls = {
        f"unix://{tmp_path}/none": "there is no socket at its address",
        f"tcp://127.0.0.1:{free_port()}": "it refused the connection",
        "tcp://nowhere.invalid:2375": "its name cannot be resolved",
    }
    for url, cause in urls.items():
        executor = DockerExecutor(host_view(url))
        for call in _every_call(executor):
            with pytest.raises(DockerConnectionError, match=f"testhost: .*{cause}"):
                call()
        executor.close()


@pytest.mark.docker
def test_a_frozen_engine_is_given_up_within_the_timeout(docker_engine):
    with Relay(docker_engine.url.removeprefix("unix://")) as relay:
        executor = DockerExecutor(host_view(relay.url, timeout=0.5))
        executor.check()
        relay.freeze()
        started = time.monotonic()

        with pytest.raises(DockerConnectionError, match="did not answer in time"):
            executor.observe("x")

        assert time.monotonic() - started < 3
        executor.close()


@pytest.mark.docker
def test_a_frozen_engine_is_given_up_at_its_socket_too(two_engines):
    engine, _ = two_engines
    executor = DockerExecutor(host_view(engine.url, timeout=0.5))
    executor.check()
    engine.pause()

    with pytest.raises(DockerConnectionError, match="did not answer in time"):
        executor.list_containers()

    engine.resume()
    assert executor.list_containers() == []
    executor.close()


@pytest.mark.docker
def test_a_connection_that_breaks_is_unknown_and_the_next_call_goes_on(docker_engine):
    with Relay(docker_engine.url.removeprefix("unix://")) as relay:
        executor = DockerExecutor(host_view(relay.url))
        job = script("true")
        executor.check()
        relay.cut_after = 0
        relay.cut()

        with pytest.raises(DockerConnectionError):
            executor.create(job)

        relay.cut_after = None
        assert executor.create(job).fresh is False
        executor.remove(job.container_name)
        executor.close()


@pytest.mark.docker
def test_an_engine_restart_breaks_the_news_and_nothing_else(two_engines):
    engine, _ = two_engines
    executor = DockerExecutor(host_view(engine.url))
    engine_id = executor.check().engine_id
    hints = executor.watch(threading.Event())
    next(hints)

    engine.kill()
    with pytest.raises(DockerConnectionError):
        list(hints)
    with pytest.raises(DockerConnectionError):
        executor.check()

    engine.start()
    assert executor.check().engine_id == engine_id
    executor.close()


@pytest.mark.docker
def test_an_engine_of_an_older_version_says_nothing_about_the_job(executor):
    executor._client._version = "1.99"

    with pytest.raises(DockerConnectionError, match="too new"):
        executor.create(script("true"))

    assert executor.create(script("true")).fresh


def test_what_is_no_engine_cannot_say_that_a_container_is_gone():
    with _web_server() as url:
        executor = DockerExecutor(host_view(url))
        executor._client._version = "1.41"
        for call in _every_call(executor):
            with pytest.raises(DockerConnectionError, match="404"):
                call()
        executor.close()


@contextlib.contextmanager
def _web_server():
    with ThreadingHTTPServer(("127.0.0.1", 0), _NothingFound) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"tcp://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class _NothingFound(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(404)

    do_POST = do_DELETE = do_GET

    def log_message(self, *_):
        pass


@pytest.mark.docker
def test_an_unknown_image_is_missing(executor):
    with pytest.raises(ImageMissing, match="localhost/nowhere"):
        executor.create(job_view("true", template={"docker_image": "localhost/nowhere:v1"}))


@pytest.mark.docker
@pytest.mark.parametrize(
    ("template", "words"),
    [
        ({"docker_image": "Not A Reference"}, "invalid reference format"),
        ({"docker_image": ""}, "names no image"),
        ({"memory_limit": 4}, "memory limit"),
        ({"cpu_limit": 1000.0}, "CPUs"),
        ({"working_directory": "relative"}, "working directory"),
        ({"working_directory": "/bin/busybox"}, "is not a directory"),
    ],
)
def test_what_no_engine_can_make_is_refused_for_good(executor, template, words):
    job = job_view("true", template=template)

    with pytest.raises(ContainerExecutionError, match=words) as caught:
        executor.create(job)

    assert caught.value.failure_class == "create_refused"
    assert caught.value.hint
    assert executor.observe(job.container_name) is None


@pytest.mark.docker
def test_with_an_init_an_unknown_command_is_an_exit_with_127(executor):
    assert run(executor, job_view("no-such-program")).exit_code == 127
    assert run(executor, job_view("/etc")).exit_code == 126


@pytest.mark.docker
@pytest.mark.parametrize(
    ("command", "failure_class", "exit_code", "words"),
    [
        ("no-such-program", "command_not_found", 127, "executable file not found"),
        ("/no/such/file", "command_not_found", 127, "no such file or directory"),
        ("/etc", "command_not_executable", 126, "permission denied"),
    ],
)
def test_a_command_that_cannot_be_run_is_refused(bare_executor, command, failure_class, exit_code, words):
    container_id = bare_executor.create(job_view(command)).container_id

    with pytest.raises(ContainerExecutionError, match=words) as caught:
        bare_executor.start(container_id)

    assert (caught.value.failure_class, caught.value.exit_code) == (failure_class, exit_code)
    assert str(caught.value).startswith(f'exec: "{command}"')
    seen = bare_executor.observe(container_id)
    assert (seen.state, seen.exit_code, seen.started_at) == ("created", exit_code, None)
    assert words in seen.error


@pytest.mark.docker
def test_what_the_runtime_cannot_set_up_is_a_refused_start(executor):
    container_id = executor.create(job_view("true", template={"cpu_limit": 0.001})).container_id

    with pytest.raises(ContainerExecutionError) as caught:
        executor.start(container_id)

    assert caught.value.failure_class == "start_refused"


@pytest.mark.docker
def test_a_container_that_is_gone_cannot_be_said_to_have_failed(executor):
    with pytest.raises(DockerConnectionError, match="gone before it could start"):
        executor.start("no-such-container")


@pytest.mark.docker
def test_removing_a_running_container_is_refused(executor):
    job = job_view("sleep", "60")
    executor.start(executor.create(job).container_id)

    with pytest.raises(ContainerBusy, match=job.container_name):
        executor.remove(job.container_name)


@pytest.mark.docker
def test_a_log_of_a_container_that_is_gone_is_missing(executor):
    with pytest.raises(ContainerExecutionError) as caught:
        list(drain(executor.open_log("no-such-container", NOTHING_STORED, follow=False)))

    assert caught.value.failure_class == "log_missing"


def test_proxies_and_authorities_of_the_environment_are_not_used(tmp_path, monkeypatch):
    port = free_port()
    monkeypatch.setitem(os.environ, "HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    executor = DockerExecutor(host_view(f"tcp://127.0.0.1:{port}"))

    with pytest.raises(DockerConnectionError, match="refused the connection") as caught:
        executor.check()

    assert f"port={port}" in str(caught.value.__cause__)
    executor.close()
