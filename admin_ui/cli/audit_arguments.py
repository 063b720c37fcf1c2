"""The arguments of `audit`."""

from __future__ import annotations

import argparse
from typing import Any

from admin_ui.cli import audits, command
from admin_ui.cli.command import Action, Parser
from admin_ui.cli.exits import IN_HELP
from audit.words import Door, Outcome


def add_to(parser: argparse.ArgumentParser) -> None:
    """Give the command all its subcommands."""
    subcommands = parser.add_subparsers(
        title="subcommands", metavar="SUBCOMMAND", required=True, parser_class=Parser
    )
    _add_list(subcommands)
    text = "look whether all rows are there, as they were written: exit code 1, and the first one that is not"
    verify = _add(subcommands, "verify", audits.verify_chain, text)
    verify.add_argument(
        "--expect",
        metavar="ROW:HASH",
        type=audits.noted,
        help="a row that `audit head` printed before, noted elsewhere: it must still be there",
    )
    verify.add_argument("--json", action="store_true", help="print JSON, and nothing else, on stdout")
    _add(subcommands, "head", audits.head, "print the last row's number and hash, to be noted elsewhere")
    _add_prune(subcommands)


def _add(subcommands: Any, name: str, action: Action, text: str) -> Parser:
    parser: Parser = subcommands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=IN_HELP
    )
    parser.set_defaults(run=action)
    return parser


def _add_list(subcommands: Any) -> None:
    parser = _add(subcommands, "list", audits.list_rows, "list who did what, the newest first")
    for name, text in (
        ("actor", "by this person or system account"),
        ("verb", "of this verb, such as job.cancel"),
        ("kind", "to objects of this kind, such as host"),
        ("object", "to the object of this name or id"),
    ):
        parser.add_argument(f"--{name}", default="", type=command.text, help=text)
    parser.add_argument("--door", default="", choices=Door.values, help="through this door")
    parser.add_argument("--outcome", default="", choices=Outcome.values, help="that ended so")
    parser.add_argument(
        "--since", type=audits.moment, metavar="WHEN", help="from this day or moment on (UTC)"
    )
    parser.add_argument("--until", type=audits.moment, metavar="WHEN", help="up to this day or moment (UTC)")
    parser.add_argument(
        "--limit", type=command.positive, default=50, metavar="N", help="at most N rows (default: 50)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, and nothing else, on stdout")


def _add_prune(subcommands: Any) -> None:
    text = "delete old rows, leaving a checkpoint that says who signed that off"
    parser = _add(subcommands, "prune", audits.prune, text)
    parser.add_argument(
        "--before",
        type=audits.moment,
        required=True,
        metavar="WHEN",
        help="rows from before this day or moment (UTC)",
    )
    parser.add_argument(
        "--sign-off",
        type=command.text,
        required=True,
        metavar="REASON",
        help="why they may go; it is kept with the name of whoever runs this",
    )
    parser.add_argument(
        "--even-if-broken", action="store_true", help="also if `audit verify` finds something wrong"
    )
