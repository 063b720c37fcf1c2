"""Running our commands in this process, as the command line would."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.core.management import CommandError, get_commands, load_command_class

from admin_ui.cli.interrupts import Interrupts
from hosts.ids import new_id
from supervisor.models import Role, SupervisorProcess


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    stdout: bytes
    stderr: str

    @property
    def text(self) -> str:
        return self.stdout.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.stdout)


class Stream(io.TextIOWrapper):
    """A text stream with bytes below, as `sys.stdout` is."""

    def __init__(self) -> None:
        self.raw_bytes = io.BytesIO()
        super().__init__(self.raw_bytes, encoding="utf-8", write_through=True)


def manage(name: str, *arguments: str) -> Result:
    """Run `manage.py name arguments`; what manage.py itself adds is the `CommandError:` line."""
    command = load_command_class(get_commands()[name], name)
    # As BaseCommand.run_from_argv does; that closes the test's connection, too.
    command._called_from_command_line = True  # type: ignore[attr-defined]
    stdout, stderr = Stream(), Stream()
    code = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", stderr)
        try:
            options = vars(command.create_parser("manage.py", name).parse_args(list(arguments)))
            command.execute(**options, stdout=stdout, stderr=stderr)
        except CommandError as exc:
            stderr.write(f"CommandError: {exc}\n")
            code = exc.returncode
        except SystemExit as exc:
            code = int(exc.code or 0)
    return Result(code, stdout.raw_bytes.getvalue(), stderr.raw_bytes.getvalue().decode())


def jobs(*arguments: str) -> Result:
    return manage("manage_container_job", *arguments)


def hosts(*arguments: str) -> Result:
    return manage("manage_docker_host", *arguments)


def make_supervisor(role: Role = Role.MASTER) -> SupervisorProcess:
    """A supervisor whose heartbeat is fresh."""
    return SupervisorProcess.objects.create(
        supervisor=new_id(), role=role, pid=1, start_ticks=1, machine="m", boot_id="b"
    )


class Meanwhile:
    """Does one step each time a command waits, in place of the waiting; a step may press Ctrl-C."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._steps: Iterator[Callable[[], Any]] = iter(())
        self._ctrl_c = 0
        patch.setattr(Interrupts, "wait", lambda interrupts, _seconds: self._wait(interrupts))

    def do(self, *steps: Callable[[], Any]) -> None:
        self._steps = iter(steps)

    def press_ctrl_c(self) -> None:
        self._ctrl_c += 1

    def _wait(self, interrupts: Interrupts) -> None:
        step = next(self._steps, None)
        assert step is not None, "the command waits for more than the test does"
        step()
        interrupts.count = self._ctrl_c
