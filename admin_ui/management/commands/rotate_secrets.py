"""manage.py rotate_secrets: encrypt stored secrets with the first key, or say which keys they need."""

from __future__ import annotations

import argparse
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from admin_ui.cli import rotation
from admin_ui.cli.command import HelpFormatter, positive
from admin_ui.cli.exits import IN_HELP, one_line_errors
from admin_ui.cli.output import Output


class Command(BaseCommand):
    help = (
        "Encrypt with the first key of TALLYMAN_SECRET_KEYS what was encrypted with another one. It may be "
        "interrupted, and run again, while everything else is running."
    )
    requires_system_checks: list[str] = []

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        return super().create_parser(
            prog_name, subcommand, formatter_class=HelpFormatter, epilog=IN_HELP, **kwargs
        )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--check",
            action="store_true",
            help="change nothing: say which rows are under which key; exit code 1 unless all are under the "
            "first",
        )
        parser.add_argument(
            "--batch",
            metavar="N",
            type=positive,
            default=500,
            help="rows for each transaction (default: 500)",
        )
        parser.add_argument("--json", action="store_true", help="print JSON, and nothing else, on stdout")

    def handle(self, *args: Any, **options: Any) -> None:
        out = Output(self.stdout, self.stderr)
        with one_line_errors():
            if options["check"]:
                code = rotation.check(out, as_json=options["json"])
            else:
                code = rotation.rotate(out, batch=options["batch"], as_json=options["json"])
        if code:
            raise SystemExit(int(code))
