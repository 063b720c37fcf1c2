"""Concurrency limits hold whoever claims, wherever, and however many of them at once."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
from django.db import transaction

from jobs import batches, claims, limits
from jobs.models import Attempt, ConcurrencyLimit, ContainerJob, ContainerTemplate
from jobs.states import SLOT_HOLDING, AttemptState
from tests.jobs.attempts import INSTALLATION, WHO, claim, make_attempt, take
from tests.support.factories import make_host, make_job, make_template
from tests.support.racing import PATIENCE_SECONDS, in_background, race, wait_until_blocked

pytestmark = pytest.mark.django_db(transaction=True)

CLAIMERS, MOST = 8, 3


def limit(key: str = "db", most: int = 1) -> ConcurrencyLimit:
    return ConcurrencyLimit.objects.create(key=key, max_concurrent=most)


def names(attempts: list[Attempt]) -> list[str]:
    return [attempt.job.name for attempt in attempts]


def test_a_templates_own_limit_holds_on_all_hosts_together():
    template = make_template(max_concurrent=2)
    for _ in range(5):
        make_job(template)
    one, two = make_host("one"), make_host("two")
    assert len(claim(take(one), one, 1)) == 1
    lease = take(two)
    assert len(claim(lease, two)) == 1
    Attempt.objects.filter(host=one).update(state=AttemptState.EXITED)
    assert len(claim(lease, two)) == 1


def test_a_key_is_shared_by_templates_and_single_jobs():
    limit(most=2)
    by_template, plain = make_template("by template", limit_key="db"), make_template()
    make_job(by_template, name="1")
    make_job(plain, limit_key="db", name="2")
    make_job(by_template, name="3")
    make_job(plain, name="free")
    host = make_host()
    assert names(claim(take(host), host)) == ["1", "2", "free"]


def test_each_limit_of_a_job_holds():
    limit("db", 5)
    limit("customer", 1)
    template = make_template(limit_key="db", max_concurrent=2)
    for key in ("customer", "customer", "", ""):
        make_job(template, limit_key=key, name=key)
    host = make_host()
    assert names(claim(take(host), host)) == ["customer", ""]


def test_a_key_without_a_limit_is_none_and_one_of_zero_stops_its_jobs():
    make_job(name="first", limit_key="db")
    host = make_host()
    lease = take(host)
    assert names(claim(lease, host)) == ["first"]
    limit(most=0)
    make_job(name="second", limit_key="db")
    make_job(name="other")
    assert names(claim(lease, host)) == ["other"]
    ConcurrencyLimit.objects.update(max_concurrent=2)
    assert names(claim(lease, host)) == ["second"]


def test_many_jobs_at_a_full_limit_keep_nobody_behind_them_back():
    limit()
    template = make_template("limited", limit_key="db")
    ContainerJob.objects.bulk_create(ContainerJob(template=template, priority=9) for _ in range(200))
    make_job(name="behind")
    host = make_host()
    assert len(claim(take(host), host, 3)) == 2
    assert ContainerJob.objects.get(name="behind").status == "starting"


@pytest.mark.parametrize("state", AttemptState)
def test_what_holds_a_slot_counts(state):
    limit()
    job = make_job(limit_key="db")
    make_attempt(state, job=job, outcome="user" if state == AttemptState.ENDED else "")
    ContainerJob.objects.pending().update(hold="stopped")
    make_job(limit_key="db")
    host = make_host("other")
    assert bool(claim(take(host), host)) is (state not in SLOT_HOLDING)


def test_pinned_jobs_are_limited_too():
    limit()
    host = make_host()
    for _ in range(3):
        make_job(None, host, limit_key="db")
    assert len(claim(take(host), host)) == 1


# ── at once ───────────────────────────────────────────────────────────────────────────────────────────────


def most_at_once(jobs: int) -> int:
    """What the limit came to when many claimed at once, over and over, while jobs ended."""
    limit(most=MOST)
    template = make_template(limit_key="db")
    ContainerJob.objects.bulk_create(ContainerJob(template=template) for _ in range(jobs))
    hosts = [make_host(f"host-{number}") for number in range(CLAIMERS)]
    leases = [take(host) for host in hosts]
    seen: list[int] = []

    def work(number: int) -> None:
        while ContainerJob.objects.pending().exists() and max(seen, default=0) <= MOST:
            mine = claim(leases[number], hosts[number], 2)
            seen.append(limits.running()["key db"])
            end([attempt.pk for attempt in mine])

    race(CLAIMERS, work)
    return max(seen)


def end(ids: list[Any]) -> None:
    Attempt.objects.filter(pk__in=ids).update(state=AttemptState.ENDED, outcome="succeeded")


@pytest.mark.postgres_only
def test_eight_claimers_never_pass_a_limit():
    assert most_at_once(60) <= MOST
    assert not ContainerJob.objects.pending().exists()


@pytest.mark.sqlite_only
def test_nor_do_they_in_one_file():
    assert most_at_once(20) <= MOST
    assert not ContainerJob.objects.pending().exists()


@pytest.mark.postgres_only
def test_the_test_finds_out_a_claim_that_counts_and_does_not_lock():
    together, turn = threading.Barrier(CLAIMERS), threading.local()
    count = limits.free

    def count_together(most: Any) -> dict[str, int]:
        found = count(most)
        turn.number = getattr(turn, "number", 0) + 1
        if turn.number == 2:  # the one that decides
            together.wait(PATIENCE_SECONDS)
        return found

    with patch.object(limits, "locked", limits.allowed), patch.object(limits, "free", count_together):
        assert most_at_once(60) > MOST


@pytest.mark.postgres_only
def test_lock_and_count_in_one_statement_let_one_too_many_through():
    """Why there are two: the count of a statement is as old as its start, however long it waits then."""
    row = limit()
    host, locked = make_host("other"), threading.Event()
    job = make_job(limit_key="db")

    def claim_slowly() -> None:
        with transaction.atomic():
            ConcurrencyLimit.objects.select_for_update(no_key=True).get(pk=row.pk)
            make_attempt(job=job, host=host)
            locked.set()
            wait_until_blocked()

    with in_background(claim_slowly):
        locked.wait(PATIENCE_SECONDS)
        sql = (
            "WITH l AS MATERIALIZED (SELECT id FROM jobs_concurrencylimit FOR NO KEY UPDATE) "
            "SELECT (SELECT COUNT(*) FROM jobs_attempt WHERE state <> 'ended') FROM l"
        )
        with transaction.atomic():
            ((stale,),) = batches.execute(sql, [])
    assert (stale, limits.running()["key db"]) == (0, 1)


@pytest.mark.postgres_only
def test_who_finds_a_limit_locked_takes_other_jobs_and_looks_again():
    row, host = limit(most=5), make_host()
    make_job(name="limited", limit_key="db", priority=9)
    make_job(name="other")
    lease, again = take(host), list[bool]()
    wanted = claims.Wanted(room=5, look_again=lambda: again.append(True))
    with transaction.atomic():
        ConcurrencyLimit.objects.select_for_update().get(pk=row.pk)
        claim_now = partial(claims.claim, installation=INSTALLATION, who=WHO)
        with in_background(claim_now, lease, host, wanted) as claiming:
            assert names(claiming.result(PATIENCE_SECONDS)) == ["other"]
    assert again
    assert names(claim(lease, host)) == ["limited"]


@pytest.mark.postgres_only
def test_jobs_can_be_submitted_while_a_limit_is_locked():
    template = make_template(max_concurrent=1)
    with transaction.atomic():
        assert limits.locked([f"template {template.pk}"])
        with in_background(make_job, template) as submitting:
            assert submitting.result(PATIENCE_SECONDS)


def test_many_keys_are_no_trouble():
    wanted = [f"key {number}" for number in range(1200)]
    ConcurrencyLimit.objects.bulk_create(
        ConcurrencyLimit(key=str(number), max_concurrent=number) for number in range(1200)
    )
    found = limits.allowed(wanted)
    assert found == {f"key {number}": number for number in range(1200)}
    assert limits.free({"key 7": 7}) == {"key 7": 7}


def test_whoever_may_wait_for_its_end_is_woken():
    keyed, plain = make_template("keyed", limit_key="db"), make_template()
    jobs = [make_job(keyed), make_job(plain), make_job(plain, limit_key="x")]
    make_template("own", max_concurrent=1)
    jobs.append(make_job(ContainerTemplate.objects.get(name="own")))
    host = make_host()
    by_job = {attempt.job_id: attempt.spec["limited"] for attempt in claim(take(host), host)}
    assert [by_job[job.pk] for job in jobs] == [True, False, True, True]
