"""A claim takes as many jobs as it was asked for, whatever plan the database makes of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from jobs.models import ContainerJob
from tests.jobs.attempts import claim, take
from tests.support.factories import make_host, make_template

pytestmark = [pytest.mark.postgres_only, pytest.mark.django_db(transaction=True)]

# What a planner does that knows nothing of a table yet: go through one relation for each row of the other.
_OTHER_WAYS = (
    *("hashjoin", "mergejoin", "hashagg", "sort", "material", "memoize"),
    *("indexscan", "indexonlyscan", "bitmapscan"),
)
# The claim that many write: the planner may run the subquery again for each row.
_NAIVE = """
    UPDATE jobs_containerjob SET status = 'starting' WHERE id IN (
        SELECT id FROM jobs_containerjob WHERE status = 'pending' LIMIT 1 FOR UPDATE SKIP LOCKED)
"""


@pytest.fixture
def nested_loops() -> Iterator[None]:
    """The planner has no other choice, on this connection."""
    with connection.cursor() as cursor:
        for name in _OTHER_WAYS:
            cursor.execute(f"SET enable_{name} = off")
    yield
    connection.close()


def make_jobs() -> None:
    template = make_template()
    ContainerJob.objects.bulk_create(ContainerJob(template=template) for _ in range(30))


def test_a_claim_of_one_takes_one_in_a_nested_loop(nested_loops: None) -> None:
    make_jobs()
    host = make_host()
    lease = take(host)
    for already in range(3):
        assert len(claim(lease, host, 1)) == 1
        assert ContainerJob.objects.open().count() == already + 1
    assert len(claim(lease, host, 4)) == 4
    assert ContainerJob.objects.open().count() == 7


def test_the_plan_makes_a_naive_claim_take_more_than_it_asked_for(nested_loops: None) -> None:
    make_jobs()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_NAIVE)
        assert cursor.rowcount > 1
