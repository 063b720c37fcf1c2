"""What a DockerExecutor promises, on a real engine."""

from __future__ import annotations

import dataclasses
import os
import stat
import threading
from datetime import UTC, datetime, timedelta

import pytest

from hosts.errors import ContainerBusy
from hosts.executors.contract import labels_for
from hosts.executors.docker import DockerExecutor
from tests.support.containers import host_view, job_view, launch, run, script, until_exited
from tests.support.relay import Relay
from tests.support.waiting import wait_until

pytestmark = pytest.mark.docker

SLEEP = ("sleep", "60")


def test_check_tells_who_the_engine_is(executor, docker_engine):
    facts = executor.check()

    info = docker_engine.api.info()
    assert facts.engine_id.startswith(info["ID"])
    assert facts.version == info["ServerVersion"]
    assert (facts.cpus, facts.memory_bytes) == (info["NCPU"], info["MemTotal"])
    assert facts.api_version == docker_engine.api.version()["ApiVersion"]


def test_two_engines_on_one_machine_are_told_apart(two_engines):
    executors = [DockerExecutor(host_view(engine.url)) for engine in two_engines]

    assert len({executor.check().engine_id for executor in executors}) == 2
    for executor in executors:
        executor.close()


def test_a_fresh_container_is_created_and_not_started(executor):
    job = script("true")

    made = executor.create(job)

    seen = executor.observe(job.container_name)
    assert (made.fresh, made.state, made.labels) == (True, "created", labels_for(executor.host, job))
    assert (seen.container_id, seen.state, seen.labels) == (made.container_id, "created", made.labels)
    assert (seen.fresh, seen.started_at, seen.finished_at, seen.exit_code) == (False, None, None, None)


def test_creating_twice_shows_the_first_container(executor):
    job = script("true")
    first = executor.create(job)

    again = executor.create(dataclasses.replace(job, attempt=2))

    assert (again.fresh, again.container_id, again.label("attempt")) == (False, first.container_id, "1")


def test_a_name_that_somebody_else_has_is_shown_with_their_labels(executor, docker_engine):
    job = script("true")
    docker_engine.api.create_container("busybox", name=job.container_name, labels={"theirs": "yes"})

    seen = executor.create(job)

    assert (seen.fresh, seen.labels) == (False, {"theirs": "yes"})
    executor.remove(seen.container_id)


def test_a_finished_container_shows_code_and_times(executor):
    before = datetime.now(UTC) - timedelta(seconds=1)

    seen = run(executor, script("exit 7"))

    assert (seen.state, seen.exit_code, seen.oom_killed, seen.error) == ("exited", 7, False, "")
    assert before < seen.started_at < datetime.now(UTC)
    assert before < seen.finished_at < datetime.now(UTC)


def test_metadata_has_the_specifications_keys_and_no_environment(executor):
    seen = run(executor, script("true", environment={"PASSWORD": "sesame"}))

    assert seen.metadata == {
        "container_name": seen.name,
        "container_id": seen.container_id,
        "network": "bridge",
        "volumes": [],
        "ports": {},
        "image_digest": seen.image_digest,
    }
    assert seen.image_digest.startswith("sha256:")


def test_a_running_container_has_no_exit_code_yet(executor):
    seen = executor.observe(launch(executor, job_view(*SLEEP)))

    assert (seen.state, seen.exit_code, seen.finished_at) == ("running", None, None)
    assert seen.started_at is not None


def test_starting_twice_while_it_runs_is_no_error(executor):
    container_id = launch(executor, job_view(*SLEEP))

    executor.start(container_id)

    assert executor.observe(container_id).state == "running"


def test_observe_says_none_only_for_what_is_not_there(executor):
    assert executor.observe("no-such-container") is None


def test_memory_kills_are_marked(executor):
    hog = "head -c 64000000 /dev/zero | tail -c 64000000 | wc -c; exit 3"
    seen = run(executor, script(hog, template={"memory_limit": 16}))

    assert seen.oom_killed


