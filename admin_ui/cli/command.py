"""What our commands have in common: parsers with one-line errors, exit codes, plain output."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn
from uuid import UUID

from django.core.management.base import BaseCommand, CommandParser, DjangoHelpFormatter

from admin_ui.cli.exits import Exit, failure, one_line_errors
from admin_ui.cli.output import Output
from audit import actors
from jobs.validators import RETRYABLE

Options = argparse.Namespace
Action = Callable[[Options, Output], Exit | int]
_WHO_LENGTH = 150


class HelpFormatter(DjangoHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Django's order of options, and line breaks of epilogs as they were written."""


class Parser(CommandParser):
    """The parser of one subcommand. What is wrong with its arguments is one line, and exit code 2."""

    # Whether options may stand between TEMPLATE and HOST, and `--env A=1 B=2` is `--env A=1 --env B=2`.
    free_order = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"formatter_class": HelpFormatter, **kwargs})

    def error(self, message: str) -> NoReturn:
        if self.called_from_command_line:
            self.exit(Exit.USAGE, f"{self.prog}: {message} (--help explains)\n")
        raise failure(message, Exit.USAGE)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        if not self.free_order:
            return super().parse_known_args(args, namespace)
        self.free_order = False  # argparse comes back here for each half of its work
        try:
            # Its own way to take several values (nargs="+") would swallow the arguments that follow.
            return super().parse_known_intermixed_args(_one_env_each(args), namespace)
        finally:
            self.free_order = True


def _one_env_each(args: Sequence[str]) -> list[str]:
    result: list[str] = []
    for place, word in enumerate(args):
        if word == "--":
            return [*result, *args[place:]]
        if is_assignment(word) and _ends_with_env(result):
            result.append("--env")
        result.append(word)
    return result


def _ends_with_env(words: Sequence[str]) -> bool:
    return any(word.startswith("--env=") for word in words[-1:]) or list(words[-2:-1]) == ["--env"]


def is_assignment(word: str) -> bool:
    """Whether the word may be a `K=V`."""
    name, equals, _ = word.partition("=")
    return bool(equals) and name.isidentifier()


class SubcommandsCommand(BaseCommand):
    """A command whose subcommands are functions of (options, output), set as the default `run`."""

    requires_system_checks: list[str] = []
    # Django shows these in the order given; they help nobody who wants to know what our commands do.
    suppressed_base_arguments = {
        "--version",
        "-v",
        "--settings",
        "--pythonpath",
        "--no-color",
        "--force-color",
    }

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(prog_name, subcommand, formatter_class=HelpFormatter, **kwargs)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with one_line_errors(), actors.acting(actors.command()):
                code = options["run"](Options(**options), Output(self.stdout, self.stderr))
                self.stdout.flush()
        except BrokenPipeError:
            # The reader (`| head`) has gone. Python flushes once more at the end; give it somewhere to.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = Exit.FAILED
        if code:
            sys.exit(int(code))


def text(value: str) -> str:
    """An argument that is text; for argparse."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("an argument holds bytes that are no UTF-8") from None
    return value


def uuid(value: str) -> UUID:
    """A job's id; for argparse."""
    try:
        return UUID(value)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{value!r} is no job id, which is a UUID") from None


def positive(value: str) -> int:
    """A whole number above 0; for argparse."""
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"{value!r} is no whole number above 0")
    return int(value)


def count(value: str) -> int:
    """A whole number, 0 included; for argparse."""
    if not value.isdecimal():
        raise argparse.ArgumentTypeError(f"{value!r} is no whole number")
    return int(value)


def retry_on(value: str) -> list[str]:
    """`user,oom`, a list of outcomes, or an empty text; for argparse."""
    names = [name.strip() for name in value.split(",") if name.strip()]
    if unknown := [name for name in names if name not in RETRYABLE]:
        raise argparse.ArgumentTypeError(f"{unknown[0]!r} is none of {', '.join(RETRYABLE)}")
    return names


def assignment(value: str) -> tuple[str, str]:
    """`K=V`; for argparse."""
    name, equals, content = text(value).partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"{value!r} has no '=': write NAME=VALUE")
    return name, content


def json_object(value: str) -> dict[str, Any]:
    """A JSON object; for argparse."""
    try:
        parsed = json.loads(value)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"this is no JSON: {exc}") from None
    if not isinstance(parsed, dict):
        raise argparse.ArgumentTypeError('this must be a JSON object such as {"timeout": 30}')
    return parsed


def who() -> str:
    """The person at the terminal, for timelines."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"user {os.getuid()}"
    return f"{name} (command line)"[:_WHO_LENGTH]
