"""This program as it was started: whether its code or settings are others now, and starting it anew in place.

New code is tried out first, in a process that only prints its help: what cannot even be imported must not
take the place of what runs. Then the process executes itself: its pid, and who waits for it, stay the same.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog
from django.conf import settings

from hosts.identity import boot_clock

logger = structlog.get_logger(__name__)

_TRIAL_SECONDS = 60.0
_TAIL_BYTES = 2000
Fingerprint = Mapping[str, object]


@dataclass(slots=True)
class Trial:
    """The new code's attempt to start; `pid` is a child of ours that is no worker."""

    pid: int
    _pidfd: int
    _output: int
    _until: float

    def fileno(self) -> int:
        """The descriptor that tells of its end."""
        return self._pidfd

    def descriptors(self) -> tuple[int, int]:
        """Everything that is held of it, for a child to close."""
        return self._pidfd, self._output

    def is_over(self) -> bool | None:
        """Whether it went well; None while it runs. Ask no more once this has told."""
        if boot_clock() > self._until:
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        result = os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED | os.WNOHANG)
        if result is None:
            return None
        went_well = result.si_code == os.CLD_EXITED and result.si_status == 0
        if not went_well:
            size = os.fstat(self._output).st_size
            said = os.pread(self._output, _TAIL_BYTES, max(0, size - _TAIL_BYTES)).decode(errors="replace")
            logger.error("the new code or settings do not start; the old ones go on", said=said)
        self._close()
        return went_well

    def give_up(self) -> None:
        """End it, whatever it has to say."""
        signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        os.waitid(os.P_PIDFD, self._pidfd, os.WEXITED)
        self._close()

    def _close(self) -> None:
        os.close(self._pidfd)
        os.close(self._output)


@dataclass(frozen=True, slots=True)
class Program:
    """See the module. Make it before the process's title is set, which overwrites its environment."""

    arguments: list[str] = field(default_factory=lambda: [sys.executable, *sys.orig_argv[1:]])
    # As it was given to us: what the settings added to it from their files is to be read from there anew.
    environment: dict[bytes, bytes] = field(default_factory=lambda: _first_environment())
    folder: str = field(default_factory=lambda: _working_directory())
    seen: dict[str, object] = field(default_factory=dict)

    def remember(self) -> None:
        """Take what the code and settings are now for those that run."""
        self.seen.update(_fingerprint(self._root()))

    def has_changed(self) -> bool:
        """Whether the code, the libraries, or a file of settings is another one."""
        return self.seen != _fingerprint(self._root())

    def try_out(self) -> Trial | None:
        """Let the code as it is now start and print its help; None if not even that can be tried."""
        output = os.memfd_create("trial")
        try:
            os.chdir(self.folder)
            pid = os.posix_spawn(
                self.arguments[0],
                [*self.arguments, "--help"],
                self.environment,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_DUP2, output, 2),
                ],
                setsigdef=signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP},
            )
        except OSError as exc:
            logger.error("the new code cannot be tried out; the old one goes on", reason=str(exc))
            os.close(output)
            return None
        return Trial(pid, os.pidfd_open(pid), output, boot_clock() + _TRIAL_SECONDS)

    def replace(self, signals: Iterable[signal.Signals]) -> None:
        """Become the program as it is now; returns only if that fails.

        `signals` are held back until the new program takes them: by default, one that came in between would
        end it with no word.
        """
        logger.info("executing itself anew", arguments=self.arguments)
        sys.stdout.flush()
        sys.stderr.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        try:
            os.chdir(self.folder)
            os.execve(self.arguments[0], self.arguments, self.environment)
        except OSError as exc:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
            logger.error("could not execute itself; the old code goes on", reason=str(exc))

    def _root(self) -> Path:
        """Where the code is, by the name it was called by: a link to it may lead elsewhere by now."""
        script = Path(self.folder, sys.argv[0])
        return script.parent if script.name == "manage.py" else Path(settings.BASE_DIR)


@dataclass(slots=True)
class Reload:
    """A program and, after a HUP that found another one, the trial of that."""

    program: Program = field(default_factory=Program)
    _trial: Trial | None = None

    def begin(self) -> None:
        """Try out what is there now, if it is not what runs; a trial under way is out of date."""
        if not self.program.has_changed():
            logger.info("nothing has changed in code and settings")
            return
        logger.info("code or settings have changed; trying them out")
        self.give_up()
        self._trial = self.program.try_out()

    def is_due(self) -> bool:
        """Whether a trial has just gone well."""
        went_well = self._trial.is_over() if self._trial else None
        if went_well is not None:
            self._trial = None
        return bool(went_well)

    def give_up(self) -> None:
        """End a trial under way."""
        if self._trial:
            self._trial.give_up()
            self._trial = None

    def pids(self) -> set[int]:
        """Children of ours that are neither workers nor strangers."""
        return {self._trial.pid} if self._trial else set()

    def watched(self) -> list[int]:
        """Descriptors that tell of something to do here."""
        return [self._trial.fileno()] if self._trial else []

    def descriptors(self) -> tuple[int, ...]:
        """Everything that is held here, for a child to close."""
        return self._trial.descriptors() if self._trial else ()


def _fingerprint(root: Path) -> Fingerprint:
    found: dict[str, object] = {path: _stamp(path) for path in (*_libraries(), *_sources(root))}
    found |= {str(path): _content(path) for path in settings.TALLYMAN_SETTINGS_FILES}
    return found


def _sources(root: Path) -> Iterator[str]:
    packages = {name.partition(".")[0] for name in list(sys.modules)}
    for package in sorted(one for one in packages if (root / one).is_dir()):
        for folder, _, files in os.walk(root / package):
            yield from (f"{folder}/{name}" for name in files if name.endswith(".py"))


def _libraries() -> list[str]:
    # An installer makes an entry here for each version; a look at every module would take 10 ms at the start.
    return [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]


def _stamp(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _first_environment() -> dict[bytes, bytes]:
    try:
        lines = Path("/proc/self/environ").read_bytes().split(b"\0")
    except OSError:
        return dict(os.environb)
    return dict(line.split(b"=", 1) for line in lines if b"=" in line)


def _working_directory() -> str:
    """The one we are in, by the name it was entered by, which may be a link to the newest release."""
    named = os.environ.get("PWD", "")
    try:
        if named and Path(named).samefile("."):
            return named
    except OSError:
        pass
    return str(Path.cwd())
