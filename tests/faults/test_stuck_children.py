"""Children that live and do nothing: one that hangs in its boot, and one whose main loop is blocked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hosts.models import DockerHost
from jobs import operations
from jobs.models import ContainerJob, ContainerTemplate
from tests.faults.conftest import make_template
from tests.support import supervising
from tests.support.supervising import wait_for_status

pytestmark = [pytest.mark.process, pytest.mark.postgres_only, pytest.mark.django_db(transaction=True)]


def job_of(host: str, template: ContainerTemplate, tmp_path: Path) -> ContainerJob:
    """A job of a new host of that name; it leaves a line in the file of the same name."""
    config = {"root": str(tmp_path / f"jobs-{host}")}
    made = DockerHost.objects.create(name=host, executor_type="process", executor_config=config)
    script = f"echo {host}; echo ran >> {tmp_path}/{host}; sleep 1"
    return operations.submit(template, host=made, command=f"sh -c '{script}'")


def test_a_child_that_hangs_in_boot_and_one_whose_loop_is_blocked_are_replaced_and_nobody_else_is(
    database_url: str, tmp_path: Path
) -> None:
    template = make_template()
    # Hosts get their workers in the order of their names, and the first worker hangs.
    jobs = {host: job_of(host, template, tmp_path) for host in ("boots", "hangs", "works")}
    settings = {
        "DJANGO_SETTINGS_MODULE": "tests.support.impatient_settings",
        **{"DEADLY_JOB": str(jobs["hangs"].pk), "DEADLY_STEP": "observe", "DEADLY_HOW": "hang"},
        "DEADLY_MARK": str(tmp_path / "hung"),
    }
    with supervising.running("supervise", database_url=database_url, **settings) as command:
        wait_for_status(jobs["works"], "completed")
        assert "child is stuck" not in command.log
        for job in jobs.values():
            wait_for_status(job, "completed", timeout_seconds=60)
        log = command.log
    for host, job in jobs.items():
        assert (tmp_path / host).read_text() == "ran\n"
        assert job.execution.stdout == f"{host}\n"
        assert job.attempts.get().worker_kills == 0
        assert len(re.findall(f"child started .*child={host}", log)) == (1 if host == "works" else 2)
    assert log.count("child is stuck; its stacks follow") == 2
    assert "_hang_once" in log, "where its main thread was"
    assert "killed its worker" not in log
