"""What is kept of ended jobs, and that nothing else goes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models import F
from django.db.models.functions import Now

from hosts.models import DockerHost, HostRequest, HostSample
from jobs import operations, retention
from jobs.models import (
    Attempt,
    ContainerExecution,
    ContainerJob,
    JobEvent,
    LogChunk,
    Tally,
    UsageSample,
)
from jobs.retention import Policy, Sweep, note_gone
from jobs.states import AttemptState
from tests.jobs.attempts import end, make_attempt, take
from tests.jobs.chunks import out, store
from tests.support.factories import make_host, make_job

pytestmark = pytest.mark.django_db

DAY = timedelta(days=1)


def ended(days_ago: float = 2.0, log: bytes = b"", *, gone: bool = True, **how) -> Attempt:
    """An attempt that ended so long ago, with its job; `gone`: its container too."""
    attempt = make_attempt(AttemptState.EXITED, job=make_job())
    if log:
        store(attempt, log)
    assert end(attempt, stdout=log[-20:].decode(errors="replace"), **how)
    back = timedelta(days=days_ago)
    Attempt.objects.filter(pk=attempt.pk).update(
        ended_at=F("ended_at") - back, container_gone_at=Now() if gone else None
    )
    ContainerJob.objects.filter(pk=attempt.job_id).update(completed_at=F("completed_at") - back)
    attempt.refresh_from_db()
    return attempt


def sweep(**policy) -> dict[str, int]:
    one = Sweep(Policy(**policy))
    while one.step():
        pass
    return dict(one.deleted)


def jobs_left() -> set:
    return set(ContainerJob.objects.values_list("pk", flat=True))


def test_nothing_is_deleted_unless_somebody_says_so():
    ended(10_000, out("x"))
    assert sweep() == {}
    assert (ContainerJob.objects.count(), LogChunk.objects.count()) == (1, 1)


def test_an_old_job_goes_with_everything_that_belongs_to_it():
    old, young = ended(3, out("old")), ended(1, out("young"))
    UsageSample.objects.create(attempt=old)
    assert sweep(jobs_days=2) == {"jobs": 1}
    assert jobs_left() == {young.job_id}
    assert Attempt.objects.get() == young
    assert ContainerExecution.objects.get().job_id == young.job_id
    assert LogChunk.objects.get().attempt == young
    assert not UsageSample.objects.exists()
    assert set(JobEvent.objects.values_list("job_id", flat=True)) == {young.job_id}


def test_so_many_of_the_newest_ended_jobs_are_kept():
    attempts = [ended(days) for days in (5, 4, 3, 2, 1)]
    assert sweep(jobs_count=5) == {}
    assert sweep(jobs_count=2) == {"jobs": 3}
    assert jobs_left() == {attempt.job_id for attempt in attempts[3:]}


def test_the_oldest_one_to_be_kept_stays_as_workers_write_its_moment():
    for _ in range(3):
        attempt = make_attempt(AttemptState.EXITED, job=make_job())
        end(attempt)
    Attempt.objects.update(container_gone_at=Now())
    sweep(jobs_count=2)
    assert ContainerJob.objects.count() >= 2


@pytest.mark.parametrize("status", ["pending", "starting", "running"])
def test_a_job_that_has_not_ended_stays_however_old(status):
    job = ended(100).job
    ContainerJob.objects.filter(pk=job.pk).update(status=status)
    assert sweep(jobs_days=1, jobs_count=1) == {}


def test_a_job_stays_until_its_container_is_gone():
    attempt = ended(100, gone=False)
    assert sweep(jobs_days=1) == {}
    note_gone(attempt.host_id, [attempt.job_id])
    assert sweep(jobs_days=1) == {}, "the engine has it still"
    note_gone(attempt.host_id, [])
    assert sweep(jobs_days=1) == {"jobs": 1}


def test_a_host_that_was_removed_keeps_nobody_waiting_for_its_containers():
    attempt = ended(100, gone=False)
    DockerHost.objects.filter(pk=attempt.host_id).update(archived_at=Now(), is_active=False)
    assert sweep(jobs_days=1) == {"jobs": 1}


def test_a_container_is_gone_only_after_the_list_can_be_newer_than_its_end():
    attempt = ended(0, gone=False)
    assert note_gone(attempt.host_id, []) == 0


def test_only_the_holder_of_the_host_notes_what_is_gone():
    attempt = ended(1, gone=False)
    former = take(attempt.host)
    assert note_gone(make_host("other").pk, []) == 0
    lease = type(former)(former.host_id, former.epoch + 1, former.owner, 0.0)
    assert note_gone(attempt.host_id, [], lease=lease) == 0
    assert note_gone(attempt.host_id, [], lease=former) == 1
    assert note_gone(attempt.host_id, [], lease=former) == 0


def test_a_job_that_waits_for_the_old_one_keeps_it_and_a_restart_survives_it():
    old = ended(3).job
    held = make_job(restarted_from=old, hold="restart")
    assert sweep(jobs_days=1) == {}
    ContainerJob.objects.filter(pk=held.pk).update(hold="")
    assert sweep(jobs_days=1) == {"jobs": 1}
    held.refresh_from_db()
    assert held.restarted_from_id is None


def test_a_job_that_was_retried_meanwhile_stays():
    attempt = ended(3, job_status="failed")
    old = retention.deletable()
    operations.retry(attempt.job_id, who="test")
    assert not old.exists()
    assert sweep(jobs_days=1, jobs_count=1) == {}


def test_a_cancelled_job_that_never_had_an_attempt_goes_too():
    job = make_job()
    operations.cancel(job.pk, who="test")
    ContainerJob.objects.update(completed_at=Now() - 3 * DAY)
    assert sweep(jobs_days=1) == {"jobs": 1}


def test_an_old_log_goes_alone_and_leaves_a_mark():
    old, young = ended(3, out("old")), ended(1, out("young"))
    assert sweep(logs_days=2) == {"logs": 1}
    assert LogChunk.objects.get().attempt == young
    old.refresh_from_db()
    assert old.logs_note == "Deleted by retention, which keeps logs for 2 days."
    assert old.logs_deleted_at is not None
    texts = dict(ContainerExecution.objects.values_list("job_id", "stdout"))
    assert (texts[old.job_id], bool(texts[young.job_id])) == ("", True)
    assert sweep(logs_days=2) == {}


def test_the_logs_of_so_many_of_the_newest_launches_are_kept():
    attempts = [ended(days, out("x")) for days in (4, 3, 2, 1)]
    assert sweep(logs_count=4) == {}
    assert sweep(logs_count=2) == {"logs": 2}
    kept = LogChunk.objects.values_list("attempt_id", flat=True)
    assert set(kept) == {attempt.pk for attempt in attempts[2:]}
    attempts[0].refresh_from_db()
    assert attempts[0].logs_note == "Deleted by retention, which keeps the logs of the newest 2 launches."
    assert ContainerJob.objects.count() == 4, "the jobs stay"
    assert sweep(logs_count=2) == {}


def test_logs_go_by_age_and_by_count_whichever_comes_first():
    oldest, older, newest = [ended(days, out("x")) for days in (9, 3, 2)]
    assert sweep(logs_days=5, logs_count=1) == {"logs": 2}
    assert LogChunk.objects.get().attempt == newest
    notes = dict(Attempt.objects.values_list("pk", "logs_note"))
    assert "5 days" in notes[oldest.pk]
    assert notes[older.pk] == "Deleted by retention, which keeps the log of the newest launch."
    assert notes[newest.pk] == ""


def test_an_open_attempt_keeps_its_log_however_many_are_newer():
    running = make_attempt(AttemptState.RUNNING, job=make_job())
    store(running, out("running"))
    ended(1, out("ended"))
    assert sweep(logs_count=1, logs_days=0.5) == {"logs": 1}
    assert LogChunk.objects.get().attempt == running


def test_an_attempt_that_wrote_nothing_gets_no_mark():
    attempt = ended(3)
    assert sweep(logs_days=1) == {"logs": 0}
    attempt.refresh_from_db()
    assert attempt.logs_note == ""


def test_an_earlier_note_on_the_log_stays():
    attempt = ended(3, out("x"), logs_complete=False, logs_note="The container was gone.")
    sweep(logs_days=1)
    attempt.refresh_from_db()
    assert attempt.logs_note == ("The container was gone. Deleted by retention, which keeps logs for 1 day.")


def test_the_excerpts_of_a_newer_attempt_stay():
    first = ended(3, out("first"), job_status="failed")
    operations.retry(first.job_id, who="test")
    second = make_attempt(AttemptState.EXITED, job=first.job)
    end(second, stdout="second")
    sweep(logs_days=1)
    assert ContainerExecution.objects.get().stdout == "second"


def test_a_large_log_goes_in_small_batches_and_says_so_from_the_first_on(monkeypatch):
    monkeypatch.setattr(retention, "MAX_CHUNKS", 3)
    attempts = [ended(3), ended(3), ended(3)]
    sizes = [1, 7, 2]
    for attempt, size in zip(attempts, sizes, strict=True):
        _store_late(attempt, size)
    one = Sweep(Policy(logs_days=1))
    steps = 0
    while one.step():
        steps += 1
        for attempt in attempts:
            attempt.refresh_from_db()
            left = attempt.log_chunks.count()
            assert left == attempt.next_seq or "retention" in attempt.logs_note
            assert not left or attempt.logs_deleted_at is None
    assert (LogChunk.objects.count(), one.deleted["logs"]) == (0, 3)
    assert steps >= 4
    for attempt in attempts:
        assert attempt.logs_note.count("Deleted") == 1
        assert attempt.logs_deleted_at


def test_a_batch_is_limited_by_bytes_too(monkeypatch):
    monkeypatch.setattr(retention, "MAX_LOG_BYTES", 100)
    attempt = ended(3)
    _store_late(attempt, 3)
    LogChunk.objects.update(raw_bytes=60)
    one = Sweep(Policy(logs_days=1))
    left = []
    while one.step():
        left.append(LogChunk.objects.count())
    assert left == [2, 1, 0]


@pytest.mark.parametrize("kind", ["logs", "readings"])
def test_a_job_with_much_to_delete_goes_in_small_batches(kind, monkeypatch):
    monkeypatch.setattr(retention, "MAX_CHUNKS", 3)
    monkeypatch.setattr("hosts.retention.MAX_ROWS", 3)
    attempt = ended(3)
    if kind == "logs":
        _store_late(attempt, 8)
    else:
        UsageSample.objects.bulk_create(UsageSample(attempt=attempt) for _ in range(8))
    one = Sweep(Policy(jobs_days=1))
    assert one.step()
    assert ContainerJob.objects.exists()
    while one.step():
        pass
    assert not ContainerJob.objects.exists()


def _store_late(attempt: Attempt, count: int) -> None:
    LogChunk.objects.bulk_create(
        LogChunk(
            attempt=attempt,
            seq=seq,
            data=b"x",
            first_at=attempt.ended_at,
            last_at=attempt.ended_at,
            raw_bytes=1,
            stdout_bytes_before=seq,
            stderr_bytes_before=0,
            stdout_lines_before=0,
            stderr_lines_before=0,
        )
        for seq in range(count)
    )
    Attempt.objects.filter(pk=attempt.pk).update(next_seq=count)


def test_old_readings_requests_and_tallies_go(monkeypatch):
    monkeypatch.setattr("hosts.retention.MAX_ROWS", 2)
    attempt = ended(0)
    Tally.objects.update(minute=Now() - 5 * DAY)
    for days in (5, 4, 3, 1):
        at = Now() - days * DAY
        UsageSample.objects.create(attempt=attempt, at=at)
        HostSample.objects.create(host=attempt.host, jobs_running=0, slots=1, at=at)
        HostRequest.objects.create(host=attempt.host, verb="test", expires_at=at, at=at)
    assert sweep(samples_days=2, tallies_days=4) == {"readings": 6, "requests": 3, "tallies": 1}
    assert [model.objects.count() for model in (UsageSample, HostSample, HostRequest, Tally)] == [1, 1, 1, 0]


def test_so_many_of_the_newest_readings_of_containers_and_of_hosts_are_kept(monkeypatch):
    monkeypatch.setattr("hosts.retention.MAX_ROWS", 2)
    attempt = ended(0)
    for number in range(6):
        UsageSample.objects.create(attempt=attempt, pids=number)
        HostSample.objects.create(host=attempt.host, jobs_running=number, slots=1)
    assert sweep(samples_count=6) == {}
    assert sweep(samples_count=1, samples_days=1) == {"readings": 10}
    assert UsageSample.objects.get().pids == HostSample.objects.get().jobs_running == 5
