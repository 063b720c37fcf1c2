"""The arguments of manage_container_job."""

from __future__ import annotations

import argparse
from typing import Any

from admin_ui.cli import command, explain, job_variables, jobs, runs
from admin_ui.cli.command import Action, Parser
from admin_ui.cli.exits import IN_HELP, OF_A_JOB_IN_HELP
from jobs import operations
from jobs.states import JobStatus
from jobs.validators import RETRYABLE

_ENV_HELP = "a variable for the container, over the template's; may be given several times"
_JSON_HELP = "print JSON, and nothing else, on stdout"
_HOST_HELP = "the host to run on; without it, any host with room"


def add_to(parser: argparse.ArgumentParser) -> None:
    """Give the command all its subcommands."""
    subcommands = parser.add_subparsers(
        title="subcommands", metavar="SUBCOMMAND", required=True, parser_class=Parser
    )
    _add_create(subcommands)
    _add_list(subcommands)
    _add_show(subcommands)
    _add_cancel(subcommands)
    _add_run(subcommands)
    _add_run_command(subcommands)
    _add_explain(subcommands)
    _add_limits(subcommands)
    _add_declare_lost(subcommands)
    for name, action, text in _OF_ONE_JOB:
        _id(_add(subcommands, name, action, text))


_OF_ONE_JOB: tuple[tuple[str, Action, str], ...] = (
    (
        "stop",
        jobs.simple(operations.stop, "Job {job} is stopped, or will be in a moment."),
        "hold a pending job back; stop a running one, so that it ends cancelled",
    ),
    (
        "start",
        jobs.simple(operations.start, "Job {job} may start now."),
        "let a pending job go that is held back or waits for a retry",
    ),
    ("restart", jobs.restart, "submit the same job again; one that has not ended is cancelled first"),
    (
        "retry",
        jobs.simple(operations.retry, "Job {job} gets one more attempt."),
        "give a job that failed, timed out or was cancelled one more attempt",
    ),
)


def _add(subcommands: Any, name: str, action: Action, text: str, epilog: str = IN_HELP) -> Parser:
    parser: Parser = subcommands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}.", epilog=epilog
    )
    parser.set_defaults(run=action)
    return parser


def _id(parser: Parser) -> None:
    parser.add_argument("id", metavar="ID", type=command.uuid, help="the job's id, as `list` shows it")


def _add_declare_lost(subcommands: Any) -> None:
    text = "end a job's attempt as lost, where its executor can tell nobody what became of it"
    parser = _add(subcommands, "declare-lost", jobs.declare_lost, text)
    _id(parser)
    parser.add_argument("--yes-i-mean", metavar="ID", help="the job's id once more, instead of being asked")


def _what_and_where(parser: Parser) -> None:
    parser.free_order = True
    parser.add_argument("template", metavar="TEMPLATE", type=command.text, help="the name of a template")
    parser.add_argument("host", metavar="HOST", nargs="?", type=command.text, help=_HOST_HELP)
    parser.add_argument("--name", default="", type=command.text, help="a name for people; need not be unique")
    parser.add_argument(
        "--command", default="", type=command.text, help="shell words to run, not the template's command"
    )
    _env(parser)
    _retries(parser)


def _env(parser: Parser) -> None:
    parser.add_argument(
        "--env", metavar="K=V", action="append", default=[], type=command.assignment, help=_ENV_HELP
    )
    job_variables.add_to(parser)


def _retries(parser: Parser) -> None:
    parser.add_argument(
        "--max-attempts",
        metavar="N",
        type=command.positive,
        help="how often to run it at most (default: the template's)",
    )
    parser.add_argument(
        "--retry-on",
        metavar="OUTCOMES",
        type=command.retry_on,
        help=f"after which ends, out of {','.join(RETRYABLE)}; '' for none (default: the template's)",
    )
    parser.add_argument(
        "--start-deadline",
        metavar="S",
        type=command.positive,
        help="fail it if it has not started after S seconds (default: the template's)",
    )
    parser.add_argument(
        "--limit-key",
        metavar="KEY",
        default="",
        type=command.text,
        help="the concurrency limit of this key holds for it, too",
    )


