"""Django's own management commands are first class: this very project's, in a container of its own image."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

import django
import pytest

from hosts.models import DockerHost
from jobs import operations
from jobs.models import ContainerJob, ContainerTemplate, EnvironmentVariable
from tests.supervisor.working import AnyEngine
from tests.support import app_image, supervising
from tests.support.supervising import wait_for_status

pytestmark = [
    pytest.mark.docker,
    pytest.mark.process,
    pytest.mark.postgres_only,
    pytest.mark.django_db(transaction=True),
]
PATIENCE_SECONDS = 60.0
SETTINGS = ("--env", "SECRET_KEY=of the container", "--env", "DEBUG=true")


@pytest.fixture(scope="module")
def app(docker_engine: AnyEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The application's image, on the shared engine."""
    app_image.load(docker_engine.api, tmp_path_factory.mktemp("image"))
    yield app_image.IMAGE
    docker_engine.api.remove_image(app_image.IMAGE, force=True)


@dataclass(frozen=True)
class Terminal:
    """Somebody's terminal, from which a supervisor can be reached."""

    database_url: str

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        """`manage_container_job run-command ARGUMENTS`; its exit code, and all it printed."""
        with supervising.running(
            "manage_container_job",
            "run-command",
            *arguments,
            database_url=self.database_url,
            **environment,
        ) as command:
            code = command.process.wait(PATIENCE_SECONDS)
            print(command.log)
            return code, command.log


@pytest.fixture
def terminal(host: DockerHost, database_url: str) -> Iterator[Terminal]:
    with supervising.running("process_container_jobs", "--poll-interval", "0.2", database_url=database_url):
        yield Terminal(database_url)


def python(code: str) -> tuple[str, ...]:
    """Words that run a line of Python inside the application."""
    return ("--", "shell", "--no-imports", "-c", code)


def test_a_management_command_runs_in_a_container_and_its_output_and_code_come_back(
    app: str, terminal: Terminal
) -> None:
    code, printed = terminal.run("--image", app, *SETTINGS, "--", "check")
    assert (code, "System check identified no issues" in printed) == (0, True)
    job = ContainerJob.objects.get()
    assert (job.name, job.status, job.template.name) == ("check", "completed", "django")
    assert ContainerTemplate.objects.get().docker_image == app
    assert "no issues" in job.execution.stdout + job.execution.stderr


def test_arguments_arrive_as_they_were_given_and_the_exit_code_too(app: str, terminal: Terminal) -> None:
    words = """print("two  blanks", 'quotes " and', "$HOME * ~ \\\\ ; # | &"); raise SystemExit(7)"""
    code, printed = terminal.run("--image", app, *SETTINGS, *python(words))
    assert code == 7
    assert """two  blanks quotes " and $HOME * ~ \\ ; # | &""" in printed.splitlines()
    assert ContainerJob.objects.values_list("exit_code", "failure_class").get() == (7, "exit_code")


def test_a_command_that_django_does_not_know_fails_with_djangos_words(app: str, terminal: Terminal) -> None:
    code, printed = terminal.run("--image", app, *SETTINGS, "--", "no_such_command", "--fast")
    assert (code, "Unknown command: 'no_such_command'" in printed) == (1, True)
    assert "Unknown command" in ContainerJob.objects.get().execution.stderr


def test_a_detached_command_leaves_its_id_and_runs_on(app: str, terminal: Terminal) -> None:
    code, printed = terminal.run("--image", app, "--detach", "--", "version")
    assert code == 0
    job = ContainerJob.objects.get(pk=UUID(printed.strip()))
    wait_for_status(job, "completed")
    assert job.execution.stdout == f"{django.__version__}\n"


def test_nothing_of_the_supervisors_own_environment_reaches_a_container(
    terminal: Terminal, template: ContainerTemplate
) -> None:
    job = operations.submit(template, command="env")
    wait_for_status(job, "completed")
    seen = {line.split("=")[0] for line in job.execution.stdout.splitlines()}
    assert seen == {"PATH", "HOSTNAME", "HOME", "TALLYMAN_JOB_ID", "TALLYMAN_ATTEMPT"}


def test_a_command_sees_the_variables_it_was_given_and_those_of_its_image(
    app: str, terminal: Terminal
) -> None:
    code, printed = terminal.run(
        "--image", app, *SETTINGS, *python("import os; print(*map('='.join, os.environ.items()), sep='\\n')")
    )
    seen = dict(line.split("=", 1) for line in printed.splitlines() if "=" in line)
    assert (code, seen["SECRET_KEY"], seen["DEBUG"]) == (0, "of the container", "true")
    assert seen["TALLYMAN_JOB_ID"] == str(ContainerJob.objects.get().id)
    assert seen["TALLYMAN_SECRET_KEYS"] == app_image.SECRET_KEYS != os.environ["TALLYMAN_SECRET_KEYS"]
    assert "DATABASE_URL" not in seen


def test_the_image_and_its_variables_come_from_the_setting_and_the_built_in_template(
    app: str, terminal: Terminal
) -> None:
    template = ContainerTemplate.objects.create(name="django", docker_image=app)
    for key, value in {"SECRET_KEY": "stored", "DATABASE_URL": "sqlite:////tmp/own.sqlite3"}.items():
        EnvironmentVariable.objects.create(template=template, key=key, value=value, is_secret=True)
    code, printed = terminal.run("--env", "DEBUG=true", "--", "migrate", "jobs", TALLYMAN_APP_IMAGE=app)
    assert (code, "Applying jobs.0001_initial... OK" in printed) == (0, True)
    assert ContainerJob.objects.get().override_image == ""
