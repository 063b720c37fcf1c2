"""The variables that commands give a job.

A secret's value never stands among the arguments, which everybody on the machine can read: it comes from a
file, from stdin, or from the command's own environment.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any

from admin_ui.cli import secret_settings
from admin_ui.cli.command import Options, assignment, text
from admin_ui.cli.exits import Exit, failure
from jobs.variables import AS, FILE, REFERENCE, SECRET

_STDIN = "-"


def add_to(parser: argparse.ArgumentParser) -> None:
    """The options beside --env."""
    parser.add_argument(
        "--secret",
        metavar="K[=FILE]",
        action="append",
        default=[],
        type=text,
        help="a secret variable: its value is what is in FILE (- is stdin), or without =FILE that of K in "
        "the environment of this command; it is stored encrypted and never shown",
    )
    parser.add_argument(
        "--reference",
        metavar="K=STORE:PATH",
        action="append",
        default=[],
        type=assignment,
        help="a secret variable that the worker reads from a store, as in K=vault:secret/app/db#password",
    )
    parser.add_argument(
        "--as-file",
        metavar="K",
        action="append",
        default=[],
        type=text,
        help="hand this secret over as the file /run/secrets/K, in memory, and K_FILE in its place",
    )


def given(options: Options) -> dict[str, Any]:
    """All of them, as `jobs.operations.submit` takes them; exit code 2 for what is wrong."""
    found: dict[str, Any] = dict(options.env)
    found |= {name: {REFERENCE: reference} for name, reference in options.reference}
    found |= dict(map(_secret, options.secret))
    for name in options.as_file:
        if not isinstance(found.get(name), dict):
            raise failure(f"--as-file {name}: give {name} by --secret or --reference, too.", Exit.USAGE)
        found[name] = {**found[name], AS: FILE}
    return found


def _secret(argument: str) -> tuple[str, dict[str, str]]:
    name, equals, path = argument.partition("=")
    if not equals:
        value = os.environ.get(name, "")
        if not value:
            message = f"--secret {name}: there is no {name} in this command's environment; write {name}=FILE."
            raise failure(message, Exit.USAGE)
    elif path == _STDIN:
        value = secret_settings.checked_input(name, sys.stdin)
    else:
        value = secret_settings.read_file(name, path)
    return name, {SECRET: value}
