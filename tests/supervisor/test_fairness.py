"""No job waits for ever behind others, whatever their priority and however many there are of them."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from hosts import identity
from hosts.leases import Lease
from hosts.models import DockerHost
from jobs.models import Attempt, ContainerJob, ContainerTemplate
from jobs.states import AttemptState
from supervisor.worker.claiming import OLDEST_FIRST_EVERY, Claim, Fairness
from supervisor.worker.settings import WorkerSettings
from tests.jobs.attempts import INSTALLATION, WHO, take
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

SETTINGS = WorkerSettings(installation=INSTALLATION, identity=identity.current(), who=WHO)
MANY = 100


class Stream:
    """A host that is full of small and urgent jobs: whenever one ends, another one has been submitted."""

    def __init__(
        self, host: DockerHost, small: ContainerTemplate, pinned_to: DockerHost | None = None
    ) -> None:
        self._host, self._small, self._pinned_to = host, small, pinned_to
        self._lease: Lease = take(host)
        self.fairness = Fairness()

    def claim(self) -> list[Attempt]:
        """What the host takes, as its worker does it."""
        held = Attempt.objects.open().count()
        free = self._host.max_concurrent_jobs - held
        claim = Claim(self._host, free, free, self.fairness, in_a_row=False)
        attempts = claim.ask(self._lease, SETTINGS)
        self.fairness.note(len(attempts), saves_up=claim.saves_up)
        return attempts

    def submit(self) -> None:
        make_job(self._small, self._pinned_to, priority=9)

    def until_taken(self, job: ContainerJob) -> int:
        """How many jobs ended before it was taken."""
        for _ in range(self._host.max_concurrent_jobs):
            self.submit()
        self.claim()
        for ended in range(1, MANY):
            self.submit()
            oldest = Attempt.objects.open().order_by("claimed_at", "pk").first()
            if oldest is not None:
                Attempt.objects.filter(pk=oldest.pk).update(state=AttemptState.ENDED, outcome="succeeded")
            if any(attempt.job_id == job.pk for attempt in self.claim()):
                return ended
        raise AssertionError(f"{MANY} jobs ended, and it still waits")


def old_job(template: ContainerTemplate, host: DockerHost | None = None) -> ContainerJob:
    return make_job(template, host, priority=-9, created_at=Now() - timedelta(minutes=5))


def test_a_job_of_low_priority_is_taken_although_urgent_ones_never_end():
    host, template = make_host(max_concurrent_jobs=2), make_template()
    assert Stream(host, template).until_taken(old_job(template)) <= OLDEST_FIRST_EVERY


def test_a_shared_job_is_taken_although_the_jobs_pinned_to_the_host_never_end():
    host, template = make_host(max_concurrent_jobs=2), make_template()
    assert Stream(host, template, pinned_to=host).until_taken(old_job(template)) <= OLDEST_FIRST_EVERY


@pytest.mark.parametrize("is_pinned", [False, True])
def test_a_large_job_gets_its_room_although_small_and_urgent_ones_never_end(is_pinned):
    host = make_host(max_concurrent_jobs=8, engine_memory_bytes=4 * 1024**3)
    small, large = make_template("small", memory_limit=512), make_template("large", memory_limit=3072)
    pinned_to = host if is_pinned else None
    ended = Stream(host, small, pinned_to).until_taken(old_job(large))
    assert ended <= OLDEST_FIRST_EVERY + 6, "six small ones have to end for it"


def test_while_room_is_kept_jobs_that_need_none_go_on_by_priority():
    host = make_host(max_concurrent_jobs=3, engine_memory_bytes=1024**3)
    small, large = make_template("small", memory_limit=512), make_template("large", memory_limit=1024)
    stream, plain = Stream(host, small), make_template("plain")
    stream.submit()
    stream.claim()
    old_job(large)
    stream.submit()
    for name, priority in (("second", 1), ("first", 2), ("third", 0)):
        make_job(plain, name=name, priority=priority)
    stream.fairness.saving = True
    assert [attempt.job.name for attempt in stream.claim()] == ["first", "second"]
    assert stream.fairness.saving, "until it has been taken"


def test_claims_that_take_nothing_use_up_no_turn():
    fairness = Fairness()
    turns = []
    for taken in [1, 0] * OLDEST_FIRST_EVERY:
        turns.append(fairness.oldest_first and bool(taken))
        fairness.note(taken, saves_up=False)
    assert turns.count(True) == 1
