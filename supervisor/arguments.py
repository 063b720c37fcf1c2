"""Types of command line arguments: each says in one line what was wrong with a value."""

from __future__ import annotations

import argparse
import difflib

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from hosts.models import DockerHost
from supervisor.exit_codes import NOT_FOUND


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


def add_poll_interval(parser: CommandParser) -> None:
    """The option `--poll-interval`, the same for every command that works."""
    parser.add_argument(
        "--poll-interval",
        type=positive_seconds,
        default=settings.TALLYMAN_POLL_INTERVAL_SECONDS,
        metavar="S",
        help="look for work every S seconds, beside being woken (default: %(default)s)",
    )


def host_named(name: str) -> DockerHost:
    """The host; CommandError (exit code 4) names those that there are."""
    try:
        return DockerHost.objects.get(name=name, archived_at=None)
    except DockerHost.DoesNotExist:
        names = list(DockerHost.objects.filter(archived_at=None).values_list("name", flat=True)[:100])
        near = difflib.get_close_matches(name, names, n=5, cutoff=0.0)
        known = f" There are: {', '.join(near)}." if near else " There are none yet."
        raise CommandError(f"There is no host {name!r}.{known}", returncode=NOT_FOUND) from None
