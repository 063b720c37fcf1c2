"""Jobs, by hand: submit, list, show, follow, cancel. See `admin_ui.cli.job_arguments`."""

from __future__ import annotations

import argparse

from admin_ui.cli import job_arguments
from admin_ui.cli.command import SubcommandsCommand


class Command(SubcommandsCommand):
    help = "Submit jobs, look at them, follow what they write, cancel them. Each subcommand has a --help."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        job_arguments.add_to(parser)
