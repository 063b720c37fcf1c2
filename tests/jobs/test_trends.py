"""What ended over time, from the tallies: each step once, however often it is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from jobs import trends
from jobs.models import HourTally, Tally
from jobs.retention import Policy, Sweep
from jobs.totals import Total
from jobs.trends import Trend, within

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)


def tally(minutes_ago: int, count: int = 1, *, template: str = "t", outcome: str = "succeeded") -> Tally:
    minute = (NOW - timedelta(minutes=minutes_ago)).replace(second=0)
    spans = dict.fromkeys(("within_1s", "within_1m", "within_10m", "within_1h", "beyond_1h"), 0)
    return Tally.objects.create(
        minute=minute,
        host_name="h",
        template_name=template,
        outcome=outcome,
        count=count,
        seconds=2.0 * count,
        log_bytes=0,
        within_10s=count,
        **spans,
    )


def hourly(**options) -> Trend:
    return Trend(step=timedelta(hours=1), steps=5, **options)


def counts(found) -> dict:
    return {key: total.count for key, total in found.items()}


def at(hour: int) -> int:
    return int(NOW.replace(hour=hour, minute=0, second=0).timestamp())


def test_ends_are_summed_by_step_and_outcome():
    tally(1, 2)
    tally(2, 3, template="other")
    tally(3, outcome="user")
    tally(60)
    assert counts(hourly().read(NOW)) == {
        (at(12), "", "succeeded"): 5,
        (at(12), "", "user"): 1,
        (at(11), "", "succeeded"): 1,
    }


def test_templates_are_told_apart_where_that_is_asked_for():
    tally(1, 2)
    tally(2, 3, template="other")
    found = hourly(by_template=True).read(NOW)
    assert counts(found) == {(at(12), "t", "succeeded"): 2, (at(12), "other", "succeeded"): 3}
    assert found[at(12), "t", "succeeded"].within_10s == 2
    assert found[at(12), "t", "succeeded"].seconds == 4.0


def test_what_is_older_than_the_first_step_is_left_out_also_as_time_goes_on():
    trend = hourly()
    tally(4 * 60 + 34)  # at 8:00
    tally(4 * 60 + 35)  # at 7:59
    assert counts(trend.read(NOW)) == {(at(8), "", "succeeded"): 1}
    assert counts(trend.read(NOW + timedelta(hours=1))) == {}
    assert trend.starts(NOW) == [at(hour) for hour in range(8, 13)]


def test_settled_steps_are_read_once_and_new_ends_are_seen_at_once():
    trend = hourly()
    tally(3 * 60)
    trend.read(NOW)
    tally(0)
    with CaptureQueriesContext(connection) as queries:
        found = trend.read(NOW)
    assert len(queries) == 1
    assert counts(found) == {(at(9), "", "succeeded"): 1, (at(12), "", "succeeded"): 1}


def test_an_end_that_is_counted_late_is_seen():
    trend = hourly()
    trend.read(NOW)
    tally(50)  # a transaction that began before the last step did
    assert counts(trend.read(NOW)) == {(at(11), "", "succeeded"): 1}


def test_a_process_that_slept_for_long_reads_what_it_missed():
    trend = hourly()
    tally(10)
    trend.read(NOW)
    tally(-150)
    assert counts(trend.read(NOW + timedelta(hours=3))) == {
        (at(12), "", "succeeded"): 1,
        (at(15), "", "succeeded"): 1,
    }
    assert counts(trend.read(NOW + timedelta(days=30))) == {}


def test_the_tallies_are_found_by_their_minute():
    tally(1)
    rows = Tally.objects.filter(minute__gte=NOW - timedelta(days=1))
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_bitmapscan = off")
    names = {"postgresql": "tally_once_a_minute", "sqlite": "sqlite_autoindex_jobs_tally_1 (minute>?)"}
    assert names[connection.vendor] in rows.order_by().explain()


def test_cancelled_runs_are_no_failures():
    tally(1, 2)
    tally(1, 3, outcome="cancelled")
    tally(1, 1, outcome="oom")
    fine, failed = trends.split(hourly().read(NOW))
    assert (fine.count, failed.count) == (5, 1)


@pytest.mark.parametrize(
    ("buckets", "half", "most"),
    [
        ({}, None, None),
        ({"within_1s": 10}, 1.0, 1.0),
        ({"within_1s": 5, "within_10s": 5}, 1.0, 10.0),
        ({"within_10s": 94, "within_1h": 6}, 10.0, 3600.0),
        ({"within_10s": 1, "beyond_1h": 9}, float("inf"), float("inf")),
    ],
)
def test_durations_are_told_as_the_bound_within_which_a_share_ended(buckets, half, most):
    total = Total(**buckets)
    assert (within(total, 0.5), within(total, 0.95)) == (half, most)


# ── hours that are summed up ──────────────────────────────────────────────────────────────────────────────


def sum_up(now: datetime = NOW) -> None:
    while trends.sum_up_hours(now):
        pass


def test_a_week_is_the_same_whether_its_hours_are_summed_up_or_not():
    for hours in range(0, 7 * 24, 5):
        tally(60 * hours + 1, 2)
        tally(60 * hours + 2, template="other", outcome="user")
    week = {"step": timedelta(hours=3), "steps": 56, "by_template": True}
    before = Trend(**week).read(NOW)
    assert sum(counts(before).values()) == 34 * 3
    sum_up()
    assert Trend(**week).read(NOW) == before
    later = NOW + timedelta(hours=4)
    fresh = Trend(**week).read(later)
    sum_up(later)
    assert Trend(**week).read(later) == fresh


def test_what_is_summed_up_is_not_read_again_from_the_tallies_of_minutes():
    tally(60 * 30, 5)
    tally(60 * 20, 1)
    sum_up()
    Tally.objects.update(count=100)
    trend = Trend(step=timedelta(hours=3), steps=56)
    assert sum(counts(trend.read(NOW)).values()) == 6
    tally(5, 7)
    assert sum(counts(trend.read(NOW)).values()) == 13
    in_minutes = Trend(step=timedelta(minutes=5), steps=288)
    assert sum(counts(in_minutes.read(NOW)).values()) == 107, "no hour tells when in it something ended"


def test_hours_are_summed_up_once_they_are_long_over_some_at_a_time_and_kept_for_a_week():
    tally(60 * 24 * 9)
    tally(60 * 30)
    tally(60 * 10)
    tally(90)
    tally(30)
    assert trends.sum_up_hours(NOW)
    assert HourTally.objects.count() == 1
    sum_up()
    hours = HourTally.objects.order_by("hour").values_list("hour", flat=True)
    expected = [NOW - timedelta(minutes=minutes) for minutes in (60 * 30, 60 * 10)]
    assert list(hours) == [moment.replace(minute=0, second=0) for moment in expected], (
        "the hour of 11 may get more"
    )
    sum_up(NOW + timedelta(days=9))
    tally(-60 * 24 * 9)
    sum_up(NOW + timedelta(days=9, hours=3))
    assert HourTally.objects.count() == 1


def test_the_sweep_of_retention_sums_up_before_it_deletes():
    now = datetime.now(UTC)
    row = tally(0, 3)
    Tally.objects.filter(pk=row.pk).update(minute=now - timedelta(days=2))
    one = Sweep(Policy(tallies_days=1))
    while one.step():
        pass
    assert not Tally.objects.exists()
    assert sum(counts(Trend(step=timedelta(hours=3), steps=56).read()).values()) == 3
