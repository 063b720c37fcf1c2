"""`manage.py audit`: list, verify, head, prune."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from audit.models import AuditCheckpoint, AuditEvent
from tests.admin_ui.commands import manage
from tests.audit.rows import cut, leave, tamper

pytestmark = pytest.mark.django_db
TOMORROW = f"{timezone.now() + timedelta(days=1):%Y-%m-%d}"


def test_list_shows_the_newest_rows_that_the_filters_find():
    leave(2)
    leave(1, verb="host.cordon", kind="host", label="berlin")
    text = manage("audit", "list").text
    assert len(text.splitlines()) == 4
    assert "host.cordon" in text.splitlines()[1]
    found = manage("audit", "list", "--object", "berlin", "--json").json
    assert [row["verb"] for row in found] == ["host.cordon"]
    assert len(manage("audit", "list", "--limit", "1", "--json").json) == 1
    assert manage("audit", "list", "--since", TOMORROW, "--json").json == []
    assert manage("audit", "list", "--since", "someday").code == 2


def test_a_row_cannot_steer_the_terminal():
    leave(1, label="\x1b[2Jgone", verb="x.y")
    assert "\x1b" not in manage("audit", "list").text


def test_verify_says_so_if_all_is_whole():
    leave(3)
    result = manage("audit", "verify")
    assert result.code == 0
    assert "3 rows are whole" in result.text
    assert manage("audit", "verify", "--json").json["is_whole"] is True


def test_verify_names_the_first_broken_row_and_fails():
    leave(3)
    tamper(2, actor="nobody")
    result = manage("audit", "verify")
    assert result.code == 1
    assert "BROKEN  Row 2" in result.text
    assert manage("audit", "verify", "--json").json["first_broken"] == 2


def test_verify_compares_with_what_head_printed_before():
    leave(3)
    head = manage("audit", "head").text.strip()
    assert manage("audit", "verify", "--expect", head).code == 0
    row, _, found = head.partition(":")
    assert manage("audit", "verify", "--expect", f"{int(row) + 1}:{found}").code == 1
    assert manage("audit", "verify", "--expect", "3").code == 2


def test_prune_deletes_old_rows_on_somebodys_word_only():
    leave(3)
    assert manage("audit", "prune", "--before", TOMORROW).code == 2
    result = manage("audit", "prune", "--before", TOMORROW, "--sign-off", "kept for a year")
    assert result.code == 0
    assert "3 rows are deleted" in result.text
    checkpoint = AuditCheckpoint.objects.get()
    assert (checkpoint.seq, checkpoint.count, checkpoint.reason) == (3, 3, "kept for a year")
    row = AuditEvent.objects.get()
    assert (row.verb, row.actor) == ("audit.prune", checkpoint.signed_by)
    assert manage("audit", "verify").code == 0


def test_prune_hides_nothing_that_is_broken_unless_it_is_told_to():
    leave(3)
    cut(2)
    arguments = ("prune", "--before", TOMORROW, "--sign-off", "x")
    result = manage("audit", *arguments)
    assert result.code == 1
    assert "Row 2 is missing" in result.text
    assert not AuditCheckpoint.objects.exists()
    assert manage("audit", *arguments, "--even-if-broken").code == 0
    assert manage("audit", "verify").code == 0
