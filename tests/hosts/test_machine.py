from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from hosts.executors import machine
from hosts.executors.docker import readings

VERSION = {"Version": "27.1", "ApiVersion": "1.46"}


def info(**said: Any) -> dict[str, Any]:
    return {"ID": "x", "DockerRootDir": "/", "Name": socket.gethostname(), **said}


def test_of_an_engine_on_this_machine_its_disk_memory_and_cpu_are_told() -> None:
    readings.engine_facts(VERSION, info())
    sum(range(200_000))
    facts = readings.engine_facts(VERSION, info(SystemTime="2026-11-23T08:00:00.123456789Z"))
    assert facts.disk_total_bytes
    assert 0 < (facts.disk_free_bytes or 0) <= facts.disk_total_bytes
    assert (facts.memory_used_bytes or 0) > 1_000_000
    assert facts.cpu_percent is None or 0 <= facts.cpu_percent <= 100
    assert facts.clock_at is not None
    assert facts.clock_at.microsecond == 123456


def test_of_an_engine_elsewhere_nothing_is_made_up() -> None:
    facts = readings.engine_facts(VERSION, info(Name="elsewhere"))
    assert (facts.disk_free_bytes, facts.memory_used_bytes, facts.cpu_percent) == (None, None, None)


@pytest.mark.parametrize("folder", ["/no/such/folder", "a\0b"])
def test_a_folder_that_is_not_here_has_no_disk(folder: str) -> None:
    assert "disk_free_bytes" not in machine.readings(folder)


@pytest.mark.parametrize("clock", [None, 7, "", "soon", [], "0001-01-01T00:00:00Z"])
def test_an_engine_whose_clock_makes_no_sense_has_none(clock: Any) -> None:
    assert readings.engine_facts(VERSION, info(SystemTime=clock)).clock_at is None


def test_a_folder_of_this_machine_has_a_disk(tmp_path: Path) -> None:
    assert machine.readings(str(tmp_path))["disk_total_bytes"] > 0
