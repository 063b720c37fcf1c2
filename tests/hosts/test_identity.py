"""Who is dead, and what proves it."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys

import pytest

from hosts import identity
from hosts.identity import ProcessIdentity


@pytest.fixture
def child():
    """A child that waits for its end, and is reaped when the test is over."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def identity_of(process: subprocess.Popen) -> ProcessIdentity:
    ticks = identity.start_ticks(process.pid)
    assert ticks is not None
    return dataclasses.replace(identity.current(), pid=process.pid, start_ticks=ticks)


def test_a_living_process_is_not_proved_dead(child):
    assert not identity_of(child).is_proved_dead()
    assert not identity.current().is_proved_dead()


def test_a_child_that_ended_is_proved_dead(child):
    there = identity_of(child)
    child.kill()
    child.wait()
    assert there.is_proved_dead()


def test_a_zombie_is_proved_dead(child):
    there = identity_of(child)
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has reaped it
    assert os.path.exists(f"/proc/{child.pid}/stat")
    assert there.is_proved_dead()


def test_a_stopped_process_is_not_proved_dead(child):
    there = identity_of(child)
    os.kill(child.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    assert not there.is_proved_dead()


def test_another_process_with_the_same_pid_does_not_pass_for_the_first(child):
    there = identity_of(child)
    assert dataclasses.replace(there, start_ticks=there.start_ticks - 1).is_proved_dead()


@pytest.mark.parametrize("place", ["machine", "boot_id", "pid_namespace"])
def test_elsewhere_nothing_is_proved(child, place):
    there = dataclasses.replace(identity_of(child), **{place: "elsewhere"})
    child.kill()
    child.wait()
    assert not there.is_proved_dead()


def test_without_a_pid_nothing_is_proved():
    assert not dataclasses.replace(identity.current(), pid=0, start_ticks=0).is_proved_dead()


RENAME = "import ctypes; ctypes.CDLL(None).prctl(15, {name!r}, 0, 0, 0); print(flush=True); input()"


@pytest.mark.parametrize("name", [b"a) R 1 (b", b"\xff\xfe)"], ids=["parentheses", "no UTF-8"])
def test_whatever_a_process_calls_itself_its_start_is_found(name):
    program = [sys.executable, "-c", RENAME.format(name=name)]
    process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    before = identity.start_ticks(process.pid)
    process.stdout.readline()
    assert identity.start_ticks(process.pid) == before
    process.communicate(b"\n")


def test_the_boot_clock_goes_forward():
    assert identity.boot_clock() <= identity.boot_clock()


def test_a_machine_has_a_name_that_tells_it_from_a_copy():
    name, _, machine_id = identity.current().machine.partition("/")
    assert name
    assert len(machine_id) <= 32
