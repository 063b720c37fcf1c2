"""Types of command line arguments: each says in one line what was wrong with a value."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from hosts.models import DockerHost
from supervisor.exit_codes import NOT_FOUND
from supervisor.worker.orphans import Reap

HIGHEST_PORT = 65535


def positive_seconds(text: str) -> float:
    """Seconds above 0."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds above 0")
    return seconds


def positive_integer(text: str) -> int:
    """A whole number above 0."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return number


def port(text: str) -> int:
    """A TCP port."""
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= HIGHEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is no port (1 to {HIGHEST_PORT})")
    return number


def add_poll_interval(parser: CommandParser) -> None:
    """The option `--poll-interval`, the same for every command that works."""
    parser.add_argument(
        "--poll-interval",
        type=positive_seconds,
        default=settings.TALLYMAN_POLL_INTERVAL_SECONDS,
        metavar="S",
        help="look for work every S seconds, beside being woken (default: %(default)s)",
    )


def add_reap(parser: CommandParser) -> None:
    """The option `--reap`, the same for every command that works."""
    parser.add_argument(
        "--reap",
        choices=("report", "remove"),
        default=settings.TALLYMAN_REAP,
        help="what to do with containers of this installation that have no row any more: say so (in the log "
        "and on the host's page), or also stop and remove them after "
        f"{settings.TALLYMAN_REAP_AFTER_MINUTES:g} minutes. Once a database was restored from a backup, such "
        "a container is the only trace of its job, so look first (default: %(default)s)",
    )


def reap_of(options: Mapping[str, Any]) -> Reap:
    """What `--reap` and the settings say."""
    return Reap(remove=options["reap"] == "remove", after_seconds=60 * settings.TALLYMAN_REAP_AFTER_MINUTES)


def host_named(name: str) -> DockerHost:
    """The host; CommandError (exit code 4) names those that there are."""
    try:
        return DockerHost.objects.defer("secret_config").get(name=name, archived_at=None)
    except DockerHost.DoesNotExist:
        names = list(DockerHost.objects.filter(archived_at=None).values_list("name", flat=True)[:100])
        near = difflib.get_close_matches(name, names, n=5, cutoff=0.0)
        known = f" There are: {', '.join(near)}." if near else " There are none yet."
        raise CommandError(f"There is no host {name!r}.{known}", returncode=NOT_FOUND) from None
