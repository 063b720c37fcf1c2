"""What an executor says of itself and its engine, how it stops things, and what it leaves alone."""

from __future__ import annotations

import json
import threading

import pytest

from hosts.errors import ConfigurationError, DockerConnectionError
from hosts.executors.capabilities import Capabilities
from hosts.executors.contract import ContainerExecutor, EngineFacts, Hint, Usage
from hosts.executors.registry import executor_class
from tests.conformance.kit import Kit, Program, written

TRUE, FOREVER = Program(), Program(waits=True)
ODD_SETTINGS = ({"timeout": "soon"}, {"timeout": []}, {"no_such_setting": 1}, {"base_url": 5}, {"": {}})


class Manners:
    """A part of `tests.conformance.suite.Conformance`."""

    # ── the engine ────────────────────────────────────────────────────────────────────────────────────

    def test_check_says_who_the_engine_is_and_to_everybody_the_same(
        self, kit: Kit, executor: ContainerExecutor
    ):
        facts = executor.check()
        assert isinstance(facts, EngineFacts)
        assert facts.engine_id
        assert facts.clock_at is None or facts.clock_at.tzinfo is not None
        assert executor.check().engine_id == kit.executor().check().engine_id == facts.engine_id

    def test_an_engine_that_cannot_be_reached_is_unknown_and_never_empty(self, kit: Kit):
        if kit.nowhere is None:
            pytest.skip("there is no address where nobody answers")
        executor = kit.executor(kit.nowhere)
        job = kit.job(TRUE)
        for call in (
            executor.check,
            executor.list_containers,
            lambda: executor.observe(job.container_name),
            lambda: executor.create(job),
            lambda: executor.start("0" * 64),
            lambda: executor.remove("0" * 64),
        ):
            with pytest.raises(DockerConnectionError):
                call()
        executor.close()

    def test_settings_are_looked_at_without_a_crash(self, kit: Kit):
        executor = executor_class(kit.host.executor_type)
        assert executor.validate_config(kit.host.base_url, kit.host.config) == []
        for wrong in ODD_SETTINGS:
            for problem in executor.validate_config(kit.host.base_url, {**kit.host.config, **wrong}):
                assert isinstance(problem, str)

    def test_wrong_settings_are_refused_in_sentences(self, kit: Kit):
        executor = executor_class(kit.host.executor_type)
        for base_url, config in kit.wrong_settings:
            problems = executor.validate_config(base_url, config)
            assert problems, (base_url, config)
            assert all(problem.endswith((".", ")")) for problem in problems), problems

    def test_what_it_can_is_said_by_its_class(self, kit: Kit, executor: ContainerExecutor):
        assert isinstance(executor.capabilities, Capabilities)
        assert executor.capabilities == executor_class(kit.host.executor_type).capabilities
        assert executor.label

    # ── other people's containers ─────────────────────────────────────────────────────────────────────

    def test_only_what_is_ours_is_listed(self, kit: Kit, executor: ContainerExecutor):
        if not executor.capabilities.lists:
            assert executor.list_containers() == []
            return
        made = executor.create(kit.job(TRUE)).container_id
        runs = kit.begin(executor, FOREVER)
        ended = kit.run(executor, TRUE).container_id
        other = kit.executor(kit.elsewhere())
        listed = {seen.container_id: seen for seen in executor.list_containers()}
        assert listed.keys() == {made, runs, ended}
        assert [listed[one].state for one in (made, runs, ended)] == ["created", "running", "exited"]
        assert {seen.label("installation") for seen in listed.values()} == {str(kit.host.installation)}
        assert other.list_containers() == []
        other.close()

    def test_what_is_not_ours_is_shown_and_never_touched(self, kit: Kit, executor: ContainerExecutor):
        job = kit.job(TRUE)
        still_there = kit.make_foreign(job.container_name)
        if still_there is None:
            pytest.skip("nobody else can make anything there")
        seen = executor.create(job)
        assert seen.fresh is False
        assert seen.label("job") != str(job.id)
        assert seen.container_id not in {one.container_id for one in executor.list_containers()}
        assert still_there()

    # ── stopping ──────────────────────────────────────────────────────────────────────────────────────

    @pytest.mark.parametrize("name", ["TERM", "KILL"])
    def test_term_and_kill_end_a_program(self, kit: Kit, executor: ContainerExecutor, name: str):
        if not executor.capabilities.stop:
            pytest.skip("it cannot stop a job")
        container_id = kit.begin(executor, FOREVER)
        kit.until_state(executor, container_id, "running")
        executor.signal(container_id, name)
        assert kit.until_state(executor, container_id, "exited").exit_code != 0

    @pytest.mark.parametrize("name", ["TERM", "HUP"])
    def test_a_program_that_catches_a_signal_ends_in_its_own_way(
        self, kit: Kit, executor: ContainerExecutor, name: str
    ):
        can = executor.capabilities
        if not (can.signals and can.live_logs and kit.runs_programs):
            pytest.skip("signals do not reach its programs, or nobody can see when they are ready")
        container_id = kit.begin(executor, Program(stdout=b"up\n", on={name: 9}, waits=True))
        kit.until(lambda: written(kit.read(executor, container_id))[0] == b"up\n", "the program to be up")
        executor.signal(container_id, name)
        assert kit.until_state(executor, container_id, "exited").exit_code == 9

    def test_a_signal_to_what_does_not_run_is_no_error(self, kit: Kit, executor: ContainerExecutor):
        made = executor.create(kit.job(TRUE)).container_id
        ended = kit.run(executor, TRUE).container_id
        for container_id in (made, ended):
            executor.signal(container_id, "TERM")
            executor.signal(container_id, "KILL")
        assert [executor.observe(one).state for one in (made, ended)] == ["created", "exited"]

    # ── what is told while it runs ────────────────────────────────────────────────────────────────────

    def test_usage_is_of_what_runs(self, kit: Kit, executor: ContainerExecutor):
        ended = kit.run(executor, TRUE).container_id
        assert executor.usage(ended) is None
        if not executor.capabilities.usage:
            pytest.skip("it tells no usage")
        container_id = kit.begin(executor, FOREVER)
        kit.until_state(executor, container_id, "running")
        usage = kit.until(lambda: executor.usage(container_id), "a reading")
        assert isinstance(usage, Usage)
        assert usage.memory_bytes is not None or usage.cpu_seconds is not None

    def test_hints_tell_of_an_end_and_stop_when_asked(self, kit: Kit, executor: ContainerExecutor):
        stop, hints = threading.Event(), list[Hint]()

        def watch() -> None:
            hints.extend([])
            for hint in executor.watch(stop):
                hints.append(hint)
            executor.close()

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        kit.until(lambda: any(hint.container_id is None for hint in hints), "the first hint")
        if executor.capabilities.hints:
            container_id = kit.begin(executor, TRUE)
            kit.until(lambda: any(hint.container_id == container_id for hint in hints), "a hint of its end")
        stop.set()
        thread.join(3.0)
        assert not thread.is_alive()

    # ── threads, and what is handed on ────────────────────────────────────────────────────────────────

    def test_one_executor_serves_many_threads(self, kit: Kit, executor: ContainerExecutor):
        codes: dict[int, int | None] = {}

        def run(number: int) -> None:
            seen = kit.run(executor, Program(exit_code=number))
            codes[number] = seen.exit_code
            executor.remove(seen.container_id)
            executor.close()

        threads = [threading.Thread(target=run, args=(number,)) for number in range(1, 5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(kit.seconds * 2)
        assert codes == {number: number for number in range(1, 5)}

    def test_closing_drops_a_client_and_not_the_executor(self, kit: Kit, executor: ContainerExecutor):
        executor.close()
        executor.close()
        assert kit.run(executor, TRUE).exit_code == 0

    def test_what_is_told_of_a_container_can_be_stored(self, kit: Kit, executor: ContainerExecutor):
        job = kit.job(TRUE)
        made = executor.create(job)
        container_id = kit.start(executor, made.container_id, TRUE)
        ended = kit.until_state(executor, container_id, "exited")
        told = [dict(made.metadata), dict(ended.metadata), job.saved_metadata]
        assert json.loads(json.dumps(told)) == told
        assert len(container_id) <= 200

    def test_a_program_gets_its_environment_and_none_of_ours(
        self, kit: Kit, executor: ContainerExecutor, monkeypatch: pytest.MonkeyPatch
    ):
        if not (kit.runs_programs and executor.capabilities.logs):
            pytest.skip("what a program sees cannot be seen")
        monkeypatch.setenv("TALLYMAN_OF_THE_WORKER", "secret")
        program = Program(shows=("GREETING", "TALLYMAN_OF_THE_WORKER"))
        seen = kit.run(executor, program, environment={"GREETING": 'it\'s a "$HOME"\tday'})
        assert written(kit.read(executor, seen.container_id))[0] == b'it\'s a "$HOME"\tday\n\n'

    def test_a_kind_that_nobody_knows_is_a_sentence(self):
        with pytest.raises(ConfigurationError, match="There is no executor 'abacus'"):
            executor_class("abacus")
