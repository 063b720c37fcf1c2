"""Changing the key of stored secrets: in batches, again after an interruption, with a word on each row."""

from __future__ import annotations

import json

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection, models

from hosts import fields, rotation
from hosts.fields import EncryptedTextField
from hosts.models import DockerHost
from jobs.models import ContainerJob, EnvironmentVariable
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

SECRET = "hunter2-planted-secret"
OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@pytest.fixture
def stored(settings) -> dict[str, object]:
    """Secrets of each kind, made with a key that is now the second one."""
    settings.TALLYMAN_SECRET_KEYS = [OLD]
    template = make_template()
    made = {
        "host": make_host(secret_config={"password": SECRET}),
        "job": make_job(template, secret_environment={"A": SECRET}),
        "variables": [
            EnvironmentVariable.objects.create(template=template, key=f"V{n}", value=SECRET) for n in range(5)
        ],
        "empty": EnvironmentVariable.objects.create(template=template, key="EMPTY"),
    }
    settings.TALLYMAN_SECRET_KEYS = [NEW, OLD]
    return made


def run(*arguments: str) -> tuple[int, str]:
    """Exit code and stdout."""
    import io

    out = io.StringIO()
    try:
        call_command("rotate_secrets", *arguments, stdout=out, stderr=io.StringIO())
    except SystemExit as exc:
        return int(exc.code or 0), out.getvalue()
    return 0, out.getvalue()


def raw(model: type[models.Model], column: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {model._meta.db_table} WHERE {column} > ''")
        return [row[0] for row in cursor.fetchall()]


def test_every_encrypted_column_of_the_program_is_known():
    names = {str(column) for column in rotation.columns()}
    assert {
        "hosts.DockerHost.secret_config",
        "jobs.ContainerJob.secret_environment",
        "jobs.EnvironmentVariable.value",
    } <= names
    assert all(
        isinstance(one.model._meta.get_field(one.name), EncryptedTextField) for one in rotation.columns()
    )


def test_after_a_rotation_the_old_key_is_not_needed(stored, settings):
    code, said = run("--batch", "2")
    assert code == 0
    assert "jobs.EnvironmentVariable.value: 5 encrypted anew, 0 were under the first key" in said
    assert SECRET not in said
    settings.TALLYMAN_SECRET_KEYS = [NEW]
    assert DockerHost.objects.get().secret_config == {"password": SECRET}
    assert ContainerJob.objects.get().secret_environment == {"A": SECRET}
    assert set(EnvironmentVariable.objects.exclude(key="EMPTY").values_list("value", flat=True)) == {SECRET}
    assert EnvironmentVariable.objects.get(key="EMPTY").value == ""


def test_a_rotation_that_was_cut_off_goes_on_where_it_was(stored):
    column = next(one for one in rotation.columns() if one.model is EnvironmentVariable)

    def stop(_done: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rotation.rotate(column, batch=2, tell=stop)
    assert [rotation.survey(column).counts[position] for position in (0, 1)] == [2, 3]
    done = rotation.rotate(column, batch=2, tell=lambda _done: None)
    assert (done.current, done.renewed) == (2, 3)


def test_a_secret_that_somebody_sets_meanwhile_stands(stored, monkeypatch):
    encrypt = fields.encrypt

    def slow(text: str) -> str:
        token = encrypt(text)
        with connection.cursor() as cursor:
            cursor.execute(
                "UPDATE hosts_dockerhost SET secret_config = %s", [encrypt('{"password": "newer"}')]
            )
        return token

    monkeypatch.setattr(fields, "encrypt", slow)
    column = next(one for one in rotation.columns() if one.model is DockerHost)
    assert rotation.rotate(column, tell=lambda _done: None).changed_meanwhile == 1
    monkeypatch.undo()
    assert DockerHost.objects.get().secret_config == {"password": "newer"}


def test_check_says_which_rows_are_under_which_key_and_changes_nothing(stored):
    before = raw(EnvironmentVariable, "value")
    code, said = run("--check")
    assert code == 1
    assert "Keys: 2" in said
    assert "jobs.EnvironmentVariable.value: 5 under key 2" in said
    assert all(str(one.pk) in said for one in stored["variables"])
    assert str(stored["empty"].pk) not in said
    assert raw(EnvironmentVariable, "value") == before
    run()
    code, said = run("--check")
    assert code == 0
    assert "jobs.EnvironmentVariable.value: 5 under key 1" in said


def test_rows_that_no_key_decrypts_are_named_and_left_alone(stored, settings):
    settings.TALLYMAN_SECRET_KEYS = [NEW]
    host = DockerHost.objects.defer("secret_config").get()
    before = raw(DockerHost, "secret_config")
    for arguments in (("--check",), ()):
        code, said = run(*arguments)
        assert code == 1
        assert str(host.pk) in said
    assert raw(DockerHost, "secret_config") == before


def test_both_speak_json(stored):
    found = {one["column"]: one for one in json.loads(run("--check", "--json")[1])["columns"]}
    assert found["hosts.DockerHost.secret_config"]["by_key"] == {"2": 1}
    done = {one["column"]: one for one in json.loads(run("--json")[1])}
    assert done["hosts.DockerHost.secret_config"]["renewed"] == 1


@pytest.mark.parametrize("keys", [[], ["no key at all"]])
def test_without_a_usable_key_it_says_what_is_wrong(stored, settings, keys):
    settings.TALLYMAN_SECRET_KEYS = keys
    for arguments in (("--check",), ()):
        with pytest.raises(CommandError, match="TALLYMAN_SECRET_KEYS"):
            run(*arguments)


def test_keys_may_stand_in_a_file_one_a_line(tmp_path, monkeypatch):
    from config.environment import Environment

    file = tmp_path / "keys"
    file.write_text(f"{NEW}\n{OLD}\n")
    monkeypatch.delenv("TALLYMAN_SECRET_KEYS", raising=False)
    monkeypatch.setenv("TALLYMAN_SECRET_KEYS_FILE", str(file))
    assert Environment().lines("TALLYMAN_SECRET_KEYS") == [NEW, OLD]
