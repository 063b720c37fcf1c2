"""A swarm of two real nodes: what runs on the one that we do not talk to, and what becomes of a lost one."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Iterator

import pytest

from hosts.errors import ConfigurationError
from hosts.executors import frames
from hosts.executors.contract import Observation
from hosts.executors.swarm import SwarmExecutor
from tests.support import engines
from tests.support.containers import (
    host_view,
    launch,
    read_log,
    resume_after,
    run,
    script,
    until_exited,
    written,
)
from tests.support.requirements import missing
from tests.support.swarms import SwarmNode, swarm_of_two
from tests.support.waiting import wait_until

Pair = tuple[SwarmNode, SwarmNode]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    """A manager and a worker, for all tests here."""
    if reason := engines.unavailable():
        missing("docker", reason)
    with swarm_of_two() as nodes:
        yield nodes


@pytest.fixture
def on(pair: Pair) -> Iterator[Callable[..., SwarmExecutor]]:
    """Makes executors of an installation of their own, whose jobs run on the given node, or on any."""
    made: list[SwarmExecutor] = []

    def make(node: SwarmNode | None = None, *constraints: str) -> SwarmExecutor:
        wanted = [f"node.id=={node.id}"] if node else []
        view = host_view(pair[0].url, kind="swarm", constraints=[*wanted, *constraints])
        made.append(SwarmExecutor(view))
        made[-1].check()
        return made[-1]

    yield make
    for executor in made:
        for seen in executor.list_containers():
            executor.remove(seen.container_id, force=True)
        executor.close()


@pytest.fixture
def far(pair: Pair, on: Callable[..., SwarmExecutor]) -> SwarmExecutor:
    """An executor whose jobs run on the node that it does not talk to."""
    return on(pair[1])


def node_of(seen: Observation | None) -> str:
    assert seen is not None
    return str(seen.metadata["node_id"])


def test_only_a_manager_can_be_a_host(pair: Pair) -> None:
    executor = SwarmExecutor(host_view(pair[1].url, kind="swarm"))
    with pytest.raises(ConfigurationError, match="not a manager of a swarm"):
        executor.check()
    executor.close()


def test_the_scheduler_spreads_jobs_over_the_nodes(pair: Pair, on: Callable[..., SwarmExecutor]) -> None:
    executor = on()
    ids = [launch(executor, script("sleep 60")) for _ in range(4)]
    nodes = [node_of(executor.observe(one)) for one in ids]
    assert {nodes.count(node.id) for node in pair} == {2}


@pytest.mark.parametrize("code", [0, 3])
def test_a_far_job_runs_to_its_end_with_its_log_and_exit_code(
    pair: Pair, far: SwarmExecutor, code: int
) -> None:
    seen = run(far, script(f"echo out; echo err >&2; exit {code}"))
    assert (seen.exit_code, seen.error, node_of(seen)) == (code, "", pair[1].id)
    assert seen.started_at
    log = read_log(far, seen.container_id)
    assert (written(log, frames.STDOUT), written(log, frames.STDERR)) == (b"out\n", b"err\n")
    assert far.usage(seen.container_id) is None


def test_a_far_log_of_20_000_lines_is_whole(far: SwarmExecutor) -> None:
    seen = run(far, script("seq 1 20000"))
    log = read_log(far, seen.container_id)
    assert written(log, frames.STDOUT) == b"".join(b"%d\n" % number for number in range(1, 20_001))
    end = list(frames.walk(log))[:10_000]
    half = b"".join(frames.pack(*frame) for frame in end)
    assert half + read_log(far, seen.container_id, resume_after(half)) == log


def test_a_far_job_is_followed_and_its_end_is_told_at_once(far: SwarmExecutor) -> None:
    hints, stop = [], threading.Event()

    def listen() -> None:
        hints.extend((hint.container_id, hint.action) for hint in far.watch(stop))

    thread = threading.Thread(target=listen)
    thread.start()
    try:
        wait_until(lambda: far._news._states is not None, 10, "the first look")
        container_id = launch(far, script("echo one; sleep 2; echo two"))
        followed = read_log(far, container_id, follow=True)
    finally:
        stop.set()
        thread.join(5)
    assert not thread.is_alive()
    assert written(followed, frames.STDOUT) == b"one\ntwo\n"
    assert hints[0] == (None, "connected")
    assert (container_id, "die") in hints


def test_a_far_job_is_stopped_by_its_own_signal_and_keeps_its_last_words(far: SwarmExecutor) -> None:
    job = script(
        "trap 'echo got it; exit 7' USR1; echo up; while :; do sleep 0.1; done",
        template={"stop_signal": "SIGUSR1", "stop_grace_seconds": 10},
    )
    container_id = launch(far, job)
    wait_until(lambda: b"up" in read_log(far, container_id), 10, "it to be up")
    far.signal(container_id, "USR1")
    far.signal(container_id, "USR1")
    assert until_exited(far, container_id).exit_code == 7
    assert b"got it" in read_log(far, container_id)


def test_a_far_job_that_will_not_stop_is_killed_after_its_grace(far: SwarmExecutor) -> None:
    stubborn = "trap '' TERM; while :; do sleep 0.1; done"
    container_id = launch(far, script(stubborn, template={"stop_grace_seconds": 1}))
    far.remove(container_id, force=True)
    assert far.observe(container_id) is None


def test_a_job_that_no_node_takes_waits_until_it_is_stopped(on: Callable[..., SwarmExecutor]) -> None:
    executor = on(None, "node.labels.disk==ssd")
    container_id = executor.create(script("true")).container_id
    executor.start(container_id)
    seen = executor.observe(container_id)
    assert seen is not None
    assert (seen.state, seen.started_at) == ("starting", None)
    assert "no suitable node" in seen.metadata["task_message"]
    assert "no suitable node" in seen.error
    executor.signal(container_id, "TERM")
    ended = until_exited(executor, container_id)
    assert (ended.exit_code, ended.started_at) == (None, None)
    assert executor.list_containers()[0].state == "exited"


def test_a_job_that_waits_for_a_node_runs_once_there_is_one(
    pair: Pair, on: Callable[..., SwarmExecutor]
) -> None:
    executor = on(None, "node.labels.disk==nvme")
    container_id = executor.create(script("sleep 60")).container_id
    executor.start(container_id)
    waiting = executor.observe(container_id)
    assert waiting is not None
    assert waiting.state == "starting"
    pair[0].label(pair[0].id, disk="nvme")
    running = wait_until(lambda: running_now(executor, container_id), 15, "it to run")
    assert (running.started_at is None, running.error) == (False, "")


def running_now(executor: SwarmExecutor, container_id: str) -> Observation | None:
    seen = executor.observe(container_id)
    return seen if seen and seen.state == "running" else None


def states(manager: SwarmNode, *service_ids: str) -> list[str]:
    return [task["Status"]["State"] for one in service_ids for task in manager.tasks(one)]


def test_neither_a_lost_node_nor_a_manager_that_starts_anew_makes_a_job_run_twice(
    pair: Pair,
) -> None:
    """The last one here: it leaves the pair broken."""
    manager, worker = pair
    view = host_view(manager.url, kind="swarm")
    executor = SwarmExecutor(view)
    far = SwarmExecutor(dataclasses.replace(view, config={"constraints": [f"node.id=={worker.id}"]}))
    lost, node = launch(far, script("sleep 600")), worker.id
    ended = [run(executor, script(f"exit {code}")).container_id for code in (3, 0)]
    wait_until(lambda: states(manager, *ended) == ["failed", "complete"], 10, "it to know")
    worker.engine.kill()
    wait_until(lambda: manager.node_state(node) == "down", 30, "the node to be down")
    seen = executor.observe(lost)
    assert seen is not None
    assert seen.state == "running", "it may run on, for all that anybody knows"
    executor.close()
    manager.engine.stop()
    manager.engine.start()
    # What its orchestrator does to the tasks that it finds, it does before any that comes after.
    ended.append(run(executor, script("true")).container_id)
    manager.api.remove_node(node, force=True)
    assert until_exited(executor, lost).exit_code is None
    assert len(states(manager, *ended, lost)) == 4
    codes = [seen.exit_code for one in ended if (seen := executor.observe(one))]
    assert codes == [3, 0, 0]
    executor.close()
    far.close()
