"""Secret settings of hosts: set by manage_docker_host from stdin or a file, kept encrypted, never shown."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client

from hosts.models import DockerHost
from tests.admin_ui.commands import hosts
from tests.support.factories import make_host

pytestmark = pytest.mark.django_db

SECRET, SESSION = "aws_secret_access_key", "aws_session_token"
VALUE = "very/secret+key"
CLUSTER = {"cluster": "jobs", "subnets": ["subnet-1"]}


@pytest.fixture
def cloud() -> DockerHost:
    return make_host("cloud", executor_type="fargate", connection_string="", executor_config=CLUSTER)


def give(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(value))


def stored(host: DockerHost) -> dict[str, str]:
    host.refresh_from_db()
    return dict(host.secret_config)


def test_a_secret_is_set_from_stdin_and_never_shown(cloud: DockerHost, monkeypatch: pytest.MonkeyPatch):
    give(monkeypatch, f"{VALUE}\n")
    result = hosts("secret", "cloud", SECRET)
    assert (result.code, stored(cloud)) == (0, {SECRET: VALUE})
    listed, records = hosts("secret", "cloud"), hosts("list", "--json")
    first, second = listed.text.splitlines()
    assert first.startswith(f"{SECRET}: set ")
    assert second == f"{SESSION}: not set"
    assert records.json[0]["secrets_set"] == [SECRET]
    assert VALUE not in result.text + result.stderr + listed.text + records.text
    with connection.cursor() as cursor:
        cursor.execute("SELECT secret_config FROM hosts_dockerhost")
        assert VALUE not in str(cursor.fetchall())


def test_a_secret_without_what_belongs_to_it_is_kept_and_that_is_said(
    cloud: DockerHost, monkeypatch: pytest.MonkeyPatch
):
    give(monkeypatch, VALUE)
    assert "aws_access_key_id and aws_secret_access_key belong together" in (
        hosts("secret", "cloud", SECRET).stderr
    )
    cloud.refresh_from_db()
    cloud.executor_config = {**CLUSTER, "aws_access_key_id": "AKID"}
    cloud.clean()  # now it is complete
    give(monkeypatch, VALUE)
    cloud.save()
    assert hosts("secret", "cloud", SECRET).stderr == ""


def test_a_secret_is_read_from_a_file_too(cloud: DockerHost, tmp_path: Path):
    (tmp_path / "key").write_text(f"{VALUE}\r\n")
    assert hosts("secret", "cloud", SESSION, "--file", str(tmp_path / "key")).code == 0
    assert stored(cloud) == {SESSION: VALUE}


def test_a_secret_is_forgotten_and_others_stay(cloud: DockerHost, monkeypatch: pytest.MonkeyPatch):
    for key in (SECRET, SESSION):
        give(monkeypatch, VALUE)
        hosts("secret", "cloud", key)
    assert hosts("secret", "cloud", SECRET, "--unset").code == 0
    assert stored(cloud) == {SESSION: VALUE}
    again = hosts("secret", "cloud", SECRET, "--unset")
    assert (again.code, "is not set" in again.stderr) == (1, True)


def test_a_host_is_added_with_its_secrets(tmp_path: Path):
    (tmp_path / "key").write_text(VALUE)
    settings = json.dumps({**CLUSTER, "aws_access_key_id": "AKID"})
    arguments = ("add", "cloud", "--executor", "fargate", "--config", settings)
    alone = hosts(*arguments)
    assert (alone.code, "add --secret" in alone.stderr) == (2, True)
    assert hosts(*arguments, "--secret", f"{SECRET}={tmp_path / 'key'}").code == 0
    assert stored(DockerHost.objects.get()) == {SECRET: VALUE}
    unknown = hosts("add", "b", "--executor", "process", "--secret", f"{SECRET}={tmp_path / 'key'}")
    assert (unknown.code, "it has: none" in unknown.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "given", "code", "words"),
    [
        (("secret", "cloud", "password"), "x", 1, f"It knows: {SECRET}, {SESSION}."),
        (("secret", "cloud", "password", "--unset"), "x", 1, f"It knows: {SECRET}, {SESSION}."),
        (("secret", "cloud", SECRET), "\n", 2, "the value is empty"),
        (("secret", "cloud", SECRET), "x" * 70_000, 2, "65536"),
        (("secret", "cloud", SECRET), "a\0b", 2, "is no text"),
        (("secret", "cloud", SECRET, "--file", "/no/such/file"), "", 2, "/no/such/file"),
        (("secret", "cloud", "--unset"), "", 2, "Name the setting"),
        (("secret", "cloud", SECRET, "--unset", "--file", "x"), "", 2, "not allowed with"),
        (("secret", "clodu", SECRET), "x", 4, "Did you mean cloud?"),
        (("secret", "here", SECRET), "x", 1, "It has none."),
        (("secret", "here", "registries"), "x", 1, "It has none."),
        (("secret", "docker", "registries"), "x", 1, "registry-login docker"),
        (("secret", "docker", "registries", "--unset"), "x", 1, "registry-login docker"),
        (("add", "b", "--secret", "nothing"), "", 2, "KEY=FILE"),
        (("add", "b", "--secret", f"{SECRET}=/no/such/file"), "", 2, "/no/such/file"),
    ],
)
def test_what_is_no_secret_of_the_host_changes_nothing(
    cloud: DockerHost, monkeypatch: pytest.MonkeyPatch, arguments, given: str, code: int, words: str
):
    make_host("here", executor_type="process", connection_string="")
    make_host("docker")
    give(monkeypatch, given)
    result = hosts(*arguments)
    assert (result.code, words in result.stderr) == (code, True), result.stderr
    assert [host.secret_config for host in DockerHost.objects.all()] == [{}, {}, {}]


def test_a_secret_among_the_open_settings_is_refused_with_the_command_that_sets_it(cloud: DockerHost):
    cloud.executor_config = {**CLUSTER, SECRET: VALUE}
    with pytest.raises(Exception, match=f"manage_docker_host secret cloud {SECRET}") as caught:
        cloud.clean()
    assert VALUE not in str(caught.value)


def test_the_page_of_a_host_says_which_secrets_are_set_and_shows_none(
    cloud: DockerHost, admin_client: Client, monkeypatch: pytest.MonkeyPatch
):
    give(monkeypatch, VALUE)
    hosts("secret", "cloud", SECRET)
    page = admin_client.get(f"/admin/hosts/dockerhost/{cloud.pk}/change/").content.decode()
    assert f"{SECRET}: set [" in page
    assert f"], {SESSION}: not set" in page
    assert VALUE not in page
