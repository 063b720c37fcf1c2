"""Jobs that kill their worker, and workers that somebody kills."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from hosts.models import DockerHost
from jobs import operations
from jobs.models import Attempt, ContainerJob, ContainerTemplate, JobEvent
from supervisor.models import Role, SupervisorProcess
from tests.support import supervising
from tests.support.supervising import wait_for_all_ended, wait_for_status, wait_for_workers
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.process,
    pytest.mark.postgres_only,  # nothing of it depends on the database
    pytest.mark.django_db(transaction=True),
]


def deadly(job: ContainerJob, step: str, how: str) -> dict[str, str]:
    """The environment of a supervisor that must not read a step's answers about the job."""
    settings = "tests.support.deadly_settings"
    wrong = {"DEADLY_JOB": str(job.pk), "DEADLY_STEP": step, "DEADLY_HOW": how}
    return {"DJANGO_SETTINGS_MODULE": settings, **wrong}


def worker_pid() -> int | None:
    alive = SupervisorProcess.objects.filter(role=Role.WORKER, state="running")
    return alive.values_list("pid", flat=True).order_by("-heartbeat_at").first()


@pytest.mark.parametrize(
    ("step", "how", "outcome", "death"),
    [
        ("create", "segv", "rejected", "SIGSEGV"),
        ("observe", "raise", "interrupted", "an uncaught exception"),
        ("log", "segv", "interrupted", "SIGSEGV"),
    ],
)
def test_a_job_that_kills_three_workers_is_failed_and_the_others_complete(
    process_host: DockerHost,
    template: ContainerTemplate,
    database_url: str,
    tmp_path: Path,
    step: str,
    how: str,
    outcome: str,
    death: str,
) -> None:
    runs = tmp_path / "runs"
    runs.touch()
    report = f"echo $TALLYMAN_JOB_ID $TALLYMAN_ATTEMPT >> {runs}"
    bad = operations.submit(template, command=f"sh -c '{report}; exec sleep 60'")
    good = [operations.submit(template, command=f"sh -c '{report}; sleep 1; echo done'") for _ in range(3)]
    with supervising.running("supervise", database_url=database_url, **deadly(bad, step, how)) as command:
        wait_until(lambda: "killed its worker" in command.log, timeout_seconds=20, what="the first death")
        clerk = SupervisorProcess.objects.filter(role=Role.CLERK).values_list("pid", flat=True).first()
        psutil.Process(clerk).kill()  # whatever it was told and has not written yet is told to the next one
        wait_for_all_ended(30)
        late = operations.submit(template, command="true")
        wait_for_status(late, "completed")
        worker = worker_pid()
        assert command.log.count("killed its worker") == 3
        assert worker in {process.pid for process in command.tree}
    bad.refresh_from_db()
    attempt = Attempt.objects.get(job=bad)
    assert (bad.status, bad.failure_class) == ("failed", "kills_worker")
    assert "3 times" in bad.failure_message
    assert (attempt.outcome, attempt.worker_kills) == (outcome, 3)
    deaths = list(JobEvent.objects.filter(job=bad, kind="killed worker").values_list("message", flat=True))
    assert len(deaths) == 3
    assert all(death in message and "host here" in message for message in deaths)
    if outcome == "interrupted":
        assert (attempt.logs_complete, attempt.stop_reason) == (False, "poison")
        assert "not read any further" in attempt.logs_note
    for job in good:
        job.refresh_from_db()
        assert (job.status, job.execution.stdout, job.attempts.count()) == ("completed", "done\n", 1)
    assert not Attempt.objects.exclude(job=bad).exclude(worker_kills=0).exists()
    started = [*good, bad] if outcome == "interrupted" else good
    assert sorted(runs.read_text().splitlines()) == sorted(f"{job.pk} 1" for job in started)


def test_killing_workers_by_hand_is_never_put_down_to_a_job(
    process_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    chatty = "sh -c 'for i in $(seq 6000); do echo $i; sleep 0.01; done'"
    with supervising.running("supervise", database_url=database_url) as command:
        wait_for_workers(1)
        job = operations.submit(template, command=chatty)
        wait_for_status(job, "running")
        for _ in range(5):
            pid = wait_until(worker_pid, timeout_seconds=20, what="a worker")
            psutil.Process(pid).kill()
            command.signal(signal.SIGHUP)  # no wait before the next one

            def replaced(old: int = pid) -> bool:
                return worker_pid() not in {None, old}

            wait_until(replaced, timeout_seconds=20, what="another worker")
        operations.cancel(job.pk, who="test", force=True)
        wait_for_status(job, "cancelled")
    assert Attempt.objects.get().worker_kills == 0
    assert not JobEvent.objects.filter(kind="killed worker").exists()
