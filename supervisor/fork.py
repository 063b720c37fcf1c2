"""Starting a child, and what a child does before anything else.

The master has one thread and no database connection, engine client or socket when it forks, so nothing that
must not be shared is. A child closes the master's descriptors, takes the default signals, and arranges to be
told TERM when the master dies, however that comes about.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import os
import random
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog
from setproctitle import setproctitle

from hosts import masking
from supervisor.exit_codes import INTERNAL

logger = structlog.get_logger(__name__)

# Before the last words of a child that an exception ended, where faulthandler writes its stacks.
UNCAUGHT = "uncaught: "
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True, slots=True)
class ChildPipes:
    """What a child was given: `control` to read the master's words from, `progress` to show that it lives."""

    control: int
    progress: int

    def tell(self, byte: bytes) -> None:
        """R: ready; H: holds its host; a dot: still turning. A full pipe says the same already."""
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self.progress, byte)


def fork(
    title: str, main: Callable[[ChildPipes], int], *, close: Iterable[int], stacks: int
) -> tuple[int, int, int]:
    """Start a child that runs `main` and ends with its result; (pid, our progress end, our control end).

    `close` are the master's descriptors that the child must not keep. To `stacks` it writes, should it crash
    or be sent ABRT, where each of its threads was.
    """
    if threading.active_count() != 1:
        raise RuntimeError(
            "the master must have one thread when it forks; a lock held elsewhere would stay held"
        )
    control_reader, control_writer = os.pipe()
    progress_reader, progress_writer = os.pipe()
    for descriptor in (control_reader, control_writer, progress_reader, progress_writer):
        os.set_blocking(descriptor, False)
    master = os.getpid()
    held = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    pid = os.fork()
    if pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        os.close(control_reader)
        os.close(progress_writer)
        return pid, progress_reader, control_writer
    # Whatever happens from here on, this process never returns into the master's code.
    code = INTERNAL
    try:
        _become_child(master, title, [*close, control_writer, progress_reader], held, stacks)
        code = _run(main, ChildPipes(control_reader, progress_writer), stacks)
    finally:
        os._exit(code)


def _become_child(master: int, title: str, close: Iterable[int], held: Iterable[int], stacks: int) -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    # Python's own default: a broken pipe is an error of a write, not the end of the process.
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    for descriptor in close:
        os.close(descriptor)
    gc.enable()
    random.seed()
    faulthandler.enable(stacks)
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != master:  # it died before the line above
        os._exit(INTERNAL)
    setproctitle(title)
    signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _run(main: Callable[[ChildPipes], int], pipes: ChildPipes, stacks: int) -> int:
    try:
        return main(pipes)
    except Exception as exc:  # the last place to say why; the master sees the exit code and these words only
        logger.exception("child crashed")
        os.write(stacks, f"{UNCAUGHT}{_last_line(exc)}\n".encode(errors="replace"))
        return INTERNAL
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _last_line(error: Exception) -> str:
    """The last line of its traceback, and where it was raised."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    words = " ".join("".join(traceback.format_exception_only(error)).split())
    return f"{masking.mask_text(words)} ({os.path.basename(frame.filename)}:{frame.lineno})"
