"""`make up`: everything a person needs to try Tallyman here, in one terminal, until Ctrl-C.

Settings, tables and first rows come first; then honcho runs the web process and the supervisor from the
Procfile until one of them ends or a signal comes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from honcho.environ import parse_procfile
from honcho.manager import SIGNALS, Manager
from honcho.printer import Printer

from config import dev_env

ROOT = Path(__file__).resolve().parent.parent
SERVICES = ("web", "supervisor")
DEFAULTS = {"BIND": "127.0.0.1", "PORT": "8000", "WEB_CONCURRENCY": "1"}


class Output:
    """Our stdout, for honcho to print on. Once nobody reads it any more (`make up | head`), we stop."""

    def __init__(self) -> None:
        self._gone = False

    def write(self, text: str) -> None:
        """Past Python's buffer: a signal in the middle of a write prints, too, and a buffer refuses that."""
        rest = text.encode(sys.stdout.encoding or "utf-8", "replace")
        try:
            while rest:
                rest = rest[os.write(sys.stdout.fileno(), rest) :]
        except OSError:
            self._stop()

    def _stop(self) -> None:
        if not self._gone:
            self._gone = True
            os.kill(os.getpid(), signal.SIGTERM)

    def flush(self) -> None:
        """Done by `write`."""

    def isatty(self) -> bool:
        return sys.stdout.isatty()


def main() -> int:
    """Run until stopped; 0 if that was by a signal, else the code of the process that ended first."""
    environment = {**DEFAULTS, **os.environ, "TALLYMAN_ANNOUNCE": "1", "PYTHONUNBUFFERED": "1"}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), environment.get("PATH", "")])
    if problem := port_problem(environment["BIND"], environment["PORT"]):
        print(problem, file=sys.stderr)
        return 1
    if dev_env.ensure(ROOT):
        dev_env.announce()
    for command in (["migrate", "--verbosity", "0"], ["bootstrap"]):
        manage(command, environment)
    code = run_services(environment)
    manage(["bootstrap", "--still-running"], environment)
    return code


def manage(command: list[str], environment: dict[str, str]) -> None:
    """Run a management command to its end; CalledProcessError if it fails."""
    subprocess.run([sys.executable, "manage.py", *command], cwd=ROOT, env=environment, check=True)


def port_problem(host: str, port: str) -> str:
    """A sentence if the web process could not listen there; empty if it can."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, int(port)))
        except OSError as exc:
            return f"Cannot listen on {host}:{port}: {exc.strerror}. Try another port: make up PORT=8001"
        except (ValueError, OverflowError):
            return f"PORT must be a number up to 65535, not {port!r}."
    return ""


def run_services(environment: dict[str, str]) -> int:
    procfile = parse_procfile((ROOT / "Procfile").read_text(encoding="utf-8"))
    manager = Manager(Printer(Output()))
    for name in SERVICES:
        manager.add_process(name, procfile.processes[name], env=environment, cwd=str(ROOT))
    signal.signal(signal.SIGHUP, _closed)
    with foreground():
        manager.loop()
    stopped = {how["rc"] for how in SIGNALS.values()}
    return 0 if manager.returncode in stopped else int(manager.returncode)


def _closed(_signum: int, _frame: Any) -> None:
    """The terminal was closed: end as if asked to, for honcho knows only INT and TERM."""
    os.kill(os.getpid(), signal.SIGTERM)


@contextlib.contextmanager
def foreground() -> Iterator[None]:
    """Take Ctrl-C for ourselves: make, in the same foreground group, would call it an error."""
    terminal = sys.stdin.fileno()
    group = os.getpgrp()
    if not os.isatty(terminal) or os.tcgetpgrp(terminal) != group:
        yield
        return
    # A stopped process of another group than make's could not be resumed from the shell.
    signal.signal(signal.SIGTSTP, signal.SIG_IGN)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.setpgid(0, 0)
    os.tcsetpgrp(terminal, os.getpgrp())
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.tcsetpgrp(terminal, group)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except subprocess.CalledProcessError as failed:
        sys.exit(failed.returncode)
