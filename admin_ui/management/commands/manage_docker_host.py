"""Hosts, by hand: add, list, test, cordon, drain, remove and more. See `admin_ui.cli.host_arguments`."""

from __future__ import annotations

import argparse

from admin_ui.cli import host_arguments
from admin_ui.cli.command import SubcommandsCommand


class Command(SubcommandsCommand):
    help = (
        "Register the engines that jobs run on, and say what is wanted of them. Each subcommand has a --help."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        host_arguments.add_to(parser)
