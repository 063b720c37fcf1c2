"""SwarmExecutor on a real swarm of one node: each promise of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import docker
import pytest

from hosts.errors import ContainerBusy, ContainerExecutionError, DockerConnectionError, LaunchFailed
from hosts.executors import frames, option_reader
from hosts.executors.contract import JobView, Network
from hosts.executors.swarm import SwarmExecutor, refusals, secrets, spec
from hosts.executors.swarm.names import secret_name, service_name
from tests.support import engines
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
from tests.support.registry import Registry
from tests.support.requirements import missing
from tests.support.swarms import SwarmNode, running_swarm
from tests.support.waiting import wait_until


@pytest.fixture
def swarm_executor(swarm: SwarmNode) -> Iterator[SwarmExecutor]:
    """An executor of an installation of its own."""
    executor = SwarmExecutor(host_view(swarm.url, kind="swarm"))
    yield executor
    for seen in executor.list_containers():
        executor.remove(seen.container_id, force=True)
    executor.close()


def test_the_swarm_is_one_engine_with_all_that_its_nodes_have(
    swarm_executor: SwarmExecutor, swarm: SwarmNode
) -> None:
    facts = swarm_executor.check()
    assert facts.engine_id == f"swarm {swarm.api.inspect_swarm()['ID']}"
    assert facts.cpus
    assert facts.memory_bytes
    assert facts.disk_free_bytes is None


@pytest.mark.parametrize("code", [0, 3])
def test_a_job_runs_to_its_end_with_its_log_and_exit_code(swarm_executor: SwarmExecutor, code: int) -> None:
    seen = run(swarm_executor, script(f"echo out; echo err >&2; sleep 0.1; exit {code}"))
    assert (seen.state, seen.exit_code, seen.oom_killed, seen.error) == ("exited", code, False, "")
    assert seen.started_at
    assert seen.finished_at
    assert seen.started_at <= seen.finished_at
    log = read_log(swarm_executor, seen.container_id)
    assert (written(log, frames.STDOUT), written(log, frames.STDERR)) == (b"out\n", b"err\n")


def test_a_service_that_was_made_has_not_started_anything(
    swarm_executor: SwarmExecutor, swarm: SwarmNode
) -> None:
    job = script("true")
    made = swarm_executor.create(job)
    again = swarm_executor.create(job)
    assert (made.state, made.fresh) == ("created", True)
    assert (again.state, again.fresh, again.container_id) == ("created", False, made.container_id)
    assert again.labels == made.labels
    assert not swarm.tasks(made.container_id)


def test_it_is_found_by_its_id_and_by_the_containers_name(swarm_executor: SwarmExecutor) -> None:
    job = script("sleep 60")
    container_id = launch(swarm_executor, job)
    for ref in (container_id, job.container_name):
        seen = swarm_executor.observe(ref)
        assert seen is not None
        assert (seen.container_id, seen.state, seen.label("job")) == (container_id, "running", str(job.id))
    assert [one.container_id for one in swarm_executor.list_containers()] == [container_id]


def test_nothing_is_found_where_nothing_is(swarm_executor: SwarmExecutor) -> None:
    assert swarm_executor.observe(job_view().container_name) is None
    assert swarm_executor.list_containers() == []


def test_a_name_longer_than_a_swarm_takes_keeps_the_job() -> None:
    name = "tallyman-01890000-0000-7000-8000-00000000000a-01890000-0000-7000-8000-00000000000b"
    short = service_name(name)
    assert len(short) <= 63
    assert short.endswith("01890000000070008000" + "00000000000b")
    assert service_name(short) == short


def test_a_second_start_does_not_run_it_again(swarm_executor: SwarmExecutor, swarm: SwarmNode) -> None:
    container_id = launch(swarm_executor, script("exit 3"))
    until_exited(swarm_executor, container_id)
    swarm_executor.start(container_id)
    assert len(swarm.tasks(container_id)) == 1


def test_a_discarded_service_is_gone_and_never_starts(swarm_executor: SwarmExecutor) -> None:
    container_id = swarm_executor.create(script("true")).container_id
    assert swarm_executor.discard(container_id) is None
    assert swarm_executor.observe(container_id) is None
    assert swarm_executor.discard(container_id) is None, "the manager's events prove it"
    with pytest.raises(DockerConnectionError):
        swarm_executor.start(container_id)


def test_a_start_that_was_under_way_loses_against_a_discard(swarm_executor: SwarmExecutor) -> None:
    container_id = swarm_executor.create(script("true")).container_id
    looked_at = swarm_executor._swarm.service(container_id)
    assert looked_at is not None
    wanted = spec.started(looked_at)
    assert wanted
    assert swarm_executor._discarded(container_id)
    late = swarm_executor._swarm.update(looked_at, wanted)
    assert refusals.is_out_of_sequence(late)
    with pytest.raises(DockerConnectionError, match="gone before it could start"):
        swarm_executor.start(container_id)


def test_what_was_started_is_not_discarded(swarm_executor: SwarmExecutor) -> None:
    container_id = launch(swarm_executor, script("sleep 60"))
    seen = swarm_executor.discard(container_id)
    assert seen is not None
    assert seen.state == "running"
    swarm_executor.remove(container_id, force=True)
    gone = swarm_executor.discard(container_id)
    assert gone is not None, "it did start: that must not be forgotten"
    assert (gone.state, gone.exit_code) == ("exited", None)


def test_a_running_job_is_removed_by_force_only_and_is_over_then(
    swarm_executor: SwarmExecutor, swarm: SwarmNode
) -> None:
    container_id = launch(swarm_executor, script("trap '' TERM; while :; do sleep 1; done"))
    with pytest.raises(ContainerBusy):
        swarm_executor.remove(container_id)
    swarm_executor.remove(container_id, force=True)
    assert not swarm.api.containers(filters={"status": "running"})
    assert swarm_executor.observe(container_id) is None
    swarm_executor.remove(container_id)


def test_a_signal_reaches_the_first_process(swarm_executor: SwarmExecutor) -> None:
    job = script("trap 'echo got it; exit 7' USR1; echo up; while :; do sleep 0.1; done")
    container_id = launch(swarm_executor, job)
    wait_until(lambda: b"up" in read_log(swarm_executor, container_id), 10, "it to be up")
    swarm_executor.signal(container_id, "USR1")
    assert until_exited(swarm_executor, container_id).exit_code == 7
    swarm_executor.signal(container_id, "KILL")
    assert b"got it" in read_log(swarm_executor, container_id)


def test_memory_that_ran_out_is_told(swarm_executor: SwarmExecutor) -> None:
    seen = run(swarm_executor, script("tail /dev/zero", template={"memory_limit": 64}))
    assert (seen.exit_code, seen.oom_killed) == (137, True)


def test_an_image_that_no_node_has_is_refused_at_the_start(swarm_executor: SwarmExecutor) -> None:
    job = job_view("true", template={"docker_image": "127.0.0.1:1/nobody/nothing:1"})
    seen = run(swarm_executor, job)
    assert isinstance(seen.refusal, LaunchFailed)
    assert seen.refusal.failure_class == "image_missing"
    assert (seen.state, seen.started_at, seen.exit_code) == ("exited", None, None)


@pytest.mark.parametrize(
    ("command", "failure_class", "code"),
    [("/no/such", "command_not_found", 127), ("/etc", "command_not_executable", 126)],
)
def test_a_command_that_cannot_be_run_is_refused_at_the_start(
    swarm: SwarmNode, command: str, failure_class: str, code: int
) -> None:
    # With an init process it is that one that starts, and ends with the same codes.
    executor = SwarmExecutor(host_view(swarm.url, kind="swarm", init=False))
    seen = run(executor, job_view(command))
    executor.close()
    assert isinstance(seen.refusal, ContainerExecutionError)
    assert not isinstance(seen.refusal, LaunchFailed)
    assert (seen.refusal.failure_class, seen.refusal.exit_code) == (failure_class, code)


def test_what_no_node_could_take_is_refused_at_once(swarm_executor: SwarmExecutor) -> None:
    with pytest.raises(ContainerExecutionError, match="no node of the swarm has more") as caught:
        swarm_executor.create(script("true", template={"cpu_limit": 1000.0}))
    assert caught.value.failure_class == "create_refused"
    with pytest.raises(ContainerExecutionError, match="memory"):
        swarm_executor.create(script("true", template={"memory_limit": 1 << 30}))
    assert swarm_executor.list_containers() == []


def test_a_log_goes_on_where_the_stored_part_ends(swarm_executor: SwarmExecutor) -> None:
    container_id = run(swarm_executor, script("for i in 1 2 3 4 5 6; do echo line $i; done")).container_id
    whole = read_log(swarm_executor, container_id)
    first = b"".join(frames.pack(*frame) for frame in list(frames.walk(whole))[:4])
    assert first + read_log(swarm_executor, container_id, resume_after(first)) == whole
    assert read_log(swarm_executor, container_id, resume_after(whole)) == b""


def test_limits_and_settings_reach_the_container(swarm: SwarmNode) -> None:
    executor = SwarmExecutor(host_view(swarm.url, kind="swarm", log_max_size="100m", init=False))
    template = {"memory_limit": 64, "cpu_limit": 0.5, "working_directory": "/tmp", "stop_grace_seconds": 3}
    container_id = launch(executor, script("sleep 60", template=template))
    try:
        seen = executor.observe(container_id)
        assert seen is not None
        inspected = swarm.api.inspect_container(seen.metadata["container_id"])
        host_config = inspected["HostConfig"]
        assert host_config["Memory"] == 64 * 1024 * 1024
        assert host_config["NanoCpus"] == 500_000_000
        assert host_config["PidsLimit"] == 4096
        assert host_config["LogConfig"]["Type"] == "local"
        assert host_config["LogConfig"]["Config"]["max-size"] == "100m"
        assert host_config["Init"] is False
        assert inspected["Config"]["WorkingDir"] == "/tmp"
        assert seen.log_limit_bytes == 100 * 1024 * 1024
        task = swarm.tasks(container_id)[0]
        assert task["Spec"]["ContainerSpec"]["StopGracePeriod"] == 3_000_000_000
        assert task["Spec"]["Resources"]["Reservations"] == {"NanoCPUs": 500_000_000, "MemoryBytes": 1 << 26}
    finally:
        executor.remove(container_id, force=True)
        executor.close()


def test_what_a_running_container_uses_is_told(swarm_executor: SwarmExecutor) -> None:
    container_id = launch(swarm_executor, script("while :; do :; done"))
    usage = swarm_executor.usage(container_id)
    assert usage is not None
    assert usage.memory_bytes is not None


def test_a_network_that_is_not_there_is_said(swarm_executor: SwarmExecutor) -> None:
    with pytest.raises(ContainerExecutionError) as caught:
        swarm_executor.create(script("true", networks=(Network(name="nonet"),)))
    assert caught.value.failure_class == "network_missing"


@pytest.fixture
def secluded_swarm() -> Iterator[SwarmNode]:
    """One that no other on this machine keeps from telling names: they all do so at one fixed port."""
    if reason := engines.unavailable():
        missing("docker", reason)
    with running_swarm(secluded=True) as swarm:
        yield swarm


def test_jobs_find_each_other_in_an_overlay_network_by_their_aliases(secluded_swarm: SwarmNode) -> None:
    executor = SwarmExecutor(host_view(secluded_swarm.url, kind="swarm"))
    network = secluded_swarm.api.create_network("jobs-net", driver="overlay", attachable=True)["Id"]
    named = script("sleep 60", networks=(Network(name="jobs-net", aliases=("thejob",)),))
    container_id = launch(executor, named)
    # Its name is known a moment after it runs.
    until_known = "n=0; until ping -c1 -W5 thejob; do n=$((n+1)); [ $n -lt 50 ] || exit 1; sleep 0.1; done"
    # A ping needs a capability, and no container has one that its template does not ask for.
    pinging = {"options": option_reader.read({"security": {"cap_add": ["NET_RAW"]}})}
    asking = script(until_known, networks=(Network(name="jobs-net"),), template=pinging)
    seen = run(executor, asking)
    assert seen.exit_code == 0, read_log(executor, seen.container_id)
    for one in (container_id, seen.container_id):
        executor.remove(one, force=True)
    wait_until(lambda: removed(secluded_swarm, network), 20, "the network to be free")
    executor.close()


def removed(swarm: SwarmNode, network_id: str) -> bool:
    try:
        swarm.api.remove_network(network_id)
    except docker.errors.NotFound:
        return True
    except docker.errors.APIError:  # a container is still on its way out
        return False
    return True


def test_nodes_log_in_at_a_registry_as_the_host_says(swarm: SwarmNode) -> None:
    with Registry(login=("ann", "s3cret")) as registry:
        logins = {registry.address: {"username": "ann", "password": "s3cret"}}
        executor = SwarmExecutor(host_view(swarm.url, kind="swarm", registries=logins))
        job = script("echo pulled", template={"docker_image": f"{registry.address}/team/app:v1"})
        try:
            seen = run(executor, job)
            assert written(read_log(executor, seen.container_id), frames.STDOUT) == b"pulled\n"
            assert "s3cret" not in swarm.everything()
        finally:
            executor.remove(executor.create(job).container_id, force=True)
            executor.close()


def with_secret(value: str) -> JobView:
    environment = {"PASSWORD": value, "PLAIN": "1"}
    return script("cat $PASSWORD_FILE", environment=environment, secret_names=frozenset({"PASSWORD"}))


def secrets_of(swarm: SwarmNode, job: JobView) -> list[str]:
    found = swarm.api.secrets(filters={"label": f"tallyman.job={job.id}"})
    return [secret["ID"] for secret in found]


def test_a_secret_that_a_crash_left_behind_is_replaced_by_the_next_launch(
    swarm_executor: SwarmExecutor, swarm: SwarmNode
) -> None:
    job = with_secret("right")
    secrets.make(swarm_executor._client, swarm_executor.host, replace(job, environment={"PASSWORD": "old"}))
    (left,) = secrets_of(swarm, job)
    container_id = swarm_executor.create(job).container_id
    (made,) = secrets_of(swarm, job)
    assert made != left
    swarm_executor.start(container_id)
    until_exited(swarm_executor, container_id)
    assert written(read_log(swarm_executor, container_id), frames.STDOUT) == b"right"
    assert swarm_executor.create(job).container_id == container_id
    assert secrets_of(swarm, job) == [made], "what is in use stays as it is"
    swarm_executor.remove(container_id)
    assert secrets_of(swarm, job) == []


def test_secrets_of_a_discarded_service_go_with_it(swarm_executor: SwarmExecutor, swarm: SwarmNode) -> None:
    job = with_secret("x")
    assert swarm_executor.discard(swarm_executor.create(job).container_id) is None
    assert secrets_of(swarm, job) == []


def test_secrets_without_a_service_are_swept_after_a_while_only(
    swarm_executor: SwarmExecutor, swarm: SwarmNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone, kept = with_secret("x"), with_secret("y")
    secrets.make(swarm_executor._client, swarm_executor.host, alone)
    swarm_executor.create(kept)
    swarm_executor.list_containers()
    assert secrets_of(swarm, alone), "its service may be about to be made"
    monkeypatch.setattr(secrets, "_LEFT_BEHIND_AFTER", timedelta(0))
    swarm_executor.list_containers()
    assert (len(secrets_of(swarm, alone)), len(secrets_of(swarm, kept))) == (0, 1)


def test_a_secret_of_somebody_else_is_left_alone(swarm_executor: SwarmExecutor, swarm: SwarmNode) -> None:
    job = with_secret("x")
    foreign = swarm.api.create_secret(secret_name(job.id, job.attempt, 1), b"theirs")["ID"]
    with pytest.raises(ContainerExecutionError) as caught:
        swarm_executor.create(job)
    assert caught.value.failure_class == "name_conflict"
    assert swarm.api.inspect_secret(foreign)
