"""How to call everything that writes: each recipe prepares what it needs and gives back the act itself.

Whoever adds an operation, a subcommand or a page finds out from `test_walk` that it has to stand here, either
among those that only read or with a recipe.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from hosts import installation, operations, pausing
from hosts.models import DockerHost, DrainThen
from jobs import declare_lost, host_removal, shelf
from jobs import operations as job_operations
from jobs.models import ConcurrencyLimit, ContainerJob, ContainerTemplate
from tests.jobs.attempts import make_attempt
from tests.support.factories import make_host, make_job, make_template

Recipe = Callable[[], Callable[[], Any]]

MODULES = (operations, pausing, installation, job_operations, declare_lost, host_removal, shelf)
LOGIN = {"username": "ann", "password": "p"}
KEY = "aws_secret_access_key"


def fargate(**fields: Any) -> DockerHost:
    """A host that has a secret setting."""
    return make_host("aws", executor_type="fargate", connection_string="", **fields)


def platform() -> ContainerJob:
    """A job whose attempt nobody can ask about; the settings have to name the executor."""
    return make_attempt(host=make_host("platform", executor_type="mine")).job


def ended() -> ContainerJob:
    """A job that failed."""
    return make_job(status="failed")


def archived() -> ContainerTemplate:
    """A template out of use."""
    template = make_template()
    shelf.archive(template.pk)
    return template


def of_host(operation: Callable[..., Any], **arguments: Any) -> Recipe:
    return lambda: partial(operation, make_host().pk, **arguments)


def of_job(operation: Callable[..., Any]) -> Recipe:
    return lambda: partial(operation, make_job().pk, who="ann")


def logged_in() -> DockerHost:
    host = make_host()
    operations.set_registry_login(host.pk, "docker.io", **LOGIN)
    return host


def with_secret() -> DockerHost:
    host = fargate()
    operations.set_secret(host.pk, KEY, "x")
    return host


READING_OPERATIONS = {
    "hosts.operations.secret_keys",
    "hosts.operations.require_secret_key",
    "hosts.installation.current",  # its first call makes the row that says who we are, which nobody asks for
    "hosts.installation.database_identity",
}
OPERATIONS: dict[str, Recipe] = {
    "hosts.operations.cordon": of_host(operations.cordon),
    "hosts.operations.drain": of_host(operations.drain, deadline_seconds=5, then=DrainThen.STOP),
    "hosts.operations.activate": of_host(operations.activate),
    "hosts.operations.switch_off": of_host(operations.switch_off),
    "hosts.operations.switch_on": of_host(operations.switch_on),
    "hosts.operations.set_weight": of_host(operations.set_weight, weight=7),
    "hosts.operations.request_test": of_host(operations.request_test, by="ann"),
    "hosts.operations.request_examination": of_host(operations.request_examination, by="ann"),
    "hosts.operations.request_restart": of_host(operations.request_restart, by="ann"),
    "hosts.operations.request_removal": of_host(
        operations.request_removal, containers=["c1", "c2"], by="ann"
    ),
    "hosts.operations.pause": of_host(operations.pause, by="ann"),
    "hosts.operations.resume": of_host(operations.resume, by="ann"),
    "hosts.operations.set_policy": of_host(operations.set_policy, wanted={"images": ["team/**"]}),
    "hosts.operations.set_registry_login": of_host(
        operations.set_registry_login, registry="docker.io", **LOGIN
    ),
    "hosts.operations.forget_registry_login": lambda: partial(
        operations.forget_registry_login, logged_in().pk, "docker.io"
    ),
    "hosts.operations.set_secret": lambda: partial(operations.set_secret, fargate().pk, KEY, "x"),
    "hosts.operations.forget_secret": lambda: partial(operations.forget_secret, with_secret().pk, KEY),
    "hosts.pausing.pause_all": lambda: partial(pausing.pause_all, by="ann"),
    "hosts.pausing.resume_all": lambda: pausing.resume_all,
    "hosts.installation.adopt": lambda: installation.adopt,
    "hosts.installation.renew": lambda: installation.renew,
    "jobs.operations.submit": lambda: partial(job_operations.submit, make_template(), who="ann"),
    "jobs.operations.start": of_job(job_operations.start),
    "jobs.operations.stop": of_job(job_operations.stop),
    "jobs.operations.cancel": of_job(job_operations.cancel),
    "jobs.operations.restart": of_job(job_operations.restart),
    "jobs.operations.retry": lambda: partial(job_operations.retry, ended().pk, who="ann"),
    "jobs.operations.delete": lambda: partial(job_operations.delete, ended().pk),
    "jobs.declare_lost.declare_lost": of_host(declare_lost.declare_lost, who="ann"),
    "jobs.declare_lost.declare_attempt_lost": lambda: partial(
        declare_lost.declare_attempt_lost, platform().pk, who="ann"
    ),
    "jobs.host_removal.remove": of_host(host_removal.remove),
    "jobs.shelf.archive": lambda: partial(shelf.archive, make_template().pk),
    "jobs.shelf.unarchive": lambda: partial(shelf.unarchive, archived().pk),
}

# --- Commands: what they are called with. A tuple's last part may be what stands on stdin. ---

READING_COMMANDS = {
    "audit head",
    "audit list",
    "audit verify",
    "health_check",
    "manage_container_job explain",
    "manage_container_job limits",
    "manage_container_job list",
    "manage_container_job show",
    "manage_docker_host list",
    "manage_docker_host test",
    "supervise",
    "supervisor status",
}


def host_command(*words: str) -> Callable[[], list[str]]:
    def prepare() -> list[str]:
        make_host("berlin")
        return list(words)

    return prepare


def job_command(
    verb: str, *words: str, make: Callable[[], ContainerJob] = make_job
) -> Callable[[], list[str]]:
    return lambda: [verb, str(make().pk), *words]


def declared() -> list[str]:
    job = platform()
    return ["declare-lost", str(job.pk), "--yes-i-mean", str(job.pk)]


def submission(verb: str, *words: str) -> Callable[[], list[str]]:
    def prepare() -> list[str]:
        make_template("nightly")
        return [verb, "nightly", *words]

    return prepare


def secret_command() -> list[str]:
    fargate()
    return ["secret", "aws", KEY]


def pruning() -> list[str]:
    operations.cordon(make_host().pk)
    return ["prune", "--before", "2999-01-01", "--sign-off", "x"]


COMMANDS: dict[str, Callable[[], list[str]]] = {
    "audit prune": pruning,
    "bootstrap": list,
    "doctor": lambda: ["--adopt-installation"],
    "rotate_secrets": lambda: [],
    "manage_container_job cancel": job_command("cancel"),
    "manage_container_job create": submission("create"),
    "manage_container_job declare-lost": declared,
    "manage_container_job limit": lambda: ["limit", "gpu", "--max", "2"],
    "manage_container_job restart": job_command("restart"),
    "manage_container_job retry": job_command("retry", make=ended),
    "manage_container_job run": submission("run"),
    "manage_container_job run-command": lambda: [
        "run-command",
        "--image",
        "app:1",
        "--detach",
        "--",
        "check",
    ],
    "manage_container_job start": job_command("start"),
    "manage_container_job stop": job_command("stop"),
    "manage_docker_host activate": host_command("activate", "berlin"),
    "manage_docker_host add": lambda: ["add", "paris", "--url", "unix:///run/paris.sock"],
    "manage_docker_host cordon": host_command("cordon", "berlin"),
    "manage_docker_host declare-lost": host_command("declare-lost", "berlin", "--yes-i-mean", "berlin"),
    "manage_docker_host drain": host_command("drain", "berlin"),
    "manage_docker_host policy": host_command("policy", "berlin", "--set", '{"images": ["a/**"]}'),
    "manage_docker_host registry-login": host_command(
        *("registry-login", "berlin", "docker.io", "--username", "ann", "--password-stdin")
    ),
    "manage_docker_host registry-logout": lambda: [
        "registry-logout",
        logged_in().name,
        "docker.io",
    ],
    "manage_docker_host remove": host_command("remove", "berlin"),
    "manage_docker_host secret": secret_command,
    "process_container_jobs": lambda: ["--cleanup"],
    "supervisor pause": lambda: ["pause", "--all"],
    "supervisor restart": host_command("restart", "berlin"),
    "supervisor resume": lambda: ["resume", "--all"],
}

# --- Pages: (name, its words, query, what is posted); `id` stands for the object's key. ---

READING_PAGES = {
    "audit",
    "audit_export",
    "host",
    "host_test",
    "hosts",
    "job",
    "job_log",
    "job_log_download",
    "job_log_lines",
    "job_log_search",
    "jobs",
    "jobs_export",
    "supervisor",
    "template",
    "templates",
}
READING_PREFIXES = ("part_", "chart_", "host_chart", "job_chart")


def limit() -> ConcurrencyLimit:
    """A limit of a key."""
    return ConcurrencyLimit.objects.create(key="gpu", max_concurrent=1)
