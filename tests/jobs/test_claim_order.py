"""Which jobs a worker takes first, and which it leaves to better hosts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models.functions import Now

from hosts.models import DockerHost
from jobs import claims
from jobs.models import ContainerJob
from tests.jobs.attempts import claim, take
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def host() -> DockerHost:
    return make_host()


def submit(name: str, minute: int = 0, **fields) -> ContainerJob:
    return make_job(name=name, created_at=START + timedelta(minutes=minute), **fields)


def names(host: DockerHost, room: int = 10, **wanted: bool) -> list[str]:
    return [attempt.job.name for attempt in claim(take(host), host, room, **wanted)]


def test_by_priority_and_then_by_age(host):
    submit("young", 3)
    submit("old", 1)
    submit("urgent", 9, priority=5)
    submit("idle", 0, priority=-5)
    assert names(host) == ["urgent", "old", "young", "idle"]


def test_room_goes_to_the_first_in_that_order(host):
    submit("young", 3)
    submit("old", 1)
    submit("urgent", 9, priority=5)
    assert names(host, room=2) == ["urgent", "old"]


def test_of_one_moment_and_priority_the_first_made_goes_first(host):
    for number in range(5):
        submit(str(number))
    assert names(host, room=3) == ["0", "1", "2"]


def test_the_oldest_goes_first_when_that_is_asked_for(host):
    submit("urgent", 9, priority=5)
    submit("middle", 2, priority=1)
    submit("oldest", 1, priority=-5)
    assert names(host, room=1, oldest_first=True) == ["oldest"]


@pytest.mark.parametrize("policy", [{}, {"images": ["*"]}], ids=["takes all", "is choosy"])
class TestPinnedAndShared:
    """Pinned jobs go first, but even a stream of them without an end keeps no shared one waiting for ever."""

    def test_the_oldest_goes_first_whether_it_is_pinned_or_not(self, host, policy):
        DockerHost.objects.update(policy=policy)
        host.refresh_from_db()
        submit("shared", 1)
        submit("shared, later", 9, priority=5)
        for number in range(2, 5):
            submit(f"pinned {number}", number, host=host, priority=9)
        lease = take(host)
        taken = [[one.job.name for one in claim(lease, host, 1)]]
        for room in (1, 1, 10):
            taken.append([one.job.name for one in claim(lease, host, room, oldest_first=True)])
        assert taken[:3] == [["pinned 2"], ["shared"], ["pinned 3"]]
        assert sorted(taken[3]) == ["pinned 4", "shared, later"]

    def test_a_pinned_job_that_is_not_due_counts_for_nothing(self, host, policy):
        DockerHost.objects.update(policy=policy)
        host.refresh_from_db()
        submit("pinned", 0, host=host, not_before_at=Now() + timedelta(hours=1))
        submit("pinned, due", 2, host=host)
        submit("shared", 1)
        assert names(host, room=1, oldest_first=True) == ["shared"]


def test_the_oldest_of_the_shared_ones_is_left_to_a_better_host_for_as_long_as_any(host):
    make_job(name="shared", created_at=Now() - timedelta(seconds=1))
    make_job(name="pinned", host=host)
    assert names(host, room=2, oldest_first=True, stand_back=True) == ["pinned"]


def test_jobs_pinned_to_the_host_go_before_shared_ones(host):
    submit("shared and urgent", priority=9)
    submit("pinned", 5, host=host)
    assert names(host, room=1) == ["pinned"]


def test_room_that_pinned_jobs_leave_goes_to_shared_ones(host):
    submit("pinned", 5, host=host)
    submit("shared", 1)
    submit("shared, later", 2)
    assert sorted(names(host, room=2)) == ["pinned", "shared"]


class TestStandingBack:
    """While a better host could take a shared job, it is left alone, but only for a moment."""

    def test_a_young_shared_job_is_left_to_a_better_host(self, host):
        make_job(name="young")
        assert names(host, stand_back=True) == []

    def test_and_taken_by_a_host_that_need_not_stand_back(self, host):
        make_job(name="young")
        assert names(host) == ["young"]

    def test_a_shared_job_that_has_waited_long_enough_is_taken(self, host):
        patience = timedelta(seconds=claims.STAND_BACK_SECONDS)
        make_job(name="old", created_at=Now() - patience - timedelta(milliseconds=5))
        make_job(name="young", created_at=Now() - patience + timedelta(seconds=1))
        assert names(host, stand_back=True) == ["old"]

    def test_a_pinned_job_is_taken_at_once(self, host):
        make_job(name="young", host=host)
        assert names(host, stand_back=True) == ["young"]


@pytest.mark.postgres_only
@pytest.mark.parametrize("pinned", [True, False])
def test_a_claim_reads_an_index_and_not_the_history(host, pinned):
    template = make_template()
    make_job(template, host if pinned else None)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO jobs_containerjob (id, template_id, status) "
            "SELECT gen_random_uuid(), %s, 'completed' FROM generate_series(1, 3000)",
            [template.id],
        )
        cursor.execute("ANALYZE jobs_containerjob")
        where = "docker_host_id = %s" if pinned else "docker_host_id IS NULL"
        cursor.execute(
            f"EXPLAIN SELECT id FROM jobs_containerjob WHERE status = 'pending' AND hold = '' AND {where} "
            "ORDER BY priority DESC, created_at, id LIMIT 5",
            [host.id] if pinned else [],
        )
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "job_claimable" in plan
