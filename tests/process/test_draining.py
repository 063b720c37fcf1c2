"""Hosts that are drained with a deadline, and hosts that are switched off."""

from __future__ import annotations

import pytest

from hosts import operations as host_operations
from hosts.models import DockerHost, DrainThen
from jobs import operations
from jobs.models import Attempt, ContainerTemplate
from tests.support import supervising
from tests.support.supervising import wait_for_status, wait_for_workers
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

POLL = ("supervise", "--poll-interval", "1")


def test_what_still_runs_when_the_time_of_a_draining_host_is_over_is_stopped_or_waited_for_as_chosen(
    process_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    with supervising.running(*POLL, database_url=database_url):
        short = operations.submit(template, command="sh -c 'sleep 4; echo done'")
        long = operations.submit(template, command="sleep 60")
        again = operations.submit(template, command="sleep 60", max_attempts=2, retry_on=["interrupted"])
        for job in (short, long, again):
            wait_for_status(job, "running")
        host_operations.drain(process_host.pk, deadline_seconds=0.1, then=DrainThen.WAIT)
        late = operations.submit(template, command="true")
        wait_for_status(short, "completed")
        assert Attempt.objects.open().count() == 2, "nothing was stopped"
        host_operations.drain(process_host.pk, deadline_seconds=2, then=DrainThen.STOP)
        wait_for_status(long, "failed")
        wait_for_status(again, "pending")
        assert (long.failure_class, long.attempts.get().outcome) == ("drained", "interrupted")
        assert long.attempts.get().stop_reason == "drained"
        assert "host was drained" in long.failure_message
        wait_until(lambda: not Attempt.objects.open().exists(), timeout_seconds=10)
        late.refresh_from_db()
        assert late.status == "pending"
        host_operations.activate(process_host.pk)
        wait_for_status(late, "completed")
        wait_for_status(again, "running")
        assert again.attempt_count == 2
        operations.cancel(again.pk, who="test", force=True)
        wait_for_status(again, "cancelled")


@pytest.mark.postgres_only  # nothing of it depends on the database
def test_a_host_that_is_switched_off_keeps_its_worker_until_its_last_job_has_ended(
    process_host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    with supervising.running(*POLL, database_url=database_url):
        job = operations.submit(template, command="sh -c 'sleep 5; echo done'")
        wait_for_status(job, "running")
        process_host.is_active = False
        process_host.save()
        wait_for_status(job, "completed")
        assert job.execution.stdout == "done\n"
        wait_for_workers(0)
