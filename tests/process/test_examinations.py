"""Connection tests, step by step, of hosts that are not in use: what each thing that is wrong looks like."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hosts import operations
from hosts.models import DockerHost, HostLease, HostRequest
from supervisor.models import SupervisorProcess
from tests.support import certificates, supervising
from tests.support.engines import Engine
from tests.support.relay import Relay
from tests.support.supervising import Command
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def supervisor(database_url: str) -> Iterator[Command]:
    with supervising.running("supervise", database_url=database_url) as command:
        yield command


def unused_host(name: str, url: str = "", **fields: object) -> DockerHost:
    """A host as the wizard makes it: switched off."""
    return DockerHost.objects.create(name=name, connection_string=url, is_active=False, **fields)


def examined(host: DockerHost, *, within_seconds: float = 25) -> tuple[HostRequest, dict[str, dict]]:
    """The request with its answer, and its steps by their names."""
    request = operations.request_examination(host.pk, by="test")
    done = HostRequest.objects.filter(pk=request.pk).exclude(done_at=None)
    wait_until(done.exists, timeout_seconds=within_seconds, what=f"the test of {host.name}")
    found = done.get()
    return found, {step["name"]: step for step in found.steps}


def test_an_engine_that_is_fine_is_told_of_step_by_step_and_nothing_is_changed(
    supervisor: Command, docker_engine: Engine
) -> None:
    host = unused_host("fine", docker_engine.url)
    before = len(docker_engine.api.containers(all=True))
    request, steps = examined(host)
    assert (request.ok, request.result.startswith("Reachable: version ")) == (True, True), request.steps
    assert [name for name, step in steps.items() if step["state"] not in ("ok", "warning")] == []
    for name in ("Socket", "Engine answers", "Machine", "Disk", "Clock", "Identity", "System"):
        assert steps[name]["detail"], name
    assert "cgroup v" in steps["System"]["detail"]
    assert steps["May create containers"]["detail"] == "yes"
    host.refresh_from_db()
    assert (host.engine_id, host.state, host.is_active) == (None, "unknown", False)
    assert not HostLease.objects.filter(host=host).exists()
    assert len(docker_engine.api.containers(all=True)) == before
    assert not SupervisorProcess.objects.filter(host=host).exists()


def test_each_thing_that_is_wrong_fails_its_own_step_with_what_to_do(
    supervisor: Command, docker_engine: Engine, tmp_path: Path
) -> None:
    missing = unused_host("missing", f"unix://{tmp_path}/nothing.sock")
    request, steps = examined(missing)
    assert not request.ok
    assert "there is no socket" in steps["Socket"]["detail"]
    assert steps["Socket"]["hint"]
    assert steps["Engine answers"]["state"] == "skipped"
    unreadable = unused_host("unreadable", "gopher://x")
    request, steps = examined(unreadable)
    assert list(steps) == ["Configuration"]
    assert "must start with unix://" in request.result
    with Relay(docker_engine.url.removeprefix("unix://")) as plain:
        request, steps = examined(unused_host("plain", plain.url))
        assert request.ok
        assert (steps["TLS certificate"]["state"], steps["TLS certificate"]["detail"]) == (
            "warning",
            "not encrypted",
        )
        config = {"tls_verify": True}
        request, steps = examined(unused_host("no-tls", plain.url, executor_config=config))
        assert steps["TLS certificate"]["state"] == "failed"
        assert "speaks no TLS" in steps["TLS certificate"]["detail"]
    taken = docker_engine.api.info()
    DockerHost.objects.create(
        name="first", is_active=False, engine_id=f"{taken['ID']} {taken['DockerRootDir']}".strip()
    )
    request, steps = examined(unused_host("second", docker_engine.url))
    assert request.result == "Identity: This is the engine of host 'first' already."
    assert steps["May create containers"]["state"] == "ok", "what stands for itself is looked at all the same"


def test_certificates_are_looked_at_and_those_of_strangers_refused(
    supervisor: Command, docker_engine: Engine, tmp_path: Path
) -> None:
    ours, strange = (tmp_path / name for name in ("ours", "strange"))
    ours.mkdir()
    strange.mkdir()
    files, others = certificates.make(ours), certificates.make(strange)
    config = {
        "tls_verify": True,
        "tls_ca_cert": str(files.ca),
        "tls_client_cert": str(files.certificate),
        "tls_client_key": str(files.key),
    }
    with Relay(docker_engine.url.removeprefix("unix://"), tls=files.server_context()) as relay:
        request, steps = examined(unused_host("tls", relay.url, executor_config=config))
        assert request.ok, request.steps
        assert "which is soon" in steps["TLS certificate"]["detail"], "that of the test lasts a day"
        wrong = {**config, "tls_ca_cert": str(others.ca)}
        request, steps = examined(unused_host("stranger", relay.url, executor_config=wrong))
        assert (request.ok, steps["TLS certificate"]["state"]) == (False, "failed")
        assert "certificate was not accepted" in steps["TLS certificate"]["detail"]
        assert steps["Engine answers"]["state"] == "skipped"


def test_containers_of_another_installation_are_warned_of(supervisor: Command, docker_engine: Engine) -> None:
    made = docker_engine.api.create_container(
        "busybox:latest", labels={"tallyman.installation": "somebody else's"}
    )
    try:
        request, steps = examined(unused_host("shared", docker_engine.url))
    finally:
        docker_engine.api.remove_container(made["Id"])
    assert request.ok
    assert steps["Other installations"]["state"] == "warning"
    assert "1 other installation" in steps["Other installations"]["detail"]


def test_an_engine_that_hangs_hangs_nobody_else(
    supervisor: Command, two_engines: tuple[Engine, Engine], tmp_path: Path
) -> None:
    engine, _ = two_engines
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        hung = [
            unused_host("frozen", engine.url, executor_config={"timeout": 3}),
            unused_host("silent", address, executor_config={"timeout": 3, "tls_verify": True}),
        ]
        engine.pause()
        requests = [operations.request_examination(host.pk, by="test") for host in hung]
        folder = unused_host(
            "folder", executor_type="process", executor_config={"root": str(tmp_path / "jobs")}
        )
        request, _ = examined(folder)
        assert request.ok, request.steps
        open_ones = HostRequest.objects.filter(pk__in=[one.pk for one in requests], done_at=None)
        wait_until(lambda: not open_ones.exists(), timeout_seconds=20, what="both to be given up")
        engine.resume()
    results = [HostRequest.objects.get(pk=one.pk).result for one in requests]
    assert results[0].startswith("Engine answers: the engine cannot be reached: it did not answer in time")
    assert results[1].startswith("TLS certificate: the engine cannot be reached: it did not answer in time")


def test_a_test_whose_process_is_killed_says_so(
    supervisor: Command, two_engines: tuple[Engine, Engine]
) -> None:
    engine, _ = two_engines
    engine.pause()
    host = unused_host("frozen", engine.url)
    request = operations.request_examination(host.pk, by="test")

    def tester() -> psutil.Process | None:
        titles = {process: " ".join(process.cmdline()).strip() for process in supervisor.tree}
        return next((one for one, title in titles.items() if title == "tallyman: test of frozen"), None)

    wait_until(tester, timeout_seconds=10, what="the process of the test")
    process = tester()
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    done = HostRequest.objects.filter(pk=request.pk, ok=False)
    wait_until(done.exists, timeout_seconds=10, what="word of its end")
    assert "was cut off: its process ended (SIGKILL)" in done.get().result
    engine.resume()
