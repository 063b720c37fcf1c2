"""Whatever workers and people do, in whatever order: claims, takeovers, late writes, ends, cancels, retries.

Each example is a random sequence of what may happen to a few jobs on two hosts; what has to hold after every
step stands below as invariants.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models.functions import Now
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from hosts.errors import LeaseLost
from hosts.leases import Lease
from hosts.models import DockerHost, HostLease
from jobs import moves, operations
from jobs.models import Attempt, ContainerExecution, ContainerJob, JobEvent
from jobs.operations import Refused
from jobs.states import (
    COMES_FROM,
    ENDED_STATUSES,
    NOT_STARTED,
    OPEN_STATES,
    AttemptState,
    JobStatus,
    Outcome,
    status_after,
    status_while,
)
from tests.jobs import attempts
from tests.support.factories import make_host, make_job

ORDER = list(AttemptState)
MOVES = {
    "to_pulling": AttemptState.PULLING,
    "fence": AttemptState.CREATED,
    "to_running": AttemptState.RUNNING,
    "to_stopping": AttemptState.STOPPING,
    "to_exited": AttemptState.EXITED,
}
ROOM = {"host-a": 2, "host-b": 1}
a_host = st.sampled_from(sorted(ROOM))
a_place = st.integers(0, 50)
a_move = st.sampled_from(sorted(MOVES))


class AnyOrder(RuleBasedStateMachine):
    """`mine` holds what the workers remember: each attempt they claimed, with the epoch they know."""

    @initialize()
    def two_hosts(self) -> None:
        self.block = transaction.atomic()
        self.block.__enter__()
        self.hosts = {name: make_host(name, max_concurrent_jobs=room) for name, room in ROOM.items()}
        self.leases: dict[str, Lease] = {name: attempts.take(host) for name, host in self.hosts.items()}
        self.old_leases: list[tuple[str, Lease]] = []
        self.old_epochs: list[tuple[Any, int]] = []
        self.rank: dict[Any, int] = {}
        self.last_words: dict[Any, dict[str, Any]] = {}
        make_job(host=self.hosts["host-a"])

    def teardown(self) -> None:
        if hasattr(self, "block"):
            transaction.set_rollback(True)
            self.block.__exit__(None, None, None)

    # What happens.

    @rule(host=st.none() | a_host)
    def a_job_comes(self, host: str | None) -> None:
        if ContainerJob.objects.count() < 6:
            make_job(host=self.hosts[host] if host else None)

    @rule(host=a_host)
    def a_worker_claims(self, host: str) -> None:
        held = Attempt.objects.filter(host=self.hosts[host]).holding_slots().count()
        claimed = attempts.claim(self.leases[host], self.hosts[host], ROOM[host] - held)
        assert len(claimed) <= max(0, ROOM[host] - held)
        assert all(attempt.epoch == self.leases[host].epoch for attempt in claimed)

    @rule(host=a_host)
    def another_worker_takes_the_host(self, host: str) -> None:
        old = self.leases[host]
        self.old_leases.append((host, old))
        opened = Attempt.objects.open().filter(host=self.hosts[host])
        self.old_epochs += [(key, old.epoch) for key in opened.values_list("pk", flat=True)]
        HostLease.objects.filter(host=self.hosts[host]).update(expires_at=Now() - timedelta(seconds=1))
        self.leases[host] = attempts.take(self.hosts[host])
        assert self.leases[host].epoch == old.epoch + 1

    @precondition(lambda self: getattr(self, "old_leases", None))
    @rule(place=a_place)
    def a_former_worker_claims(self, place: int) -> None:
        host, lease = self.old_leases[place % len(self.old_leases)]
        before = attempts.everything()
        with contextlib.suppress(LeaseLost):  # nothing is to be had: it is not even asked for
            assert attempts.claim(lease, self.hosts[host]) == []
        assert attempts.everything() == before

    @precondition(lambda self: getattr(self, "old_epochs", None))
    @rule(place=a_place, move=a_move)
    def a_former_worker_writes(self, place: int, move: str) -> None:
        key, epoch = self.old_epochs[place % len(self.old_epochs)]
        attempt = Attempt.objects.select_related("job__template").get(pk=key)
        attempt.epoch = epoch
        before = attempts.everything()
        assert getattr(moves, move)([attempts.row(attempt)]) == set()
        assert not attempts.end(attempt)
        assert attempts.everything() == before

    @precondition(lambda self: Attempt.objects.exists())
    @rule(place=a_place, move=a_move)
    def the_worker_writes(self, place: int, move: str) -> None:
        attempt, target = self._attempt(place), MOVES[move]
        origins = NOT_STARTED if move == "fence" else COMES_FROM[target]
        held = getattr(moves, move)([attempts.row(attempt)])
        assert held == ({attempt.pk} if attempt.state in origins else set())
        state = Attempt.objects.get(pk=attempt.pk).state
        assert state == (target if held else attempt.state)

    @precondition(lambda self: Attempt.objects.exists())
    @rule(place=a_place, outcome=st.sampled_from(Outcome), again=st.booleans())
    def the_worker_ends_it(self, place: int, outcome: Outcome, again: bool) -> None:
        attempt = self._attempt(place)
        status = JobStatus.PENDING if again else status_after(outcome)
        held = attempts.end(attempt, outcome, job_status=status, retry_delay_seconds=-1.0 if again else None)
        assert held == (attempt.state in OPEN_STATES)
        if held:
            job = ContainerJob.objects.get(pk=attempt.job_id)
            cancelled = again and job.cancel_requested_at is not None
            assert job.status == (JobStatus.CANCELLED if cancelled else status)

    @rule(
        place=a_place,
        ask=st.sampled_from(["cancel", "stop", "start", "retry", "restart"]),
        force=st.booleans(),
    )
    def a_person_asks(self, place: int, ask: str, force: bool) -> None:
        job = self._job(place)
        more = {"force": force} if ask == "cancel" else {}
        try:
            getattr(operations, ask)(job.pk, who="a person", **more)
        except Refused:
            refused = True
        else:
            refused = False
        assert refused == self._shall_refuse(ask, job)

    def _shall_refuse(self, ask: str, job: ContainerJob) -> bool:
        if ask in {"cancel", "stop"}:
            return job.status in ENDED_STATUSES
        if ask == "start":
            waits = job.restarted_from is not None and job.restarted_from.status not in ENDED_STATUSES
            return waits or job.status != JobStatus.PENDING
        if ask == "retry":
            return job.status not in ENDED_STATUSES or job.status == JobStatus.COMPLETED
        return False

    def _attempt(self, place: int) -> Attempt:
        found = list(Attempt.objects.select_related("job__template").order_by("claimed_at", "pk"))
        return found[place % len(found)]

    def _job(self, place: int) -> ContainerJob:
        found = list(ContainerJob.objects.select_related("restarted_from").order_by("created_at", "pk"))
        return found[place % len(found)]

    # What holds after every step.

    @invariant()
    def a_job_has_one_open_attempt_and_all_are_numbered(self) -> None:
        numbers: dict[Any, list[int]] = {}
        for job, number in Attempt.objects.order_by("number").values_list("job_id", "number"):
            numbers.setdefault(job, []).append(number)
        opened = Counter(Attempt.objects.open().values_list("job_id", flat=True))
        assert all(count == 1 for count in opened.values())
        for job in ContainerJob.objects.all():
            assert numbers.get(job.pk, []) == list(range(1, job.attempt_count + 1))

    @invariant()
    def every_open_attempt_has_the_epoch_of_its_hosts_lease(self) -> None:
        for host, lease in getattr(self, "leases", {}).items():
            epochs = Attempt.objects.open().filter(host=self.hosts[host]).values_list("epoch", flat=True)
            assert set(epochs) <= {lease.epoch}

    @invariant()
    def states_only_go_forward_and_an_end_is_the_end(self) -> None:
        for row in Attempt.objects.values():
            rank = ORDER.index(AttemptState(row["state"]))
            assert rank >= self.rank.get(row["id"], 0)
            self.rank[row["id"]] = rank
            if row["state"] == AttemptState.ENDED:
                assert self.last_words.setdefault(row["id"], row) == row

    @invariant()
    def no_host_holds_more_slots_than_it_has(self) -> None:
        for host in DockerHost.objects.all():
            assert Attempt.objects.filter(host=host).holding_slots().count() <= host.max_concurrent_jobs

    @invariant()
    def a_jobs_status_follows_its_attempt(self) -> None:
        opened = {row["job_id"]: row["state"] for row in Attempt.objects.open().values("job_id", "state")}
        for job in ContainerJob.objects.all():
            if job.pk in opened:
                assert job.status == status_while(AttemptState(opened[job.pk]))
            else:
                assert job.status in {JobStatus.PENDING, *ENDED_STATUSES}

    @invariant()
    def every_end_was_written_once_and_whole(self) -> None:
        ended = set(Attempt.objects.filter(state=AttemptState.ENDED).values_list("job_id", "number"))
        events = Counter(JobEvent.objects.filter(kind="ended").values_list("job_id", "attempt_number"))
        assert events == Counter(ended)
        last = dict(sorted(ended, key=lambda one: one[1]))
        assert dict(ContainerExecution.objects.values_list("job_id", "attempt_number")) == last


@pytest.mark.sqlite_only
@pytest.mark.django_db
def test_every_promise_holds_in_any_order_of_events():
    run_state_machine_as_test(
        AnyOrder, settings=settings(settings.default, max_examples=12, stateful_step_count=30)
    )
