"""The arguments of `supervisor`."""

from __future__ import annotations

import argparse
from typing import Any

from admin_ui.cli import command, supervisors
from admin_ui.cli.command import Action, Parser
from admin_ui.cli.exits import IN_HELP


def add_to(parser: argparse.ArgumentParser) -> None:
    """Give the command all its subcommands."""
    subcommands = parser.add_subparsers(
        title="subcommands", metavar="SUBCOMMAND", required=True, parser_class=Parser
    )
    text = "show every process of every supervisor: its state, heartbeat, memory, files, restarts and jobs"
    status = _add(subcommands, "status", supervisors.status, text)
    status.add_argument("--json", action="store_true", help="print JSON, and nothing else, on stdout")
    text = "give a host another worker process, even if it was parked or waits; containers run on"
    restart = _add(subcommands, "restart", supervisors.restart, text)
    restart.add_argument("name", metavar="HOST", type=command.text, help="the host's name")
    _of_one_or_all(_add(subcommands, "pause", supervisors.pause, "claim no new jobs; the running ones go on"))
    _of_one_or_all(_add(subcommands, "resume", supervisors.resume, "claim jobs again"))


def _add(subcommands: Any, name: str, action: Action, text: str) -> Parser:
    parser: Parser = subcommands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=IN_HELP
    )
    parser.set_defaults(run=action)
    return parser


def _of_one_or_all(parser: Parser) -> None:
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("name", metavar="HOST", nargs="?", type=command.text, help="the host's name")
    which.add_argument(
        "--all", action="store_true", help="every host at once, whoever holds it, now and from now on"
    )