def test_only_our_own_containers_are_listed(executor, docker_engine):
    mine = executor.create(script("true")).container_id
    ended = run(executor, script("exit 3")).container_id
    other = DockerExecutor(host_view(docker_engine.url))
    theirs = other.create(script("true")).container_id

    listed = {seen.container_id: seen for seen in executor.list_containers()}

    assert {ref: seen.state for ref, seen in listed.items()} == {mine: "created", ended: "exited"}
    assert listed[mine].label("installation") == str(executor.host.installation)
    other.remove(theirs)
    other.close()


def test_term_reaches_the_command_and_kill_needs_no_consent(executor):
    ready = "trap 'exit 42' TERM; touch /tmp/ready; while :; do sleep 0.1; done"
    polite = launch(executor, script(ready))
    deaf = launch(executor, script(ready.replace("exit 42", "")))

    _wait_for_file(executor, polite, "/tmp/ready")
    _wait_for_file(executor, deaf, "/tmp/ready")
    executor.signal(polite, "TERM")
    executor.signal(deaf, "TERM")

    assert until_exited(executor, polite).exit_code == 42
    assert executor.observe(deaf).state == "running"
    executor.signal(deaf, "KILL")
    assert until_exited(executor, deaf).exit_code == 137


def _wait_for_file(executor, container_id, path):
    def there():
        reply = executor._client.get(f"/containers/{container_id}/archive", params={"path": path})
        return reply.status == 200

    wait_until(there, 10, f"{path} in the container")


def test_signals_to_what_does_not_run_are_no_error(executor):
    ended = run(executor, script("true")).container_id
    executor.signal(ended, "TERM")
    executor.signal(executor.create(script("true")).container_id, "KILL")
    executor.signal("no-such-container", "KILL")


def test_removing_needs_force_while_it_runs_and_never_twice(executor):
    container_id = launch(executor, job_view(*SLEEP))

    with pytest.raises(ContainerBusy):
        executor.remove(container_id)
    assert executor.observe(container_id).state == "running"

    executor.remove(container_id, force=True)
    assert executor.observe(container_id) is None
    executor.remove(container_id)


def test_usage_of_a_running_container(executor):
    container_id = launch(executor, script("while :; do :; done", template={"memory_limit": 64}))

    reading = wait_until(lambda: executor.usage(container_id), 10)

    assert reading.cpu_seconds > 0
    assert 0 < reading.memory_bytes < 64 * 2**20
    assert reading.pids >= 2
    executor.signal(container_id, "KILL")
    until_exited(executor, container_id)
    assert executor.usage(container_id) is None
    assert executor.usage("no-such-container") is None


def test_every_thread_has_its_own_connections(executor):
    def create_and_close():
        results.append(executor.create(script("true")).fresh)
        executor.close()

    results: list[bool] = []
    threads = [threading.Thread(target=create_and_close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert results == [True] * 4
    assert len(executor.list_containers()) == 4


def test_one_connection_serves_all_of_a_threads_calls(executor):
    def sockets():
        return sum(stat.S_ISSOCK(os.stat(number).st_mode) for number in _descriptors())

    executor.check()
    before = sockets()
    for number in range(30):
        executor.observe(f"container-{number}")

    assert sockets() == before


def _descriptors():
    with os.scandir("/proc/self/fd") as entries:
        numbers = [int(entry.name) for entry in entries]
    return [number for number in numbers if os.path.exists(f"/proc/self/fd/{number}")]


def test_the_version_is_asked_once_for_all_threads(docker_engine):
    with Relay(docker_engine.url.removeprefix("unix://")) as relay:
        executor = DockerExecutor(host_view(relay.url))
        executor.observe("nothing")
        asked = executor._client.version()
        executor._client.negotiate = lambda: pytest.fail("asked again")

        assert executor._client.version() == asked
        assert executor.observe("nothing") is None
        executor.close()
