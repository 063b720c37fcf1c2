from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from hosts import identity, installation
from hosts.executors.contract import EngineFacts
from hosts.executors.docker import DockerExecutor
from hosts.models import Installation
from jobs.states import AttemptState
from supervisor import doctor, processes
from supervisor.models import Role
from supervisor.processes import Known
from tests.jobs.attempts import make_attempt, take
from tests.support.factories import make_host

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def healthy(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    """No setting to complain about; engines answer."""
    settings.DEBUG = True
    engine_says(monkeypatch, engine_id="e", version="27.1", cpus=8)


def engine_says(monkeypatch: pytest.MonkeyPatch, **facts: Any) -> None:
    monkeypatch.setattr(DockerExecutor, "check", lambda _self: EngineFacts(**facts))


def found(about: str) -> list[tuple[str, str]]:
    return [(one.level, one.message) for one in doctor.examine() if one.about == about]


def test_a_sound_installation_has_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    make_host("a")
    me = identity.current()
    known = Known(role=Role.MASTER, pid=me.pid, start_ticks=me.start_ticks)
    processes.beat(take(make_host("b", is_active=False)).owner, [known])
    call_command("doctor")
    said = capsys.readouterr().out
    for line in (
        "database",
        "installation",
        "clocks",
        "supervisor",
        "host a: It answers: version 27.1, 8 CPUs",
    ):
        assert f"ok       {line}" in said
    assert "host b" not in said
    assert "FAILURE" not in said


def test_json_has_every_finding(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("doctor", "--json")
    findings = json.loads(capsys.readouterr().out)
    assert {one["about"] for one in findings} >= {"settings", "disk", "database", "clocks", "hosts"}
    assert all(set(one) == {"about", "level", "message", "hint"} for one in findings)


def test_an_engine_that_does_not_answer_is_a_failure_with_a_hint(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.undo()
    make_host("a", connection_string="unix:///no/such.sock")
    with pytest.raises(SystemExit) as ended:
        call_command("doctor")
    assert ended.value.code == 1
    said = capsys.readouterr().out
    assert "FAILURE  host a: It does not answer: " in said


def test_a_host_whose_secrets_nobody_can_read_is_a_failure_and_the_others_are_looked_at(
    settings: Any,
) -> None:
    make_host("a", secret_config={"registries": {"r": "p"}})
    make_host("b")
    settings.TALLYMAN_SECRET_KEYS = [Fernet.generate_key().decode()]
    ((level, message),) = found("host a")
    assert (level, "TALLYMAN_SECRET_KEYS" in message) == ("failure", True)
    assert found("host b")[0][0] == "ok"


def test_another_engine_than_before_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    make_host("a", engine_id="before")
    ((level, message),) = found("host a")
    assert (level, message) == ("failure", "Another engine answers (e) than was seen there (before).")


def test_a_full_disk_and_a_wrong_clock_of_an_engine_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    make_host("a")
    engine_says(
        monkeypatch,
        engine_id="e",
        version="1",
        clock_at=timezone.now() - timedelta(minutes=5),
        disk_free_bytes=1,
        disk_total_bytes=100,
    )
    told = found("host a")
    assert ("failure", "Of the disk that a uses 1% is free.") in told
    assert any(level == "warning" and "differ by 300" in message for level, message in told)


def test_without_a_supervisor_or_a_host_it_says_how_to_get_them() -> None:
    hints = {one.about: one.hint for one in doctor.examine()}
    assert "manage.py supervise" in hints["supervisor"]
    assert "manage_docker_host add" in hints["hosts"]


def test_a_folder_that_may_not_be_written_is_a_failure(
    settings: Any, monkeypatch: Any, tmp_path: Path
) -> None:
    settings.TALLYMAN_RUN_DIR = tmp_path / "not" / "yet"
    assert not found("permissions")
    monkeypatch.setattr("os.access", lambda path, _how: path != tmp_path)
    assert ("failure", f"{tmp_path} cannot be written to.") in found("permissions")


def test_a_database_without_our_migrations_ends_the_examination(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.database.trouble_with_database", lambda: "2 migrations are missing")
    findings = list(doctor.examine())
    assert findings[-1].about == "database"
    assert findings[-1].hint == "Run `manage.py migrate`."
    with pytest.raises(SystemExit) as ended:
        call_command("doctor")
    assert ended.value.code == 75


class TestWhichInstallation:
    @pytest.fixture(autouse=True)
    def moved(self) -> None:
        """A database that is bound to another place."""
        installation.current()
        Installation.objects.update(database_identity="somewhere else")

    def test_a_database_that_was_moved_or_copied_is_a_failure(self) -> None:
        ((level, _),) = found("installation")
        assert level == "failure"

    def test_adopting_it_goes_on_as_the_same(self) -> None:
        before = Installation.objects.get().pk
        call_command("doctor", "--adopt-installation")
        assert installation.current().pk == before

    def test_a_copy_becomes_another_one(self) -> None:
        before = Installation.objects.get().pk
        call_command("doctor", "--new-installation")
        assert installation.current().pk != before

    def test_a_copy_with_open_attempts_is_refused(self) -> None:
        make_attempt(AttemptState.RUNNING)
        with pytest.raises(CommandError, match="declare-lost") as refused:
            call_command("doctor", "--new-installation")
        assert refused.value.returncode == 1


@pytest.mark.postgres_only
def test_too_few_sessions_for_the_hosts_are_a_warning() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SHOW max_connections")
        (most,) = cursor.fetchone()
    assert not any(level == "warning" for level, _ in found("database"))
    for number in range(int(most)):
        make_host(f"h{number}")
    assert any(level == "warning" and "sessions" in message for level, message in found("database"))


def test_it_says_which_secrets_wait_for_a_rotation_and_which_are_lost(settings: Any) -> None:
    old, new, other = (Fernet.generate_key().decode() for _ in range(3))
    settings.TALLYMAN_SECRET_KEYS = [old]
    host = make_host("a", secret_config={"registries": {}, "password": "hunter2"})
    assert found("secrets") == [("ok", "1 are stored, all under the first key.")]
    settings.TALLYMAN_SECRET_KEYS = [new, old]
    assert found("secrets") == [("warning", "1 are under older keys.")]
    settings.TALLYMAN_SECRET_KEYS = [other]
    (level, message) = found("secrets")[0]
    assert level == "failure"
    assert "hosts.DockerHost.secret_config" in message
    assert str(host.pk) in message
    assert any("No key in TALLYMAN_SECRET_KEYS" in text for _, text in found("host a"))
    settings.TALLYMAN_SECRET_KEYS = []
    assert found("secrets")[0][0] == "failure"
