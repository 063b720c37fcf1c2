"""First rows for somebody who wants to try Tallyman; `make up` calls it. See `admin_ui.bootstrap`."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from admin_ui import bootstrap
from admin_ui.cli.exits import one_line_errors
from audit import actors


class Command(BaseCommand):
    help = (
        "Make what a first try needs, where it is missing: the superuser admin (password printed once), "
        "a host (the local Docker engine if one answers, else the process executor), the template hello, "
        "and one job of it. What exists is never changed, so it may be run at any time."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--still-running",
            action="store_true",
            help="make nothing, but name the jobs that go on without a supervisor, and how to end them",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        lines = bootstrap.still_running() if options["still_running"] else bootstrap.everything()
        with one_line_errors(), actors.acting(actors.command()):
            for line in lines:
                self.stdout.write(line)
                self.stdout.flush()
