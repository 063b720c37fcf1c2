from __future__ import annotations

import json
from pathlib import Path

import pytest

from hosts import identity
from supervisor import pulse
from supervisor.pulse import Pulse


def rewrite(folder: Path, **changed: object) -> None:
    [path] = folder.glob("supervisor-*.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


def test_a_supervisor_that_beats_is_alive_until_it_stops(tmp_path: Path) -> None:
    beating = Pulse(tmp_path / "run")
    assert not pulse.look(tmp_path / "run").is_alive
    beating.beat(["clerk", "host-a"])
    found = pulse.look(tmp_path / "run")
    assert found.is_alive
    assert found.message.endswith("lives and runs clerk, host-a.")
    beating.stop()
    assert pulse.look(tmp_path / "run").message.startswith("No supervisor runs here")


def test_one_that_has_not_beaten_for_long_is_not_alive(tmp_path: Path) -> None:
    Pulse(tmp_path).beat([])
    rewrite(tmp_path, at=identity.boot_clock() - 20)
    found = pulse.look(tmp_path)
    assert not found.is_alive
    assert "no sign of life for 20 s" in found.message


def test_another_process_that_got_the_pid_is_not_taken_for_it(tmp_path: Path) -> None:
    Pulse(tmp_path).beat([])
    rewrite(tmp_path, start_ticks=1)
    assert not pulse.look(tmp_path).is_alive
    pulse.forget_the_dead(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_living_are_not_forgotten(tmp_path: Path) -> None:
    Pulse(tmp_path).beat([])
    pulse.forget_the_dead(tmp_path)
    assert pulse.look(tmp_path).is_alive


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": "x"}', '{"pid": 1}'])
def test_a_file_that_makes_no_sense_is_nobodys(tmp_path: Path, content: str) -> None:
    (tmp_path / "supervisor-1.json").write_text(content)
    assert not pulse.look(tmp_path).is_alive


def test_a_folder_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    beating = Pulse(tmp_path / "file")
    beating.beat([])
    beating.beat([])
    beating.stop()
