"""The chain of rows: each holds the hash of the one before, and what somebody did to them is found."""

from __future__ import annotations

import json
import threading

import pytest
from django.db import connection, models, transaction

from audit import acts, chain
from audit.entries import Entry
from audit.models import AuditEvent, AuditHead
from audit.verify import verify
from jobs.states import AttemptState, Outcome
from tests.audit.rows import cut, leave, newest, set_head, tamper
from tests.jobs.attempts import end, make_attempt
from tests.support.racing import in_background, race

pytestmark = pytest.mark.django_db


def test_rows_have_no_gaps_and_each_holds_the_hash_of_the_one_before():
    rows = leave(3)
    assert [row.seq for row in rows] == [1, 2, 3]
    assert [row.prev_hash for row in rows] == [chain.FIRST, rows[0].hash, rows[1].hash]
    report = verify()
    assert (report.problems, report.checked) == ([], 3)
    assert report.head == f"3:{rows[2].hash}"


def test_a_chain_without_rows_is_whole():
    assert verify().problems == []


@pytest.mark.parametrize(
    "fields",
    [
        {"actor": "somebody else"},
        {"verb": "thing.look"},
        {"object_key": "9"},
        {"outcome": "refused"},
        {"address": "10.0.0.1"},
        {"details": '{"after": {}}'},
        {"hash": "f" * 64},
    ],
)
def test_the_first_row_that_somebody_changed_is_named(fields):
    leave(5)
    tamper(3, **fields)
    tamper(4, actor="too")
    report = verify()
    assert report.broken == 3
    assert "Row 3" in report.problems[0]
    assert report.checked == 2


def test_a_changed_row_with_a_new_hash_of_its_own_does_not_fit_the_next_one():
    leave(3)
    row = AuditEvent.objects.get(seq=2)
    row.actor = "somebody else"
    tamper(2, actor=row.actor, hash=chain.digest(row))
    assert verify().broken == 3


def test_rows_that_are_missing_in_between_are_named():
    leave(6)
    cut(3, 4)
    report = verify()
    assert report.broken == 3
    assert report.problems == ["Rows 3 to 4 are missing before row 5."]


def test_rows_that_are_missing_at_the_beginning_are_named():
    leave(3)
    cut(1)
    assert verify().problems == ["Row 1 is missing before row 2."]


def test_rows_that_are_missing_at_the_end_are_known_by_the_head():
    leave(4)
    cut(3, 4)
    assert verify().problems == ["Rows 3 to 4 are missing at the end."]


def test_all_rows_missing_are_known_by_the_head():
    leave(2)
    cut(1, 2)
    assert verify().problems == ["Rows 1 to 2 are missing at the end."]


def test_a_head_that_was_set_back_bears_no_seal_of_ours():
    rows = leave(4)
    cut(3, 4)
    set_head(seq=2, hash=rows[1].hash)
    assert "seal" in verify().problems[0]


def test_rows_cut_off_with_a_head_that_was_kept_from_before_are_known_by_what_was_noted():
    leave(2)
    head = AuditHead.objects.get()
    rows = leave(2)
    cut(3, 4)
    set_head(seq=head.seq, hash=head.hash, seal=head.seal)
    assert verify().problems == []  # nothing here can tell
    report = verify((4, rows[1].hash))
    assert report.problems == ["Rows 3 to 4 are missing at the end: row 4 was noted."]


def test_a_chain_that_was_written_anew_differs_from_what_was_noted():
    rows = leave(3)
    assert verify((2, rows[1].hash)).problems == []
    assert verify((2, "f" * 64)).broken == 2


def test_a_missing_head_is_told_and_the_next_row_says_so():
    leave(2)
    models.QuerySet(AuditHead)._raw_delete("default")
    assert "head is missing" in verify().problems[0]
    leave(1)
    report = verify()
    assert report.checked == 4
    assert (report.broken, len(report.problems)) == (3, 1)
    assert AuditEvent.objects.get(seq=3).verb == chain.RESEALED


def test_a_rewritten_chain_cannot_be_gone_on_with_unseen():
    leave(2)
    row = AuditEvent.objects.get(seq=2)
    row.actor = "somebody else"
    row.hash = chain.digest(row)
    tamper(2, actor=row.actor, hash=row.hash)
    set_head(hash=row.hash)
    leave(1)
    assert verify().broken == 3


def test_a_key_with_the_old_one_as_fallback_still_fits(settings):
    leave(1)
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another one"
    assert verify().problems == []
    leave(1)
    assert verify().problems == []


def test_the_text_of_a_row_is_verified_as_the_database_keeps_it():
    strange = {
        "text": "nul \0 and \ud800 and \N{SNOWMAN}",
        "number": 1e400,
        "deep": {"list": [1.0, None, True]},
    }
    leave(1, label="nul \0, lone \ud800", says=strange, reason="line\nbreak")
    assert verify().problems == []
    assert AuditEvent.objects.get().said["says"]["deep"] == {"list": [1.0, None, True]}


def test_details_have_an_end():
    row = leave(1, says={"long": "x" * 5000}, after={str(n): "y" * 900 for n in range(500)})[0]
    assert len(row.details) < 50_000
    assert "left_out" in row.said
    assert json.loads(row.details)


@pytest.mark.django_db(transaction=True)
def test_several_writers_at_once_do_not_fork_the_chain():
    def write(number: int) -> None:
        for _ in range(5):
            leave(1, key=str(number))

    race(6, write)
    report = verify()
    assert (report.problems, report.checked) == ([], 30)


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres_only
def test_what_workers_write_of_jobs_does_not_wait_for_an_act():
    attempt = make_attempt(AttemptState.EXITED)
    ended = threading.Event()

    def finish() -> None:
        end(attempt, Outcome.SUCCEEDED)
        ended.set()

    with transaction.atomic():
        leave(1)  # holds the head until the end
        with in_background(finish):
            assert ended.wait(10)


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgres_only
def test_an_act_takes_the_head_as_its_last_lock():
    """So nobody who holds it waits for a row of somebody who waits for it."""
    taken: list[bool] = []

    def is_free() -> bool:
        with transaction.atomic():
            heads = models.QuerySet(AuditHead).select_for_update(skip_locked=True)
            return heads.first() is not None

    def look() -> None:
        taken.append(not is_free())

    leave(1)
    with acts.act("thing.do"):
        acts.record(Entry(verb="thing.change"))
        with in_background(look):
            pass
    assert taken == [False]
    assert newest() == 3


def test_a_row_is_in_the_transaction_of_its_act():
    class Undone(Exception):
        pass

    before = newest()

    def undone() -> None:
        with transaction.atomic():
            leave(1)
            raise Undone

    with pytest.raises(Undone):
        undone()
    assert newest() == before
    assert verify().problems == []
    assert connection.in_atomic_block
