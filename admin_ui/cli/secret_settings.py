"""The subcommand of manage_docker_host that sets and forgets secret settings; none is ever shown.

Values come from stdin, a file or the terminal, and never from the arguments, which everybody on the machine
can read.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path
from typing import TextIO

from admin_ui import presenters
from admin_ui.cli import lookup
from admin_ui.cli.command import Options, who
from admin_ui.cli.exits import Exit, failure
from admin_ui.cli.output import Output
from hosts import operations
from hosts.models import DockerHost
from hosts.secret_marks import mark_of

_LONGEST = 64 * 1024


def secret(options: Options, out: Output) -> Exit:
    """Set a secret setting of a host, forget it, or say which are set."""
    host = lookup.host(options.name)
    if options.key is None:
        if options.unset or options.file:
            raise failure("Name the setting, too.", Exit.USAGE)
        return _list(host, out)
    if options.unset:
        operations.forget_secret(host.pk, options.key)
        out.line(f"{options.key} of host {host.name} is not set any more.")
        return Exit.OK
    # Nobody shall type a secret first, and then hear that it is not wanted.
    operations.require_secret_key(host, options.key)
    value = read_file(options.key, options.file) if options.file else _value(host, options.key)
    problems = operations.set_secret(host.pk, options.key, value, by=who())
    out.line(f"{options.key} of host {host.name} is set.")
    for problem in problems:
        out.remark(f"Its settings are not complete: {problem}")
    return Exit.OK


def _list(host: DockerHost, out: Output) -> Exit:
    known = sorted(operations.secret_keys(host.executor_type))
    if not known:
        out.remark(f"The executor of host {host.name} ({host.executor_type}) has no secret settings.")
    for key in known:
        mark = mark_of(host.secret_marks, key)
        known_of_it = " by ".join(part for part in (presenters.moment(mark.at), mark.by) if part)
        state = "set" if key in host.secret_config else "not set"
        out.line(f"{key}: {state}{f' {known_of_it}' if known_of_it and state == 'set' else ''}")
    return Exit.OK


def from_file(argument: str) -> tuple[str, str]:
    """`KEY=FILE`, as the setting and what stands in the file; for argparse."""
    key, equals, path = argument.partition("=")
    if not (key and equals and path):
        raise argparse.ArgumentTypeError(f"{argument!r} is not of the form KEY=FILE")
    try:
        return key, _checked(key, Path(path).read_text())
    except (OSError, ValueError) as exc:
        raise argparse.ArgumentTypeError(f"{key}: {_reason(exc)}") from None


def read_file(key: str, path: str) -> str:
    """What stands in the file; exit code 2 if that is no value."""
    try:
        return _checked(key, Path(path).read_text())
    except (OSError, ValueError) as exc:
        raise failure(f"{key}: {_reason(exc)}. Nothing was changed.", Exit.USAGE) from None


def _value(host: DockerHost, key: str) -> str:
    if not sys.stdin.isatty():
        return checked_input(key, sys.stdin)
    try:
        return _checked(key, getpass.getpass(f"{key} of {host.name}: "))
    except ValueError as exc:
        raise failure(f"{key}: {exc}. Nothing was changed.", Exit.USAGE) from None


def checked_input(key: str, source: TextIO) -> str:
    """What comes from the source to its end; exit code 2 if that is no value."""
    try:
        return _checked(key, source.read(_LONGEST + 2))
    except ValueError as exc:
        raise failure(f"{key}: {_reason(exc)}. Nothing was changed.", Exit.USAGE) from None


def _checked(key: str, given: str) -> str:
    """Without the line end that editors and `echo` add; ValueError if it is no value."""
    value = given.removesuffix("\n").removesuffix("\r")
    if not value.strip():
        raise ValueError("the value is empty")
    if "\0" in value or len(value) > _LONGEST:
        raise ValueError(f"the value is no text of {_LONGEST} characters at most")
    return value


def _reason(exc: Exception) -> str:
    """Why a file cannot be read, without anything of what is in it."""
    if isinstance(exc, UnicodeError):
        return "the value is no UTF-8 text"
    return f"{exc.filename}: {exc.strerror}" if isinstance(exc, OSError) else str(exc)
