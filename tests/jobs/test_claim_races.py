"""Many workers at once. Every job is to be claimed exactly once, and every attempt to be its holder's."""

from __future__ import annotations

import dataclasses
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable
from uuid import UUID

import pytest
from django.db import transaction

from hosts import identity
from hosts.errors import LeaseLost
from hosts.leases import Lease
from hosts.models import DockerHost
from jobs import claims
from jobs.models import Attempt, ContainerJob
from tests.jobs.attempts import claim, take
from tests.support.factories import make_host, make_job, make_template
from tests.support.racing import PATIENCE_SECONDS, in_background, race, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)

WORKERS = 8
PAST_ITS_PID = dataclasses.replace(identity.current(), start_ticks=1)  # proved dead

Claimer = Callable[[Lease, DockerHost, int], Iterable[UUID]]


def real(lease: Lease, host: DockerHost, room: int) -> list[UUID]:
    return [attempt.job_id for attempt in claim(lease, host, room)]


def claimed_by_all(claimer: Claimer, jobs: int) -> Counter[UUID]:
    """How often each job was claimed by workers that take a few at a time until nothing is left."""
    template = make_template()
    ContainerJob.objects.bulk_create(
        ContainerJob(template=template, priority=number % 3) for number in range(jobs)
    )
    hosts = [make_host(f"host-{number}") for number in range(WORKERS)]
    leases = [take(host) for host in hosts]

    def work(number: int) -> list[UUID]:
        taken: list[UUID] = []
        for room in itertools.cycle((1, 5, 3)):
            some = list(claimer(leases[number], hosts[number], room))
            if not some and not ContainerJob.objects.pending().exists():
                return taken
            taken += some
        raise AssertionError

    return Counter(itertools.chain.from_iterable(race(WORKERS, work)))


@pytest.mark.postgres_only
def test_eight_workers_claim_300_jobs_once_each():
    counts = claimed_by_all(real, 300)
    assert len(counts) == 300
    assert set(counts.values()) == {1}
    assert Attempt.objects.count() == 300
    assert set(Attempt.objects.values_list("job_id", flat=True)) == set(counts)


@pytest.mark.sqlite_only
def test_eight_workers_of_one_file_claim_each_job_once():
    counts = claimed_by_all(real, 40)
    assert len(counts) == Attempt.objects.count() == 40
    assert set(counts.values()) == {1}


def test_the_test_finds_out_a_claimer_that_looks_first_and_writes_then():
    together = threading.Barrier(WORKERS)
    first_round = threading.local()

    def naive(_lease: Lease, _host: DockerHost, room: int) -> list[UUID]:
        due = list(ContainerJob.objects.pending().values_list("pk", flat=True)[:room])
        if not hasattr(first_round, "over"):
            first_round.over = together.wait(PATIENCE_SECONDS)
        ContainerJob.objects.filter(pk__in=due).update(status="starting")
        return due

    counts = claimed_by_all(naive, 40)
    assert len(counts) == 40
    assert max(counts.values()) > 1


@pytest.mark.postgres_only
def test_jobs_that_somebody_else_is_looking_at_are_passed_over():
    host, (first, second) = make_host(), [make_job() for _ in range(2)]
    lease = take(host)
    with transaction.atomic():
        ContainerJob.objects.select_for_update().get(pk=first.pk)
        with in_background(real, lease, host, 10) as claiming:
            assert claiming.result(PATIENCE_SECONDS) == [second.pk]


@pytest.mark.postgres_only
def test_a_takeover_gets_what_a_claim_in_flight_claimed():
    host, _ = make_host(), make_job()
    old = claims.take_host(host.id, who=PAST_ITS_PID)
    claimed = threading.Event()

    def claim_slowly() -> None:
        with transaction.atomic():
            claim(old, host)
            claimed.set()
            wait_until_blocked()  # the takeover, by us

    with in_background(claim_slowly):
        claimed.wait(PATIENCE_SECONDS)
        new = take(host)
    assert Attempt.objects.get().epoch == new.epoch == old.epoch + 1


@pytest.mark.parametrize("_round", range(3))
def test_no_attempt_slips_through_a_takeover(_round):
    host, _, underway = make_host(), make_job(), threading.Event()
    old = claims.take_host(host.id, who=PAST_ITS_PID)

    def claim_until_lost() -> None:
        while True:
            claim(old, host, 1)
            underway.set()
            make_job()  # there is always something to claim

    def work(number: int) -> Lease | None:
        if number:
            underway.wait(PATIENCE_SECONDS)
            return take(host)
        with pytest.raises(LeaseLost):
            claim_until_lost()
        return None

    new = race(2, work)[1]
    assert set(Attempt.objects.values_list("epoch", flat=True)) == {new.epoch}
