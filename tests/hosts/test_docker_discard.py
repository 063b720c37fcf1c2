"""Deleting a container that never started, and what an engine tells of one that had started after all."""

from __future__ import annotations

import threading
from datetime import datetime

import pytest

from hosts.errors import DockerConnectionError
from hosts.executors.docker import DockerExecutor
from hosts.executors.docker.lifetime import Lifetime, of_events
from tests.support.containers import launch, run, script, until_exited

MANY_EVENTS = 300  # more than an engine keeps


def lifetime(*actions: str, marked: bool = False) -> Lifetime:
    return of_events([{"Action": action} for action in actions], marked=marked)


@pytest.mark.parametrize(
    ("actions", "marked"),
    [
        (("create", "destroy"), False),
        (("create", "update", "destroy"), True),
        (("update", "destroy"), True),  # its creation is forgotten; after the mark it was still `created`
        (("create", "remove"), False),
    ],
)
def test_a_life_without_a_start_from_its_creation_or_its_mark_on_is_proof(actions, marked):
    assert lifetime(*actions, marked=marked).never_started


@pytest.mark.parametrize(
    ("actions", "marked"),
    [
        ((), True),
        (("create",), True),  # not gone
        (("destroy",), False),  # whatever came before is forgotten
        (("update", "destroy"), False),  # whose mark it was, and what it was then, is not known
        (("create", "start", "die", "destroy"), True),
        (("update", "start", "die", "destroy"), True),
        (("die", "destroy"), False),
    ],
)
def test_anything_less_proves_nothing(actions, marked):
    assert not lifetime(*actions, marked=marked).never_started


def test_the_exit_code_of_a_life_is_told_by_its_die_event():
    life = of_events(
        [
            {"Action": "start"},
            {
                "Action": "die",
                "Actor": {"Attributes": {"exitCode": "7"}},
                "timeNano": 1_700_000_000_500_000_000,
            },
        ],
        marked=True,
    )

    seen = life.observation("c1", "name", {"a": "b"})
    assert (seen.state, seen.exit_code, seen.finished_at.microsecond) == ("exited", 7, 500_000)
    assert "had ended" in seen.error


@pytest.mark.docker
class TestOnAnEngine:
    def test_a_container_that_never_started_is_gone_with_proof(self, executor):
        container_id = executor.create(script("true")).container_id

        assert executor.discard(container_id) is None
        assert executor.observe(container_id) is None

    def test_one_that_runs_or_has_exited_is_left_alone(self, executor):
        running = launch(executor, script("sleep 60"))
        exited = run(executor, script("exit 3")).container_id

        assert executor.discard(running).state == "running"
        assert (executor.discard(exited).state, executor.discard(exited).exit_code) == ("exited", 3)
        assert executor.observe(running) is not None
        executor.remove(running, force=True)
        executor.remove(exited)

    def test_one_that_was_started_and_ended_between_the_look_and_the_deletion_tells_its_exit_code(
        self, executor, monkeypatch
    ):
        container_id = executor.create(script("exit 3")).container_id
        remove = executor.remove

        def land_the_start_that_somebody_else_sent(doomed: str) -> None:
            executor.start(doomed)
            until_exited(executor, doomed)
            remove(doomed)

        monkeypatch.setattr(executor, "remove", land_the_start_that_somebody_else_sent)
        seen = executor.discard(container_id)

        monkeypatch.undo()
        assert (seen.state, seen.exit_code) == ("exited", 3)
        assert executor.observe(container_id) is None

    def test_a_start_that_races_with_it_is_never_overlooked(self, executor, docker_engine):
        for _ in range(8):
            container_id = executor.create(script("true")).container_id
            start = threading.Thread(target=_start, args=(executor, container_id))
            start.start()
            seen = executor.discard(container_id)
            start.join()
            started = _starts(docker_engine, container_id)
            assert (seen is None) == (started == 0)
            executor.remove(container_id, force=True)

    def test_a_second_try_after_a_lost_answer_still_proves_it(self, executor):
        container_id = executor.create(script("true")).container_id
        executor.remove(container_id)

        assert executor.discard(container_id) is None

    def test_what_the_engine_has_forgotten_is_not_taken_for_proof(self, executor, docker_engine):
        container_id = executor.create(script("true")).container_id
        executor.remove(container_id)
        other = executor.create(script("true")).container_id
        for number in range(MANY_EVENTS):
            docker_engine.api.rename(other, f"renamed-{number}")

        seen = executor.discard(container_id)

        assert (seen.state, seen.exit_code) == ("exited", None)
        assert "before it was known whether it had started" in seen.error
        executor.remove(other)


def _start(executor: DockerExecutor, container_id: str) -> None:
    try:
        executor.start(container_id)
    except DockerConnectionError:
        pass  # it was gone
    finally:
        executor.close()


def _starts(engine, container_id: str) -> int:
    filters = {"container": container_id, "event": "start"}
    now = datetime.fromisoformat(engine.api.info()["SystemTime"]).timestamp()
    return len(list(engine.api.events(since=1, until=now, filters=filters, decode=True)))
