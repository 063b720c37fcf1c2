"""Jobs that are claimed in the transaction that ends the ones before."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from functools import partial
from uuid import UUID

import pytest
from django.db import OperationalError

from hosts import leases
from hosts.leases import Lease
from hosts.models import DockerHost, HostLease
from jobs import claims
from jobs.models import Attempt, ContainerJob
from jobs.states import AttemptState, JobStatus
from supervisor.worker import ledger
from supervisor.worker.breadcrumb import Breadcrumbs
from supervisor.worker.claiming import Refill
from supervisor.worker.run import LogStage, Need, Run
from tests.jobs.attempts import INSTALLATION, WHO, make_attempt, take
from tests.supervisor.runs import observation
from tests.support.factories import make_host, make_job

pytestmark = pytest.mark.django_db(transaction=True)

CRUMB = Breadcrumbs().main
AT = datetime(2026, 1, 1, tzinfo=UTC)


class Refilling:
    """A host with one run about to end and one job waiting, and the claim that goes with the end."""

    def __init__(self) -> None:
        self.host: DockerHost = make_host()
        self.lease: Lease = take(self.host)
        attempt = make_attempt(
            AttemptState.EXITED, job=make_job(host=self.host), host=self.host, epoch=self.lease.epoch
        )
        self.run = Run.of(attempt, infra_failures=0)
        self.run.seen = observation(self.run, "exited", exit_code=0, started_at=AT, finished_at=AT)
        self.run.need, self.run.log = Need.END, LogStage.DONE
        self.waiting = make_job(host=self.host)
        self.told: list[Attempt] = []
        self.trouble: Exception | None = None

    def claim(self, ended: Collection[UUID]) -> list[Attempt]:
        assert set(ended) == {self.run.attempt_id}
        wanted = claims.Wanted(room=len(ended))
        had = claims.claim(self.lease, self.host, wanted, installation=INSTALLATION, who=WHO)
        if self.trouble:
            raise self.trouble
        return had

    def end(self) -> tuple[list[Run], list[Run]]:
        refill = Refill(partial(leases.lock_current, self.lease), self.claim, self.told.extend)
        return ledger.write_ends([self.run], self.host.name, WHO, CRUMB, refill=refill)

    def statuses(self) -> tuple[str, str]:
        found = dict(ContainerJob.objects.values_list("pk", "status"))
        return found[self.run.job_id], found[self.waiting.pk]


def test_the_end_and_the_next_claim_are_written_together() -> None:
    both = Refilling()
    assert both.end() == ([both.run], [])
    assert both.statuses() == (JobStatus.COMPLETED, JobStatus.STARTING)
    assert [attempt.job_id for attempt in both.told] == [both.waiting.pk]


def test_a_claim_that_fails_keeps_no_end_from_being_written() -> None:
    both = Refilling()
    both.trouble = ValueError("a job that cannot be claimed")
    assert both.end() == ([both.run], [])
    assert both.statuses() == (JobStatus.COMPLETED, JobStatus.PENDING)
    assert (both.told, Attempt.objects.open().count()) == ([], 0)


def test_a_lease_that_has_run_out_claims_nothing_and_keeps_no_end_from_being_written() -> None:
    both = Refilling()
    HostLease.objects.update(expires_at=AT)
    assert both.end() == ([both.run], [])
    assert both.statuses() == (JobStatus.COMPLETED, JobStatus.PENDING)
    assert both.told == []


def test_a_database_that_goes_away_before_the_commit_has_neither() -> None:
    both = Refilling()
    both.trouble = OperationalError("the connection is gone")
    with pytest.raises(OperationalError):
        both.end()
    assert both.statuses() == (JobStatus.RUNNING, JobStatus.PENDING)
    assert (both.told, both.run.need) == ([], Need.END)


def test_an_end_that_is_not_ours_any_more_makes_no_room() -> None:
    both = Refilling()
    Attempt.objects.update(epoch=both.lease.epoch + 1)
    asked: list[Collection[UUID]] = []

    def claim(ended: Collection[UUID]) -> list[Attempt]:
        asked.append(ended)
        return []

    refill = Refill(partial(leases.lock_current, both.lease), claim, both.told.extend)
    held, stale = ledger.write_ends([both.run], both.host.name, WHO, CRUMB, refill=refill)
    assert (held, stale, [set(ended) for ended in asked]) == ([], [both.run], [set()])
