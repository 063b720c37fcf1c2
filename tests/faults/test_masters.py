"""Supervisors that start at once, again and again: one worker a host, and each job once."""

from __future__ import annotations

from pathlib import Path

import pytest

from hosts import identity
from hosts.models import DockerHost, HostLease
from jobs import claims
from jobs.models import Attempt, ContainerJob, ContainerTemplate
from tests.support import supervising
from tests.support.factories import make_host
from tests.support.racing import race
from tests.support.supervising import wait_for_all_ended
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.postgres_only, pytest.mark.django_db(transaction=True)]


def test_of_two_owners_at_once_one_takes_the_host_in_each_of_fifty_rounds() -> None:
    for number in range(50):
        host = make_host(f"host-{number}")
        taken = race(2, lambda _, host=host: claims.take_host(host.id, who=identity.current()))
        assert [lease for lease in taken if lease] == [
            lease for lease in taken if lease and lease.owner == HostLease.objects.get(host=host).owner
        ]
        assert HostLease.objects.get(host=host).epoch == 1


@pytest.mark.process
def test_three_supervisors_that_start_at_once_share_a_host_without_a_fight(
    database_url: str, tmp_path: Path
) -> None:
    root = {"root": str(tmp_path / "jobs")}
    host = DockerHost.objects.create(name="here", executor_type="process", executor_config=root)
    template = ContainerTemplate.objects.create(name="t", docker_image="none", timeout_seconds=60)
    command = f"sh -c 'echo $TALLYMAN_JOB_ID >> {tmp_path / 'runs'}'"
    jobs = ContainerJob.objects.bulk_create(
        ContainerJob(template=template, override_command=command) for _ in range(20)
    )
    start = ("supervise", "--poll-interval", "1")
    with (
        supervising.running(*start, database_url=database_url) as one,
        supervising.running(*start, database_url=database_url) as two,
        supervising.running(*start, database_url=database_url) as three,
    ):
        wait_for_all_ended()
        lease = HostLease.objects.get(host=host)
        assert lease.epoch == 1
        owners = [each for each in (one, two, three) if lease.pid in {process.pid for process in each.tree}]
        assert len(owners) == 1
        assert owners[0].stop() == 0
        freed = HostLease.objects.filter(host=host, epoch=2)
        wait_until(freed.exists, timeout_seconds=15, what="one of the others to take the host")
        others = [each for each in (one, two, three) if each is not owners[0]]
        assert [each.stop() for each in others] == [0, 0]
    ran = (tmp_path / "runs").read_text().split()
    assert sorted(ran) == sorted(str(job.id) for job in jobs)
    assert Attempt.objects.count() == 20
