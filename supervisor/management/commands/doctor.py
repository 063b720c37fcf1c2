from __future__ import annotations

import dataclasses
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import actors
from hosts import installation
from jobs.models import Attempt
from supervisor import database, doctor
from supervisor.doctor import FAILURE, OK, Finding
from supervisor.exit_codes import FAILED, TRY_LATER

_MARKS = {doctor.OK: "ok     ", doctor.WARNING: "WARNING", doctor.FAILURE: "FAILURE"}


class Command(BaseCommand):
    help = (
        "Look for what may keep this installation from working: settings, permissions, disk, database, "
        "migrations, clocks, the supervisor and every active host's engine; say what to do. Exits with 1 if "
        "something fails, with 0 if there are only warnings. A database that was moved or copied is refused "
        "by the supervisor until this command is told which of the two it was."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="write the findings as JSON")
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
        if options["adopt_installation"] or options["new_installation"]:
            if trouble := database.trouble_with_database():
                raise CommandError(f"The database cannot be worked with: {trouble}", returncode=TRY_LATER)
            with actors.acting(actors.command()):
                if options["adopt_installation"]:
                    installation.adopt()
                else:
                    self._renew()
        findings = self._told(as_json=options["json"])
        failures = [one for one in findings if one.level == FAILURE]
        if any(one.about == "database" for one in failures):
            raise SystemExit(TRY_LATER)
        if failures:
            raise SystemExit(FAILED)

    def _told(self, *, as_json: bool) -> list[Finding]:
        findings = []
        for one in doctor.examine():
            findings.append(one)
            if not as_json:  # as they come: an engine that does not answer takes its time
                hint = f"\n         {one.hint}" if one.hint and one.level != OK else ""
                self.stdout.write(f"{_MARKS[one.level]}  {one.about}: {one.message}{hint}")
        if as_json:
            self.stdout.write(json.dumps([dataclasses.asdict(one) for one in findings], indent=2))
        return findings

    def _renew(self) -> None:
        left = Attempt.objects.open().count()
        if left:
            raise CommandError(
                f"{left} attempts are open in this copy, and their containers are the original's. Give their "
                "hosts up first: `manage_docker_host declare-lost NAME`.",
                returncode=FAILED,
            )
        installation.renew()
