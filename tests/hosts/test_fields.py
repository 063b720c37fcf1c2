"""Secrets at rest: the database holds tokens, the program gets the text, and nobody gets the token."""

from __future__ import annotations

import pytest
from cryptography.fernet import Fernet
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.db import connection

from hosts import fields
from hosts.errors import ConfigurationError
from hosts.models import DockerHost
from jobs.models import ContainerJob, EnvironmentVariable
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

PLANTED = "hunter2-planted-secret"


@pytest.fixture(autouse=True)
def _ordinary_key(settings):
    settings.TALLYMAN_SECRET_KEYS = [Fernet.generate_key().decode()]


def raw(model, column: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM {model._meta.db_table}")
        return cursor.fetchone()[0]


def test_the_column_holds_a_token_and_the_model_the_text():
    make_host(secret_config={"password": PLANTED})
    stored = raw(DockerHost, "secret_config")
    assert stored.startswith("f1:")
    assert PLANTED not in stored
    assert DockerHost.objects.get().secret_config == {"password": PLANTED}


def test_a_text_is_encrypted_on_every_way_into_the_database():
    template = make_template()
    EnvironmentVariable.objects.bulk_create([EnvironmentVariable(template=template, key="A", value="a")])
    assert fields.decrypt(raw(EnvironmentVariable, "value")) == "a"
    EnvironmentVariable.objects.update(value="b")
    assert fields.decrypt(raw(EnvironmentVariable, "value")) == "b"
    assert list(EnvironmentVariable.objects.values_list("value", flat=True)) == ["b"]


def test_equal_texts_look_different():
    assert fields.encrypt("same") != fields.encrypt("same")


def test_nothing_is_stored_as_nothing():
    make_job(secret_environment={})
    assert raw(ContainerJob, "secret_environment") == ""
    assert ContainerJob.objects.get().secret_environment == {}


@pytest.mark.parametrize("value", ["", "x", "ü\n", "f1:not a token", "x" * 70_000])
def test_a_text_comes_back_as_it_was(value):
    variable = EnvironmentVariable.objects.create(template=make_template(), key="A", value=value)
    variable.refresh_from_db()
    assert variable.value == value


def test_a_new_key_in_front_leaves_old_secrets_readable(settings):
    make_host(secret_config={"a": "old"})
    before = raw(DockerHost, "secret_config")
    new = Fernet.generate_key().decode()
    settings.TALLYMAN_SECRET_KEYS = [new, *settings.TALLYMAN_SECRET_KEYS]
    host = DockerHost.objects.get()
    assert host.secret_config == {"a": "old"}
    host.save()
    settings.TALLYMAN_SECRET_KEYS = [new]
    assert DockerHost.objects.get().secret_config == {"a": "old"}
    assert raw(DockerHost, "secret_config") != before


@pytest.mark.parametrize("keys", [[], [Fernet.generate_key().decode()]], ids=["missing", "wrong"])
def test_without_the_right_key_a_secret_is_an_error_and_never_its_token(settings, keys):
    make_host(secret_config={"a": PLANTED})
    token = raw(DockerHost, "secret_config")
    settings.TALLYMAN_SECRET_KEYS = keys
    with pytest.raises(ConfigurationError, match="TALLYMAN_SECRET_KEYS") as caught:
        DockerHost.objects.get()
    assert token not in str(caught.value)


def test_without_a_key_nothing_can_be_stored(settings):
    settings.TALLYMAN_SECRET_KEYS = []
    with pytest.raises(ConfigurationError, match="is not set"):
        make_host(secret_config={"a": PLANTED})


def test_a_key_that_is_none_is_an_error_and_not_shown(settings):
    settings.TALLYMAN_SECRET_KEYS = ["no key at all"]
    with pytest.raises(ConfigurationError, match="no Fernet key") as caught:
        fields.encrypt("x")
    assert "no key at all" not in str(caught.value)


def test_a_text_that_somebody_put_into_the_column_is_refused_and_not_shown():
    make_job()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE jobs_containerjob SET secret_environment = %s", [PLANTED])
    with pytest.raises(ConfigurationError, match="set it again") as caught:
        ContainerJob.objects.get()
    assert PLANTED not in str(caught.value)


@pytest.mark.parametrize("lookup", ["contains", "startswith", "in", "gt"])
def test_an_encrypted_column_cannot_be_searched(lookup):
    with pytest.raises(ConfigurationError, match="cannot be searched"):
        EnvironmentVariable.objects.filter(**{f"value__{lookup}": "x"}).exists()


def test_emptiness_can_be_asked_for():
    template = make_template()
    EnvironmentVariable.objects.create(template=template, key="EMPTY")
    EnvironmentVariable.objects.create(template=template, key="FULL", value="x")
    assert [row.key for row in EnvironmentVariable.objects.filter(value="")] == ["EMPTY"]


def test_no_row_of_any_table_shows_a_planted_secret():
    host = make_host(secret_config={"password": PLANTED})
    template = make_template()
    EnvironmentVariable.objects.create(template=template, key="A", value=PLANTED, is_secret=True)
    EnvironmentVariable.objects.create(template=template, key="B", value=PLANTED)
    make_job(template, host, secret_environment={"C": PLANTED})
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            assert PLANTED not in repr(cursor.fetchall()), table


@pytest.mark.parametrize("keys", [[], ["no key at all"]])
def test_the_system_check_names_a_key_that_cannot_work(settings, keys):
    settings.TALLYMAN_SECRET_KEYS = keys
    with pytest.raises(SystemCheckError, match=r"hosts\.E001"):
        call_command("check")
