"""The arguments of manage_docker_host."""

from __future__ import annotations

import argparse
from typing import Any

from admin_ui.cli import command, hosts, registry_logins, secret_settings
from admin_ui.cli.command import Action, Parser
from admin_ui.cli.exits import IN_HELP
from hosts.executors import registry
from hosts.models import DrainThen
from supervisor.arguments import positive_seconds

_OF_ONE_HOST: tuple[tuple[str, Action, str], ...] = (
    ("test", hosts.test, "ask the engine, from here, whether it answers"),
    ("cordon", hosts.cordon, "give a host no new jobs; the running ones go on"),
    ("activate", hosts.activate, "let a host take jobs again"),
    ("remove", hosts.remove, "take a host out of use; its jobs and their logs stay"),
)

_POLICY = 'what containers may have, as JSON, such as {"images": ["team/**"], "paths": ["/srv/data"]}'


def add_to(parser: argparse.ArgumentParser) -> None:
    """Give the command all its subcommands."""
    subcommands = parser.add_subparsers(
        title="subcommands", metavar="SUBCOMMAND", required=True, parser_class=Parser
    )
    _add_add(subcommands)
    _add_list(subcommands)
    for name, action, text in _OF_ONE_HOST:
        _name(_add(subcommands, name, action, text))
    _add_drain(subcommands)
    _add_policy(subcommands)
    _add_registry_login(subcommands)
    _add_secret(subcommands)
    _add_declare_lost(subcommands)


def _add(subcommands: Any, name: str, action: Action, text: str) -> Parser:
    parser: Parser = subcommands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=IN_HELP
    )
    parser.set_defaults(run=action)
    return parser


def _name(parser: Parser) -> None:
    parser.add_argument("name", metavar="NAME", type=command.text, help="the host's name")


def _add_add(subcommands: Any) -> None:
    parser = _add(subcommands, "add", hosts.add, "register an engine under a name")
    _name(parser)
    parser.add_argument(
        "--url",
        type=command.text,
        help="where the engine is: unix:///var/run/docker.sock, tcp://docker.example.com:2376, "
        "ssh://user@host, or context://NAME for one of Docker's contexts; without it, where DOCKER_HOST "
        "or the current context says. Not needed for the process executor",
    )
    parser.add_argument(
        "--executor", choices=registry.kinds(), default="docker", help="the kind of engine (default: docker)"
    )
    parser.add_argument(
        "--weight", type=command.positive, help="jobs without a host go to the heaviest (default: 100)"
    )
    parser.add_argument(
        "--max-jobs", type=command.positive, help="how many jobs it runs at once (default: 10)"
    )
    parser.add_argument(
        "--label",
        metavar="K=V",
        action="append",
        default=[],
        type=command.assignment,
        help="a label that templates may ask for, as in gpu=a100; may be given several times",
    )
    parser.add_argument(
        "--config",
        type=command.json_object,
        help='further settings as JSON, such as {"tls_verify": true, "tls_ca_cert": "/etc/docker/ca.pem"}',
    )
    parser.add_argument("--policy", type=command.json_object, help=_POLICY)
    parser.add_argument(
        "--secret",
        metavar="KEY=FILE",
        action="append",
        default=[],
        type=secret_settings.from_file,
        help="a secret setting, read from a file, as in aws_secret_access_key=/run/secrets/aws; may be "
        "given several times. See the subcommand secret",
    )


def _add_list(subcommands: Any) -> None:
    parser = _add(subcommands, "list", hosts.list_hosts, "list the hosts, and what was last seen of them")
    parser.add_argument("--json", action="store_true", help="print JSON, and nothing else, on stdout")


def _add_drain(subcommands: Any) -> None:
    text = "give a host no new jobs, and wait for the running ones to end"
    parser = _add(subcommands, "drain", hosts.drain, text)
    _name(parser)
    parser.add_argument(
        "--deadline",
        type=positive_seconds,
        metavar="S",
        help="for S seconds (default: however long they take)",
    )
    parser.add_argument(
        "--then",
        choices=DrainThen.values,
        default=DrainThen.WAIT.value,
        help="what becomes of those that still run after the deadline: stop them (TERM, grace, KILL; they "
        "end as interrupted), or wait on (default: wait)",
    )


def _add_policy(subcommands: Any) -> None:
    parser = _add(subcommands, "policy", hosts.policy, "show what a host lets containers have, or replace it")
    _name(parser)
    parser.add_argument(
        "--set",
        type=command.json_object,
        metavar="JSON",
        dest="policy",
        help=_POLICY + "; {} for the usual one",
    )


def _add_registry_login(subcommands: Any) -> None:
    text = "let a host pull images that only a logged-in user may have"
    login = _add(subcommands, "registry-login", registry_logins.login, text)
    text = "forget a host's login at a registry"
    logout = _add(subcommands, "registry-logout", registry_logins.logout, text)
    for parser in (login, logout):
        _name(parser)
        parser.add_argument(
            "registry",
            metavar="REGISTRY",
            type=registry_logins.registry,
            help="what stands before the first slash of an image's name; docker.io for Docker Hub",
        )
    login.add_argument("--username", required=True, type=command.text, help="who to log in as")
    login.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the password (or token) from stdin; without it, it is asked for at the terminal",
    )


def _add_secret(subcommands: Any) -> None:
    text = "set a host's secret setting, forget it, or say which are set; none is ever shown"
    parser = _add(subcommands, "secret", secret_settings.secret, text)
    _name(parser)
    parser.add_argument(
        "key",
        metavar="KEY",
        nargs="?",
        type=command.text,
        help="the setting, such as aws_secret_access_key; without it, all that there are. Its value is read "
        "from stdin, or asked for at the terminal",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--file", metavar="PATH", help="read the value from this file instead")
    how.add_argument("--unset", action="store_true", help="forget it")


def _add_declare_lost(subcommands: Any) -> None:
    text = "give up a host that will never answer again: its open jobs end as lost"
    parser = _add(subcommands, "declare-lost", hosts.declare_lost, text)
    _name(parser)
    parser.add_argument("--yes-i-mean", metavar="NAME", help="the name once more, instead of being asked")
