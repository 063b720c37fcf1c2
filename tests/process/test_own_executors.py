"""Executors of other people under a real supervisor: those that work, and those that do not."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from hosts.executors.frames import STDERR, STDOUT
from hosts.models import DockerHost, HostState
from jobs import logs, operations
from jobs.declare_lost import declare_attempt_lost
from jobs.models import Attempt, ContainerJob, ContainerTemplate
from jobs.states import AttemptState
from supervisor.models import Role, SupervisorProcess
from tests.support import own_executors, supervising
from tests.support.supervising import Command, wait_for_status, wait_for_workers
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

AddHost = Callable[..., DockerHost]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "platform").mkdir()
    return tmp_path / "platform"


@pytest.fixture
def add_host(folder: Path, transactional_db: None) -> AddHost:
    def add(kind: str, name: str = "", **config: object) -> DockerHost:
        settings = {"folder": str(folder), "region": "north", **config}
        settings = {key: value for key, value in settings.items() if value is not None}
        return DockerHost.objects.create(name=name or kind, executor_type=kind, executor_config=settings)

    return add


@pytest.fixture
def supervise(database_url: str) -> Callable[[], Command]:
    return lambda: supervising.running(
        "supervise", "--poll-interval", "0.5", database_url=database_url, **own_executors.ENVIRONMENT
    )


@pytest.fixture
def plain(transactional_db: None) -> ContainerTemplate:
    return ContainerTemplate.objects.create(name="plain", docker_image="my/image:1", timeout_seconds=60)


@pytest.fixture
def sound(tmp_path: Path, template: ContainerTemplate) -> DockerHost:
    root = str(tmp_path / "sound")
    return DockerHost.objects.create(name="sound", executor_type="process", executor_config={"root": root})


def launches(folder: Path) -> list[str]:
    file = folder / "launches"
    return file.read_text().splitlines() if file.exists() else []


def test_the_executor_of_the_specification_works_as_it_is_written_and_says_why_if_not(
    folder: Path, add_host: AddHost, supervise: Callable, plain: ContainerTemplate
) -> None:
    host, elsewhere = add_host("mine"), add_host("mine", name="nowhere", region=None)
    needy = ContainerTemplate.objects.create(name="needy", docker_image="i", memory_limit=64, tty=True)
    with supervise():
        job = operations.submit(plain, host=host)
        refused = operations.submit(plain, host=add_host("refusing"))
        raised = operations.submit(plain, host=elsewhere)
        lacking = operations.submit(needy, host=host)
        wait_for_status(job, "completed", timeout_seconds=20)
        for one in (refused, raised, lacking):
            wait_for_status(one, "failed", timeout_seconds=20)
    assert launches(folder) == ["my/image:1", "my/image:1"]
    number = job.executor_metadata["platform_job_id"]
    assert job.executor_metadata == {
        "platform_job_id": number,
        "endpoint": f"https://platform.example/{number}",
        "region": "north",
        "custom_field": "my_value",
    }
    attempt = Attempt.objects.get(job=job)
    assert attempt.container_id == f"1.{job.pk}:{number}"
    assert (attempt.logs_complete, attempt.logs_note) == (False, "Its executor has no logs to give.")
    assert (refused.failure_class, refused.failure_message) == (
        "launch_refused",
        "The quota of the account is used up.",
    )
    assert raised.failure_message == "launch_job failed: KeyError: 'region'"
    assert "MyCustomExecutor cannot limit a container's memory." in lacking.failure_message
    assert [one.attempt_count for one in (job, refused, raised, lacking)] == [1, 1, 1, 1]


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_an_executor_that_can_be_asked_is_followed_to_the_jobs_end(
    folder: Path, add_host: AddHost, supervise: Callable, plain: ContainerTemplate, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    job = operations.submit(plain, host=add_host("watched"))
    unwanted = operations.submit(
        plain, host=add_host("watched", name="other", folder=str(tmp_path / "other"))
    )
    with supervise():
        for one in (job, unwanted):
            wait_for_status(one, "running", timeout_seconds=20)
        (folder / "status").write_text("7")
        operations.cancel(unwanted.pk, who="test")
        wait_for_status(job, "failed", timeout_seconds=20)
        wait_for_status(unwanted, "cancelled", timeout_seconds=20)
        wait_until((folder / "cleaned").exists, 20, "the platform to be told")
    assert (job.exit_code, job.failure_class) == (7, "exit_code")
    attempt = Attempt.objects.get(job=job)
    assert b"".join(logs.stream_bytes(attempt.pk, STDOUT)) == b"hello from run-1\nno end"
    assert b"".join(logs.stream_bytes(attempt.pk, STDERR)) == b"a word to stderr\n"
    assert attempt.logs_complete


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_a_launched_job_is_taken_over_by_the_next_worker(
    folder: Path, add_host: AddHost, supervise: Callable, plain: ContainerTemplate
) -> None:
    job = operations.submit(plain, host=add_host("watched"))
    with supervise():
        wait_for_status(job, "running", timeout_seconds=20)
        described = ContainerJob.objects.filter(pk=job.pk, executor_metadata__platform_job_id="run-1")
        wait_until(described.exists, 20, what="the metadata to be stored")
        kill_workers()
        (folder / "status").write_text("completed")
        wait_for_status(job, "completed", timeout_seconds=20)
    assert (len(launches(folder)), job.attempt_count) == (1, 1)
    assert job.executor_metadata["endpoint"] == "https://platform.example/run-1"


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_a_launch_whose_answer_was_lost_is_unknown_and_never_made_again(
    folder: Path, add_host: AddHost, supervise: Callable, plain: ContainerTemplate
) -> None:
    (folder / "hang").touch()
    job = operations.submit(plain, host=add_host("watched"))
    with supervise() as command:
        wait_until(lambda: launches(folder), 20, "the launch")
        kill_workers()
        (folder / "hang").unlink()
        wait_for_workers(1)
        (folder / "status").write_text("completed")
        wait_until(lambda: "Whether" in told(job), 20, "the doubt to be told")
        job.refresh_from_db()
        assert (job.status, len(launches(folder))) == ("starting", 1)
        assert command.process.poll() is None
    assert Attempt.objects.get(job=job).state == AttemptState.CREATED


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_a_launch_that_is_unknown_can_be_declared_lost_and_gives_its_slot_back(
    folder: Path, add_host: AddHost, supervise: Callable, plain: ContainerTemplate, settings
) -> None:
    settings.TALLYMAN_EXECUTORS = {"watched": f"{own_executors.__name__}.Watched"}
    host = add_host("watched")
    DockerHost.objects.filter(pk=host.pk).update(max_concurrent_jobs=1)
    (folder / "hang").touch()
    unknown, waiting = operations.submit(plain, host=host), operations.submit(plain, host=host)
    with supervise():
        wait_until(lambda: launches(folder), 20, "the launch")
        kill_workers()
        (folder / "hang").unlink()
        wait_until(lambda: "declare-lost ID" in told(unknown), 20, "the doubt to be told")
        (folder / "status").write_text("completed")
        declare_attempt_lost(unknown.pk, who="ann")
        wait_for_status(waiting, "completed", timeout_seconds=20)
        # And once more, if its owner wants that.
        operations.retry(unknown.pk, who="ann")
        wait_for_status(unknown, "completed", timeout_seconds=20)
    outcomes = Attempt.objects.filter(job=unknown).order_by("number").values_list("outcome", flat=True)
    assert (list(outcomes), len(launches(folder))) == (["lost", "succeeded"], 3)


def told(job: ContainerJob) -> str:
    return Attempt.objects.get(job=job).phase


def kill_workers() -> None:
    for row in SupervisorProcess.objects.filter(role=Role.WORKER):
        psutil.Process(row.pid).send_signal(signal.SIGKILL)


@pytest.fixture
def broken(add_host: AddHost, sound: DockerHost) -> dict[str, DockerHost]:
    kinds = (
        "missing",
        "raising",
        "hanging",
        "unfinished",
        "failing",
        "exiting",
        "silent",
        "nonsense",
        "abacus",
    )
    return {kind: add_host(kind, timeout=0.5) for kind in kinds}


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_broken_executors_are_sentences_on_their_hosts_and_trouble_no_other(
    broken: dict[str, DockerHost], sound: DockerHost, supervise: Callable, template: ContainerTemplate
) -> None:
    expected = {
        "missing": (HostState.PARKED, "cannot be loaded: No module named 'no'"),
        "raising": (HostState.PARKED, "failed when it was made: KeyError: 'region'"),
        "unfinished": (HostState.PARKED, "Can't instantiate abstract class Unfinished"),
        "failing": (HostState.PARKED, "The executor failed (check): RuntimeError: the client is broken"),
        "exiting": (HostState.PARKED, "The executor failed (check): SystemExit: 3"),
        "hanging": (HostState.PARKED, "'hanging' hangs: it was not imported and made within 2 s"),
        "silent": (HostState.UNREACHABLE, "its executor hangs: no answer for 1 s"),
        "abacus": (HostState.PARKED, "There is no executor 'abacus'; known are: cloudrun, docker, exiting"),
    }
    doomed = operations.submit(template, command="true", host=broken["nonsense"])
    ContainerTemplate.objects.update(infra_retries=0)
    with supervise() as command:
        for kind, (state, words) in expected.items():
            seen = DockerHost.objects.filter(name=kind, state=state, state_reason__contains=words)
            wait_until(seen.exists, 40, f"the trouble of {kind} to be shown")
        job = operations.submit(template, command="true", host=sound)
        wait_for_status(job, "completed", timeout_seconds=20)
        wait_for_status(doomed, "failed", timeout_seconds=20)
        assert command.process.poll() is None
        assert not SupervisorProcess.objects.filter(is_crash_looping=True).exists()
    assert "create gave None, which is no Observation." in doomed.failure_message
    assert "hunter2" not in DockerHost.objects.get(name="failing").state_reason
