"""Supervisors, by hand: status, restart, pause, resume. See `admin_ui.cli.supervisor_arguments`."""

from __future__ import annotations

import argparse

from admin_ui.cli import supervisor_arguments
from admin_ui.cli.command import SubcommandsCommand


class Command(SubcommandsCommand):
    help = "Look at running supervisors and ask something of them. Each subcommand has a --help."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        supervisor_arguments.add_to(parser)