def _json(parser: Parser) -> None:
    parser.add_argument("--json", action="store_true", help=_JSON_HELP)


def _add_create(subcommands: Any) -> None:
    parser = _add(
        subcommands,
        "create",
        runs.create,
        "submit a job",
        f"{IN_HELP};\nwith --wait: 0 only if the job completed",
    )
    _what_and_where(parser)
    parser.add_argument("--wait", action="store_true", help="wait until the job has ended")
    _json(parser)


def _add_list(subcommands: Any) -> None:
    parser = _add(subcommands, "list", jobs.list_jobs, "list jobs, newest first")
    parser.add_argument("--status", choices=JobStatus.values, help="only jobs with this status")
    parser.add_argument("--host", metavar="NAME", type=command.text, help="only jobs of this host")
    parser.add_argument(
        "--limit", metavar="N", type=command.positive, default=20, help="at most so many (default: 20)"
    )
    _json(parser)


def _add_show(subcommands: Any) -> None:
    parser = _add(subcommands, "show", jobs.show, "show one job, and what its container wrote")
    _id(parser)
    parser.add_argument("--logs", action="store_true", help="add the whole log of the newest attempt")
    parser.add_argument("--follow", action="store_true", help="print the log as it comes, until the job ends")
    parser.add_argument(
        "--raw", action="store_true", help="only the log, byte for byte: stdout on stdout, stderr on stderr"
    )
    _json(parser)


def _add_cancel(subcommands: Any) -> None:
    parser = _add(subcommands, "cancel", jobs.cancel, "end a job: TERM, its grace period, KILL")
    _id(parser)
    parser.add_argument("--force", action="store_true", help="no grace period: KILL at once")


def _add_explain(subcommands: Any) -> None:
    parser = _add(subcommands, "explain", explain.explain_job, "say for each host why it takes a job or not")
    _id(parser)
    _json(parser)


def _add_limits(subcommands: Any) -> None:
    _json(_add(subcommands, "limits", explain.list_limits, "list the concurrency limits"))
    text = "let only so many jobs of a key run at once, on all hosts together"
    parser = _add(subcommands, "limit", explain.set_limit, text)
    parser.add_argument("key", metavar="KEY", type=command.text, help="what jobs and templates name")
    how_many = parser.add_mutually_exclusive_group(required=True)
    how_many.add_argument("--max", metavar="N", type=command.count, help="0 lets none start for now")
    how_many.add_argument("--none", action="store_true", help="take the limit away")


def _add_run(subcommands: Any) -> None:
    text = "submit a job, print what it writes as it comes, and exit with its exit code"
    _what_and_where(_add(subcommands, "run", runs.run, text, OF_A_JOB_IN_HELP))


def _add_run_command(subcommands: Any) -> None:
    text = "run `python manage.py COMMAND ARGS` in a container of the application's image"
    parser = _add(subcommands, "run-command", runs.run_command, text, OF_A_JOB_IN_HELP)
    parser.usage = "%(prog)s [options] -- COMMAND [ARGS ...]"
    parser.add_argument(
        "--image", default="", type=command.text, help="the image (default: the setting TALLYMAN_APP_IMAGE)"
    )
    parser.add_argument("--host", metavar="NAME", type=command.text, help=_HOST_HELP)
    parser.add_argument("--name", default="", type=command.text, help="a name (default: COMMAND)")
    _env(parser)
    _retries(parser)
    parser.add_argument("--detach", action="store_true", help="print the job's id and exit at once")
    parser.add_argument(
        "words",
        metavar="-- COMMAND ARGS",
        nargs=argparse.REMAINDER,
        help="the command and its arguments, after two dashes",
    )
