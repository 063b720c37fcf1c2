"""The conformance suite on Fargate, as moto's server plays it.

Three of its tests are asked in another way, and say what they ask: ECS keeps nothing that was created and not
started, deletes no task by order, and CloudWatch has lines of text, of both streams in one.
"""

from __future__ import annotations

import uuid

import pytest

from hosts.executors.contract import ContainerExecutor, HostView, JobView
from tests.conformance.kit import NOTHING_STORED, Kit, Program, cuts, resume_after, written
from tests.conformance.suite import Conformance
from tests.support.aws import CREDENTIALS, Aws

LINES = b"".join(b"line %d\n" % number for number in range(20))


class FargateKit(Kit):
    runs_programs = False
    wrong_settings = (
        ("tcp://host:2376", {"cluster": "jobs", "subnets": ["subnet-1"]}),
        ("", {"subnets": ["subnet-1"]}),
        ("", {"cluster": "jobs", "subnets": "subnet-1"}),
        ("", {"cluster": "jobs", "subnets": ["subnet-1"], "timeout": "soon"}),
    )

    def __init__(self, aws: Aws) -> None:
        super().__init__(self._at(aws.config))
        self._aws = aws
        self.nowhere = self._at({**aws.config, "endpoint_url": "http://127.0.0.1:9", "timeout": 1})

    @staticmethod
    def _at(config) -> HostView:
        return HostView(
            id=uuid.uuid4(),
            name="conformance",
            executor_type="fargate",
            base_url="",
            installation=uuid.uuid4(),
            config={**config, **CREDENTIALS},
        )

    def job(self, program: Program, **fields) -> JobView:
        # Nothing runs it, and ECS takes no long ones.
        return super().job(program, **{"command": ("play",), **fields})

    def play(self, executor: ContainerExecutor, container_id: str, program: Program) -> None:
        job = uuid.UUID(container_id.split(".")[1])
        task = self._aws.task_of(job)
        self._aws.run(task)
        lines = (program.stdout + program.stderr).decode(errors="replace").splitlines()
        if lines:
            self._aws.say(task, *lines)
        if not program.waits:
            self._aws.stop(task, exit_code=program.exit_code)


class TestFargate(Conformance):
    @pytest.fixture
    def kit(self, aws: Aws) -> Kit:
        return FargateKit(aws)

    def test_another_worker_finds_what_an_earlier_one_made(self, kit: Kit, executor: ContainerExecutor):
        """Of what was started; of what was not, there is nothing that could be found."""
        job = kit.job(Program(waits=True))
        container_id = kit.start(executor, executor.create(job).container_id, Program(waits=True))
        other = kit.executor()
        assert other.create(job).fresh is False
        assert kit.until_state(other, container_id, "running").label("job") == str(job.id)
        other.remove(container_id, force=True)
        assert other.observe(container_id) is None
        assert kit.until_state(executor, container_id, "exited").container_id == container_id

    def test_both_streams_are_kept_byte_for_byte(self, kit: Kit, executor: ContainerExecutor):
        """Of text, that is, which ends its lines: all that CloudWatch takes."""
        seen = kit.run(executor, Program(stdout=b"one\n", stderr="zwei\N{SNOWMAN}\n".encode()))
        assert written(kit.read(executor, seen.container_id)) == ("one\nzwei\N{SNOWMAN}\n".encode(), b"")

    def test_a_log_goes_on_at_any_cut_without_gap_or_repeat(self, kit: Kit, executor: ContainerExecutor):
        """Of one stream, as there is one only."""
        seen = kit.run(executor, Program(stdout=LINES))
        log = kit.read(executor, seen.container_id, NOTHING_STORED)
        places = list(cuts(log))
        for place in {*places[:3], places[len(places) // 2], *places[-3:]}:
            rest = kit.read(executor, seen.container_id, resume_after(log[:place]))
            assert written(log[:place] + rest) == (LINES, b""), f"cut at byte {place}"
