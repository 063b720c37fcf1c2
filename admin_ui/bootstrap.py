"""The first rows of an installation that somebody wants to try: a user, a host, a template, a job."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from admin_ui import recording
from audit import acts
from hosts import installation, local_engine
from hosts.errors import ConfigurationError, EngineError
from hosts.executors.registry import check_engine
from hosts.models import DockerHost
from jobs import operations
from jobs.models import Attempt, ContainerTemplate

ADMIN, HOST, TEMPLATE = "admin", "local", "hello"
_ANSWER_WITHIN_SECONDS = 2
_HELLO = """\
sh -c 'echo "Hello from $(hostname)."; echo "This line went to stderr." >&2; \
echo "Job $TALLYMAN_JOB_ID, attempt $TALLYMAN_ATTEMPT."; echo "Done."'"""


def everything() -> Iterator[str]:
    """Make what is missing; a line about each thing. What exists stays as it is."""
    yield from _superuser()
    yield from _host()
    yield from _hello()


def still_running() -> Iterator[str]:
    """A line about each job that goes on without a supervisor: what it is, and how to end it."""
    for attempt in Attempt.objects.open().exclude(started_at=None).select_related("job", "host"):
        job = attempt.job
        pid = job.executor_metadata.get("pid")
        by_hand = f"kill {pid}" if pid else f"docker stop {attempt.container_id[:12]}"
        yield (
            f"Still running: job {job.pk} ({job}) on host {attempt.host_name}; the next supervisor goes on "
            f"with it. To end it then: `manage.py manage_container_job cancel {job.pk}`; now: `{by_hand}`"
        )


def _superuser() -> Iterator[str]:
    users = get_user_model()._default_manager
    if users.filter(is_superuser=True).exists():
        return
    if users.filter(**{users.model.USERNAME_FIELD: ADMIN}).exists():
        yield f"The user {ADMIN} is no superuser, and nobody else is. Make one: manage.py createsuperuser"
        return
    password = secrets.token_urlsafe(12)
    users.create_superuser(ADMIN, password=password)
    yield f"User: {ADMIN}   Password: {password}   (shown only this once)"


def _host() -> Iterator[str]:
    if DockerHost.objects.exists():
        return
    try:
        found = local_engine.find()
    except ConfigurationError as exc:
        yield from _process_host("Docker's own configuration cannot be followed", str(exc))
        return
    docker = DockerHost(name=HOST, connection_string=found.url, executor_config=dict(found.config))
    nobody = f"No Docker engine answers at {found.url}, by {found.source}"
    try:
        docker.clean()
        facts = check_engine(docker.view(installation.current().id), _ANSWER_WITHIN_SECONDS)
    except ValidationError as exc:
        yield from _process_host(nobody, " ".join(exc.messages))
        return
    except (EngineError, ConfigurationError) as exc:
        yield from _process_host(nobody, str(exc).removeprefix(f"{HOST}: "))
        return
    with recording.added(docker):
        docker.save(force_insert=True)
    yield f"Host: {HOST}, the Docker engine at {docker.base_url} (version {facts.version}), by {found.source}"


def _process_host(what: str, reason: str) -> Iterator[str]:
    yield f"{what}: {reason}"
    if not settings.TALLYMAN_ALLOW_PROCESS_EXECUTOR:
        yield "Host: none. Add one: manage.py manage_docker_host add NAME --url URL"
        return
    host = DockerHost(name=HOST, executor_type="process")
    with recording.added(host):
        host.save(force_insert=True)
    yield f"Host: {HOST}, which runs jobs as plain processes of this machine, without containers"


def _nobody() -> str:
    """Whom to run the image as: it says root itself, which hosts have to allow. Processes have no choice."""
    return "65534" if DockerHost.objects.filter(executor_type="docker").exists() else ""


def _hello() -> Iterator[str]:
    with acts.together():
        template, made = ContainerTemplate.objects.get_or_create(
            name=TEMPLATE,
            defaults={
                "description": "A first job: prints a few lines, one of them to stderr.",
                "docker_image": "busybox:latest",
                "command": _HELLO,
                "user": _nobody(),
                "timeout_seconds": 60,
            },
        )
        if made:
            recording.made(template)
            yield f"Template: {TEMPLATE}"
        if not template.jobs.exists() and template.archived_at is None:
            job = operations.submit(template, name="The first job", who="bootstrap")
            yield f"Job: {job.pk}, which says hello"
