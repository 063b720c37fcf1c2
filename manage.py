#!/usr/bin/env python
"""Django's command line for Tallyman."""

from __future__ import annotations

import gc
import os
import signal
import sys
from pathlib import Path

from config import dev_env, pages

ROOT = Path(__file__).resolve().parent

# These run until they are stopped and their output is their log; every other command may print a result
# on stdout, which a log line would spoil.
SERVICES = {"process_container_jobs", "runserver", "supervise"}
WITHOUT_PAGES = {"process_container_jobs", "supervise"}
# Signals that mean something to a supervisor, and death to a process that is not one yet.
EARLY_SIGNALS = {signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU}
# Its master never collects (its children do), and what it imports is no garbage: a fifth of the time.
UNCOLLECTED = {"supervise"}


def main() -> None:
    """Run the command; a wrong setting is one line on stderr and exit code 2."""
    if dev_env.wanted(ROOT, os.environ) and dev_env.ensure(ROOT):
        dev_env.announce()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    pages.are_served = WITHOUT_PAGES.isdisjoint(sys.argv[1:2])
    if not UNCOLLECTED.isdisjoint(sys.argv[1:2]):
        gc.disable()
        # Held back is what the supervisor was sent while it executed itself anew.
        held_back = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        for number in EARLY_SIGNALS - held_back:
            signal.signal(number, signal.SIG_IGN)
    if SERVICES.isdisjoint(sys.argv[1:2]):
        os.environ.setdefault("LOG_STREAM", "stderr")

    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    from audit import actors

    if SERVICES.isdisjoint(sys.argv[1:2]):
        actors.speak_as(actors.command)
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as exc:
        if "--traceback" in sys.argv:
            raise
        sys.stderr.write(f"manage.py: {exc}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
