"""Nobody changes or deletes a row: not by the ORM, not by the admin, not in the database."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Permission
from django.db import IntegrityError, connection, transaction
from django.urls import reverse
from django.utils import timezone

from audit import retention
from audit.models import AppendOnlyError, AuditCheckpoint, AuditEvent, AuditHead
from audit.verify import verify
from tests.audit.rows import leave, newest


@pytest.mark.django_db
@pytest.mark.parametrize(
    "deed",
    [
        lambda row: row.save(),
        lambda row: row.delete(),
        lambda row: AuditEvent.objects.all().delete(),
        lambda row: AuditEvent.objects.update(actor="nobody"),
        lambda row: AuditEvent.objects.filter(pk=1).update(actor="nobody"),
        lambda row: AuditEvent.objects.bulk_update([row], ["actor"]),
        lambda row: AuditEvent.objects.create(seq=9),
        lambda row: AuditEvent.objects.bulk_create([row]),
        lambda row: AuditEvent.objects.update_or_create(pk=1, defaults={"actor": "nobody"}),
        lambda row: AuditHead.objects.update(seq=0),
        lambda row: AuditCheckpoint.objects.all().delete(),
    ],
)
def test_the_models_refuse_it(deed):
    row = leave(1)[0]
    with pytest.raises(AppendOnlyError):
        deed(row)
    assert verify().problems == []


@pytest.mark.django_db
def test_there_is_no_right_to_change_rows():
    names = Permission.objects.filter(content_type__app_label="audit").values_list("codename", flat=True)
    assert set(names) == {"view_auditevent", "view_audithead", "view_auditcheckpoint"}


@pytest.mark.django_db
def test_the_admin_shows_rows_and_takes_nothing(admin_client):
    leave(1)
    for model in ("auditevent", "auditcheckpoint"):
        assert admin_client.get(reverse(f"admin:audit_{model}_changelist")).status_code == 200
        assert admin_client.get(reverse(f"admin:audit_{model}_add")).status_code == 403
    address = reverse("admin:audit_auditevent_change", args=[1])
    assert admin_client.get(address).status_code == 200
    assert admin_client.post(address, {"actor": "nobody"}).status_code == 403
    assert admin_client.post(reverse("admin:audit_auditevent_delete", args=[1])).status_code == 403


DEEDS = [
    "UPDATE audit_auditevent SET actor = 'nobody' WHERE seq = 1",
    "DELETE FROM audit_auditevent WHERE seq = 3",
    "DELETE FROM audit_auditevent",
    "UPDATE audit_audithead SET seq = 1",
    "UPDATE audit_audithead SET hash = 'x'",
    "DELETE FROM audit_audithead",
]


@pytest.mark.django_db(transaction=True)
def test_the_database_refuses_it(guarded):
    leave(3)
    deeds = list(DEEDS)
    if connection.vendor == "postgresql":
        deeds += ["TRUNCATE audit_auditevent", "TRUNCATE audit_audithead", "TRUNCATE audit_auditcheckpoint"]
    for deed in deeds:
        with pytest.raises(IntegrityError, match="append-only"), connection.cursor() as cursor:
            cursor.execute(deed)
    assert (verify().problems, newest()) == ([], 3)


@pytest.mark.django_db(transaction=True)
def test_below_a_checkpoint_rows_may_go_and_above_it_none(guarded):
    leave(5)
    middle = AuditEvent.objects.get(seq=3)
    retention.sign_off(AuditEvent.objects.get(seq=4).at, reason="kept for a year")
    assert retention.delete_below(3) == 3
    report = verify()
    assert report.problems == []
    assert "kept for a year" in report.remarks[0]
    assert AuditCheckpoint.objects.get().hash == middle.hash
    for deed in (
        "DELETE FROM audit_auditevent WHERE seq = 4",
        "DELETE FROM audit_auditcheckpoint",
        "UPDATE audit_auditcheckpoint SET seq = 5",
    ):
        with pytest.raises(IntegrityError, match="append-only"), connection.cursor() as cursor:
            cursor.execute(deed)


@pytest.mark.django_db
def test_the_checkpoint_is_a_row_of_the_chain_too_and_the_next_one_goes_on_from_it():
    leave(3)
    retention.sign_off(timezone.now() + timedelta(hours=1), reason="first")
    retention.delete_below(3)
    leave(2)
    second = retention.sign_off(timezone.now() + timedelta(hours=1), reason="second")
    assert (second.seq, second.count) == (6, 3)
    retention.delete_below(second.seq)
    assert [row.verb for row in AuditEvent.objects.all()] == ["audit.prune"]
    assert verify().problems == []


@pytest.mark.django_db
def test_a_checkpoint_that_somebody_else_made_bears_no_seal_of_ours():
    leave(3)
    row = AuditEvent.objects.get(seq=2)
    head = AuditHead.objects.get()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO audit_auditcheckpoint (seq, hash, signed_by, reason, count, seal) "
            "VALUES (2, %s, 'me', 'no', 2, %s)",
            [row.hash, head.seal],
        )
    assert "checkpoint at row 2 bears no seal" in verify().problems[0]


@pytest.mark.django_db
def test_nothing_is_signed_off_where_nothing_is_old():
    leave(2)
    with pytest.raises(retention.NothingToPrune):
        retention.sign_off(timezone.now() - timedelta(days=1), reason="x")
    assert not AuditCheckpoint.objects.exists()
