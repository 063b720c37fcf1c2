"""Who did what, by hand: list, verify, head, prune. See `admin_ui.cli.audit_arguments`."""

from __future__ import annotations

import argparse

from admin_ui.cli import audit_arguments
from admin_ui.cli.command import SubcommandsCommand


class Command(SubcommandsCommand):
    help = "Read the audit, and look whether it is whole. Each subcommand has a --help."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        audit_arguments.add_to(parser)
