from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from hosts import installation
from hosts.errors import ConfigurationError
from jobs.models import Attempt
from supervisor import database
from supervisor.exit_codes import FAILED, TRY_LATER


class Command(BaseCommand):
    help = (
        "Say whether the database can be worked with, and which installation it is. A database that was "
        "moved or copied is refused by the supervisor until this command is told which of the two it was."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group()
        which.add_argument(
            "--adopt-installation",
            action="store_true",
            help="the database was moved, and nothing works with the old one: go on with its containers",
        )
        which.add_argument(
            "--new-installation",
            action="store_true",
            help="the database is a copy: never touch the original's containers",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if trouble := database.trouble_with_database():
            raise CommandError(f"The database cannot be worked with: {trouble}", returncode=TRY_LATER)
        self.stdout.write("Database: answers, and has every migration")
        if options["adopt_installation"]:
            installation.adopt()
        elif options["new_installation"]:
            self._renew()
        try:
            self.stdout.write(f"Installation: {installation.current().id}")
        except ConfigurationError as exc:
            raise CommandError(str(exc), returncode=FAILED) from exc

    def _renew(self) -> None:
        left = Attempt.objects.open().count()
        if left:
            raise CommandError(
                f"{left} attempts are open in this copy, and their containers are the original's. Give their "
                "hosts up first: `manage_docker_host declare-lost NAME`.",
                returncode=FAILED,
            )
        installation.renew()
