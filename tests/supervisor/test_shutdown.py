"""The end of all children, of one that the kernel does not let go too."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator

import pytest
import structlog

from supervisor.child import Child
from supervisor.children import Children
from supervisor.shutdown import Shutdown
from supervisor.signals import SignalInbox
from supervisor.worker.inbox import Wake


class Undead(Child):
    """Does not end when it is killed, as what waits inside the kernel for a dead file server."""

    __slots__ = ()

    def exit_code(self) -> int | None:
        return None


@pytest.fixture
def children() -> Iterator[Children]:
    process = subprocess.Popen(["sleep", "60"])
    progress, control = os.pipe()
    child = Undead(
        key="h",
        name="stuck",
        pid=process.pid,
        pidfd=os.pidfd_open(process.pid),
        progress=progress,
        control=control,
        start_ticks=0,
        started_clock=0.0,
        seen_clock=0.0,
        stacks=os.memfd_create("stacks"),
    )
    yield Children(running={"h": child})
    process.kill()
    process.wait()


def test_a_child_that_cannot_be_killed_holds_up_nobody(children: Children) -> None:
    wake = Wake()
    end = Shutdown(
        children, SignalInbox(wake, ()), wake, bury=lambda: list(children.reap()), tell=lambda: None
    )
    began = time.monotonic()
    with structlog.testing.capture_logs() as events:
        end.run(0.2)
    assert time.monotonic() - began < 3
    assert [event["event"] for event in events] == [
        "child did not end in time",
        "child hangs in the kernel, and is left",
    ]
    assert not children.running
    wake.close()
