from __future__ import annotations

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from audit import actors, acts
from audit.entries import Entry
from hosts.checks import SECRETS
from hosts.errors import TallymanError
from hosts.models import DockerHost
from jobs.kept_containers import Keep
from supervisor import cleanup, database
from supervisor.arguments import add_poll_interval, add_reap, host_named, positive_integer, reap_of
from supervisor.exit_codes import FAILED, TRY_LATER
from supervisor.standalone import Standalone, StandaloneOptions


class Command(BaseCommand):
    help = (
        "Run pending jobs in this one process, for one host or for all of them. "
        "`supervise` does the same with a process for each host, and restarts what dies."
    )
    # The others are of pages, which this process has none of.
    requires_system_checks = (SECRETS,)

    def add_arguments(self, parser: CommandParser) -> None:
        add_poll_interval(parser)
        add_reap(parser)
        parser.add_argument(
            "--max-jobs",
            type=positive_integer,
            metavar="N",
            help="run at most N jobs at once in this process (default: what the hosts allow)",
        )
        parser.add_argument(
            "--host", metavar="NAME", help="work for this host only (default: all active hosts)"
        )
        parser.add_argument(
            "--once",
            "--single-run",
            action="store_true",
            help="end when nothing is left that can be done now",
        )
        parser.add_argument(
            "--cleanup",
            action="store_true",
            help="only remove the containers of jobs that ended a while ago (or that are more than "
            "TALLYMAN_RETENTION_COUNT on a host), and the jobs, logs and readings that the settings "
            "TALLYMAN_KEEP_... do not keep; then end",
        )
        parser.add_argument(
            "--cleanup-hours",
            type=_hours,
            default=24.0,
            metavar="N",
            help="with --cleanup: how long ago a job must have ended for its container to go "
            "(default: %(default)s)",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if trouble := database.trouble_with_database():
            raise CommandError(f"The database cannot be worked with: {trouble}", returncode=TRY_LATER)
        name = options["host"]
        active = DockerHost.objects.active().defer("secret_config")
        hosts = [host_named(name)] if name else list(active)
        if not hosts and not options["cleanup"]:
            raise CommandError(
                "There is no active host. Add one with `manage_docker_host add`.", returncode=FAILED
            )
        try:
            if options["cleanup"]:
                self._clean(hosts, options["cleanup_hours"])
            else:
                self._work(hosts, options)
        except TallymanError as exc:
            raise CommandError(str(exc), returncode=FAILED) from exc

    def _work(self, hosts: list[DockerHost], options: dict[str, Any]) -> None:
        standalone = Standalone(
            hosts,
            StandaloneOptions(
                poll_interval_seconds=options["poll_interval"],
                max_jobs=options["max_jobs"],
                once=options["once"],
                shutdown_timeout_seconds=settings.TALLYMAN_SHUTDOWN_TIMEOUT_SECONDS,
                keep=Keep.of_settings(),
                reap=reap_of(options),
            ),
        )
        self.stderr.write(f"{standalone.run()} jobs were taken.")

    def _clean(self, hosts: list[DockerHost], hours: float) -> None:
        says = {"hosts": [host.name for host in hosts], "hours": hours}
        # Before anything goes: the engines are no part of any transaction.
        acts.record(Entry(verb="jobs.clean_up", kind="job", says=says, actor=actors.command()))
        failed = []
        for host in hosts:
            try:
                for line in cleanup.remove_old_containers(host, hours=hours):
                    self.stdout.write(line)
            except TallymanError as exc:  # a host that does not answer must not keep the others from it
                failed.append(str(exc))
        self.stdout.write(cleanup.delete_what_is_not_kept())
        if failed:
            raise CommandError(f"Not cleaned: {' '.join(failed)}", returncode=FAILED)


def _hours(text: str) -> float:
    try:
        hours = float(text)
    except ValueError:
        hours = -1.0
    if hours < 0:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of hours")
    return hours
