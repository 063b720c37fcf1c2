"""From create to remove: made once, started once, told apart, ended, and gone."""

from __future__ import annotations

import dataclasses
import threading

import pytest

from hosts.errors import ContainerBusy, ContainerExecutionError, EngineError, ImageMissing
from hosts.executors.contract import ContainerExecutor, Observation, labels_for
from tests.conformance.kit import Kit, Program

TRUE, FOREVER = Program(), Program(waits=True)


class Lifecycle:
    """A part of `tests.conformance.suite.Conformance`."""

    def test_a_container_is_created_fresh_and_not_started(self, kit: Kit, executor: ContainerExecutor):
        job = kit.job(TRUE)
        made = executor.create(job)
        seen = executor.observe(job.container_name)
        assert (made.fresh, made.state, made.name) == (True, "created", job.container_name)
        assert labels_for(executor.host, job).items() <= made.labels.items()
        assert seen is not None
        assert (seen.container_id, seen.state, seen.fresh) == (made.container_id, "created", False)
        assert (seen.started_at, seen.finished_at, seen.exit_code) == (None, None, None)
        assert labels_for(executor.host, job).items() <= seen.labels.items()
        assert executor.observe(made.container_id) == seen

    def test_create_of_a_name_that_is_taken_shows_what_has_it(self, kit: Kit, executor: ContainerExecutor):
        job = kit.job(TRUE)
        first = executor.create(job)
        again = executor.create(dataclasses.replace(job, attempt=2))
        assert (again.fresh, again.container_id, again.label("attempt")) == (False, first.container_id, "1")

    def test_of_many_creates_at_once_one_makes_the_container(self, kit: Kit, executor: ContainerExecutor):
        job = kit.job(TRUE)
        answers: list[Observation | EngineError] = []

        def create() -> None:
            try:
                answers.append(executor.create(job))
            except EngineError as exc:  # "unknown" is an answer, too
                answers.append(exc)
            executor.close()

        threads = [threading.Thread(target=create) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(kit.seconds)
        made = [one for one in answers if isinstance(one, Observation)]
        assert len(answers) == len(threads)
        assert sum(one.fresh for one in made) == 1
        assert len({one.container_id for one in made}) == 1

    def test_another_worker_finds_what_an_earlier_one_made(self, kit: Kit, executor: ContainerExecutor):
        if not executor.capabilities.lists:
            pytest.skip("it cannot list what an earlier worker made")
        job = kit.job(FOREVER)
        made = executor.create(job)
        other = kit.executor()
        assert other.create(job).fresh is False
        container_id = kit.start(executor, made.container_id, FOREVER)
        seen = kit.until_state(other, container_id, "running")
        assert labels_for(executor.host, job).items() <= seen.labels.items()
        other.remove(container_id, force=True)
        kit.until(lambda: executor.observe(container_id) is None, "it to be gone")
        other.close()

    def test_a_container_runs_and_then_shows_its_end(self, kit: Kit, executor: ContainerExecutor):
        container_id = kit.begin(executor, FOREVER)
        running = kit.until_state(executor, container_id, "running")
        executor.signal(container_id, "KILL")
        exited = kit.until_state(executor, container_id, "exited")
        assert (running.exit_code, running.finished_at) == (None, None)
        assert running.started_at is not None
        assert exited.exit_code != 0
        if exited.finished_at and exited.started_at:
            assert exited.started_at.tzinfo is not None
            assert exited.started_at <= exited.finished_at

    @pytest.mark.parametrize("exit_code", [0, 3, 255])
    def test_the_exit_code_is_the_programs(self, kit: Kit, executor: ContainerExecutor, exit_code: int):
        seen = kit.run(executor, Program(exit_code=exit_code))
        assert (seen.exit_code, seen.oom_killed) == (exit_code, False)

    def test_what_never_was_is_absent(self, kit: Kit, executor: ContainerExecutor):
        assert executor.observe(kit.job(TRUE).container_name) is None

    def test_what_runs_is_removed_by_force_only(self, kit: Kit, executor: ContainerExecutor):
        container_id = kit.begin(executor, FOREVER)
        kit.until_state(executor, container_id, "running")
        with pytest.raises(ContainerBusy):
            executor.remove(container_id)
        seen = executor.observe(container_id)
        assert seen is not None
        assert seen.state == "running"
        executor.remove(container_id, force=True)
        kit.until(lambda: executor.observe(container_id) is None, "it to be gone")

    def test_what_has_ended_or_never_started_is_removed(self, kit: Kit, executor: ContainerExecutor):
        ended = kit.run(executor, TRUE).container_id
        made = executor.create(kit.job(TRUE)).container_id
        for container_id in (ended, made):
            executor.remove(container_id)
            kit.until(lambda gone=container_id: executor.observe(gone) is None, "it to be gone")
            executor.remove(container_id)  # that it is gone already is fine

    def test_the_name_is_free_again_once_its_container_is_gone(self, kit: Kit, executor: ContainerExecutor):
        job = kit.job(TRUE)
        container_id = kit.start(executor, executor.create(job).container_id, TRUE)
        kit.until_state(executor, container_id, "exited")
        executor.remove(container_id)
        kit.until(lambda: executor.observe(job.container_name) is None, "the name to be free")
        again = executor.create(dataclasses.replace(job, attempt=2))
        assert (again.fresh, again.label("attempt")) == (True, "2")

    def test_what_was_not_started_is_discarded_for_good(self, kit: Kit, executor: ContainerExecutor):
        job = kit.job(TRUE)
        container_id = executor.create(job).container_id
        assert executor.discard(container_id) is None
        kit.until(lambda: executor.observe(job.container_name) is None, "it to be gone")
        with pytest.raises(EngineError):
            executor.start(container_id)

    def test_what_was_started_is_not_discarded(self, kit: Kit, executor: ContainerExecutor):
        container_id = kit.begin(executor, FOREVER)
        kit.until_state(executor, container_id, "running")
        told = executor.discard(container_id)
        assert told is not None
        assert told.state == "running"
        seen = executor.observe(container_id)
        assert seen is not None
        assert seen.state == "running"

    def test_an_image_that_is_missing_is_said_to_be(self, kit: Kit, executor: ContainerExecutor):
        if not kit.missing_image:
            pytest.skip("it looks at no image before the start")
        job = kit.job(TRUE)
        job.template = dataclasses.replace(job.template, docker_image=kit.missing_image)
        with pytest.raises(ImageMissing):
            executor.create(job)

    def test_a_program_that_does_not_exist_is_refused_with_a_reason(
        self, kit: Kit, executor: ContainerExecutor
    ):
        if not kit.runs_programs:
            pytest.skip("its jobs only pretend to run")
        job = kit.job(TRUE, command=("/no/such/program",))
        refusal = None
        try:
            made = executor.create(job).container_id
            container_id = executor.start(made) or made
        except ContainerExecutionError as exc:
            refusal = exc
        if refusal is None:
            seen = kit.until_state(executor, container_id, "exited")
            refusal = seen.refusal
        if refusal is None:
            assert seen.exit_code == 127
        else:
            assert refusal.failure_class
            assert str(refusal)
