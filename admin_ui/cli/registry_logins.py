"""The subcommands of manage_docker_host that set and forget logins at registries; no password is shown."""

from __future__ import annotations

import argparse
import getpass
import sys

from admin_ui.cli import lookup
from admin_ui.cli.command import Options, who
from admin_ui.cli.exits import Exit, failure
from admin_ui.cli.output import Output
from hosts import operations, registries
from hosts.errors import ConfigurationError


def registry(value: str) -> str:
    """The name of a registry; for argparse."""
    try:
        return registries.registry_name(value)
    except ConfigurationError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def login(options: Options, out: Output) -> Exit:
    """Keep a user name and password for the host's pulls from a registry, encrypted."""
    host = lookup.host(options.name)
    password = _password(options)
    login = {"username": options.username, "password": password}
    operations.set_registry_login(host.pk, options.registry, **login, by=who())
    out.line(f"Host {host.name} pulls from {options.registry} as {options.username}. The password is set.")
    return Exit.OK


def logout(options: Options, out: Output) -> Exit:
    """Forget what `login` keeps."""
    host = lookup.host(options.name)
    operations.forget_registry_login(host.pk, options.registry)
    out.line(f"Host {host.name} has no login for {options.registry} any more.")
    return Exit.OK


def _password(options: Options) -> str:
    if options.password_stdin:
        password = sys.stdin.read().removesuffix("\n").removesuffix("\r")
    elif sys.stdin.isatty():
        password = getpass.getpass(f"Password of {options.username} at {options.registry}: ")
    else:
        raise failure("Give --password-stdin to read the password from stdin.", Exit.USAGE)
    if not password:
        raise failure("The password is empty; nothing was changed.", Exit.USAGE)
    return password
