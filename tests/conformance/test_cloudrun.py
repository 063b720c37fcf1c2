"""The conformance suite on Google's own client library, which speaks with a fake of Cloud Run over HTTP."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hosts.executors.cloudrun import naming
from hosts.executors.contract import ContainerExecutor
from tests.support import fake_cloudrun
from tests.support.cloudrun import CloudBench
from tests.support.fake_cloudrun import PROJECT, REGION, FakeCloudRun

pytest.importorskip("tests.conformance.suite")

from tests.conformance.kit import Kit, Program, written
from tests.conformance.suite import Conformance

SETTINGS = {"project": PROJECT, "region": REGION}


class CloudRunKit(Kit):
    image = "us-docker.pkg.dev/my-gcp-project/images/job:1"
    wrong_settings = (
        ("tcp://10.0.0.1:2376", SETTINGS),
        ("", {"region": REGION}),
        ("", {"project": PROJECT}),
        ("", {**SETTINGS, "task_timeout": "an hour"}),
        ("", {**SETTINGS, "max_retries": -1}),
        ("", {**SETTINGS, "memory_limit": "64Gi"}),
        ("", {**SETTINGS, "vpc_connector": "my-vpc"}),
    )

    def __init__(self, fake: FakeCloudRun, folder: Path) -> None:
        self._fake = fake
        bench = CloudBench(fake, folder, log_settle_seconds=0.05)
        super().__init__(bench.executor.host)
        self.nowhere = dataclasses.replace(self.host, base_url="http://127.0.0.1:9")

    def make_foreign(self, name: str) -> Callable[[], bool]:
        job = naming.job_name(name)
        self._fake.make_foreign(job)
        return lambda: job in self._fake.jobs


class TestCloudRun(Conformance):
    @pytest.fixture
    def kit(self, tmp_path: Path) -> Iterator[Kit]:
        with fake_cloudrun.serving() as fake:
            yield CloudRunKit(fake, tmp_path)

    def test_both_streams_are_kept_byte_for_byte(self, kit: Kit, logged: ContainerExecutor):
        """Here, as far as Cloud Logging can hold them: as text, in lines that end."""
        text = "".join(map(chr, range(1, 0x250))).replace("\r", "").encode()
        seen = kit.run(logged, Program(stdout=text + b"\n", stderr=b"\xff end\n"))
        stdout, stderr = written(kit.read(logged, seen.container_id))
        assert stdout == text + b"\n"
        assert stderr == "\ufffd end\n".encode()
