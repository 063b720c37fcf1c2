from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from hosts.checks import SECRETS
from jobs.kept_containers import Keep
from supervisor import pulse
from supervisor.arguments import (
    add_poll_interval,
    add_reap,
    port,
    positive_integer,
    positive_seconds,
    reap_of,
)
from supervisor.exit_codes import FAILED
from supervisor.master import Master
from supervisor.worker_process import WorkerOptions


class Command(BaseCommand):
    help = (
        "Run the supervisor: one worker process for each active host, restarted when it dies. TERM or INT "
        "stop it within the shutdown timeout; containers run on, and the next supervisor adopts them."
    )
    # The others are of pages, and of models that tests have checked: they would import all there is.
    requires_system_checks = (SECRETS,)
    # The clerk checks the database, and waits for it: this process never opens it.
    requires_migrations_checks = False

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--host",
            action="append",
            default=[],
            metavar="NAME",
            help="work for this host only; may be given again",
        )
        parser.add_argument(
            "--concurrency",
            type=positive_integer,
            metavar="N",
            help="run at most N jobs at once on each host (default: the host's max_concurrent_jobs)",
        )
        add_poll_interval(parser)
        add_reap(parser)
        parser.add_argument(
            "--shutdown-timeout",
            type=positive_seconds,
            default=settings.TALLYMAN_SHUTDOWN_TIMEOUT_SECONDS,
            metavar="S",
            help="end within S seconds of TERM (default: %(default)s)",
        )

        parser.add_argument(
            "--probe-port",
            type=port,
            default=settings.TALLYMAN_PROBE_PORT,
            metavar="N",
            help="answer /health/live and /health/ready on this port, where no web process runs",
        )
        parser.add_argument(
            "--probe",
            action="store_true",
            help="run nothing: say whether a supervisor lives on this machine (in this container), and exit "
            "with 0 or 1; asks no database",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["probe"]:
            self._probe()
            return
        worker_options = WorkerOptions(
            poll_interval_seconds=options["poll_interval"],
            concurrency=options["concurrency"],
            shutdown_timeout_seconds=options["shutdown_timeout"],
            keep=Keep.of_settings(),
            reap=reap_of(options),
        )
        raise SystemExit(Master(worker_options, options["host"], options["probe_port"]).run())

    def _probe(self) -> None:
        found = pulse.look(settings.TALLYMAN_RUN_DIR)
        (self.stdout if found.is_alive else self.stderr).write(found.message)
        if not found.is_alive:
            raise SystemExit(FAILED)
