"""`make up`: what a signal, a closed terminal or a taken port does to it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from scripts import up
from tests.support.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]

RUN = """
import pathlib, sys
from scripts import up
up.ROOT = pathlib.Path(sys.argv[1])
sys.exit(up.run_services({}))
"""
# Like make: a parent in the same foreground group, that Ctrl-C would end if it reached it.
PARENT = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"


@pytest.fixture
def procfile(tmp_path):
    """Two services that say their pids, and run until they are told to stop."""
    service = f"{sys.executable} -uc 'import os, time; print(f\"pid {{os.getpid()}}.\"); time.sleep(600)'"
    (tmp_path / "Procfile").write_text(f"web: exec {service}\nsupervisor: exec {service}\nrelease: exit 1\n")
    return tmp_path


def read_until(descriptor: int, found: Callable[[bytes], bool]) -> bytes:
    """The output up to the point where `found` says yes, or to its end."""
    output = b""
    while not found(output):
        try:
            more = os.read(descriptor, 65536)
        except OSError:  # how Linux says that nobody has the terminal open any more
            break
        if not more:
            break
        output += more
    return output


def pids_in(output: bytes) -> list[int]:
    return [int(pid) for pid in re.findall(rb"pid (\d+)\.", output)]


def gone(pids: list[int]) -> bool:
    return not any(psutil.pid_exists(pid) for pid in pids)


def take_terminal() -> None:
    """In a new session's first process: make stdin its terminal."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.mark.process
def test_ctrl_c_in_a_terminal_is_a_good_end_and_leaves_nothing_behind(procfile):
    ours, theirs = pty.openpty()
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, sys.executable, "-c", RUN, str(procfile)],
        cwd=ROOT,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=take_terminal,
    )
    os.close(theirs)
    pids = pids_in(read_until(ours, lambda output: len(pids_in(output)) == len(up.SERVICES)))
    os.write(ours, b"\x03")
    read_until(ours, lambda _output: False)
    os.close(ours)
    assert parent.wait(10) == 0
    wait_until(lambda: gone(pids), what="the services to be gone")


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_is_a_good_end_and_leaves_nothing_behind(procfile, number):
    command = [sys.executable, "-c", RUN, str(procfile)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        pids = pids_in(
            read_until(running.stdout.fileno(), lambda output: len(pids_in(output)) == len(up.SERVICES))
        )
        running.stdout.close()  # as `make up | head` does
        running.send_signal(number)
        try:
            assert running.wait(10) == 0
        finally:
            running.kill()
    wait_until(lambda: gone(pids), what="the services to be gone")


def test_a_signal_in_the_middle_of_a_write_may_print_too(monkeypatch):
    reader, writer = os.pipe()
    size = fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    monkeypatch.setattr(sys, "stdout", os.fdopen(writer, "w", closefd=False))
    output = up.Output()
    monkeypatch.setattr(os, "kill", None)  # nobody is to be stopped for it
    seen: list[bytes] = []

    def interrupt_and_read() -> None:
        wait_until(lambda: waiting_in(reader) == size, what="the pipe to be full")
        signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
        wait_until(lambda: interrupted, what="the signal")
        while b"end" not in b"".join(seen):
            seen.append(os.read(reader, 65536))

    interrupted: list[int] = []
    before = signal.signal(signal.SIGUSR1, lambda *_: (interrupted.append(1), output.write("between\n")))
    thread = threading.Thread(target=interrupt_and_read)
    thread.start()
    try:
        output.write("x" * 3 * size + "end")
    finally:
        signal.signal(signal.SIGUSR1, before)
        thread.join(10)
        os.close(reader)
        os.close(writer)
    written = b"".join(seen)
    assert (written.count(b"x"), b"between\n" in written) == (3 * size, True)


def waiting_in(descriptor: int) -> int:
    return struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, b"\0" * 4))[0]


def test_a_taken_port_is_named_before_anything_starts():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert up.port_problem("127.0.0.1", str(port)).startswith(
            f"Cannot listen on 127.0.0.1:{port}: Address"
        )
    assert up.port_problem("127.0.0.1", "0") == ""


@pytest.mark.parametrize("port", ["x", "70000"])
def test_a_wrong_port_is_named(port):
    assert up.port_problem("127.0.0.1", port) == f"PORT must be a number up to 65535, not {port!r}."
