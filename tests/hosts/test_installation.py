"""Which installation a database is, and that a copy of it is not taken for the original."""

from __future__ import annotations

import pytest
from django.db import IntegrityError, connection, transaction

from hosts import installation
from hosts.errors import ConfigurationError
from hosts.models import Installation

pytestmark = pytest.mark.django_db


def test_the_row_is_made_at_first_use_and_kept():
    first = installation.current()
    assert installation.current() == first
    assert Installation.objects.get().database_identity == installation.database_identity()


def test_a_copy_is_refused_and_stays_as_it_is():
    Installation.objects.create(database_identity="postgresql 1 production")
    with pytest.raises(ConfigurationError, match="copy") as caught:
        installation.current()
    assert "postgresql 1 production" in str(caught.value)
    assert "--new-installation" in str(caught.value)
    assert Installation.objects.get().database_identity == "postgresql 1 production"


def test_a_moved_database_keeps_its_installation():
    there = Installation.objects.create(database_identity="postgresql 1 production")
    assert installation.adopt() == installation.current() == there


def test_a_copy_becomes_an_installation_of_its_own():
    there = Installation.objects.create(database_identity="postgresql 1 production")
    made = installation.renew()
    assert made == installation.current() != there
    assert Installation.objects.count() == 1


def test_there_is_one_row_at_most():
    installation.current()
    for only in (True, False):
        with pytest.raises(IntegrityError), transaction.atomic():
            Installation.objects.create(database_identity="another", only=only)


@pytest.mark.sqlite_only
def test_a_sqlite_database_is_known_by_its_file():
    assert installation.database_identity() == f"sqlite {connection.settings_dict['NAME']}"


@pytest.mark.postgres_only
def test_a_postgresql_database_is_known_by_its_server_and_name():
    kind, system, name = installation.database_identity().split(" ")
    assert kind == "postgresql"
    assert system.isdecimal()
    assert name == connection.settings_dict["NAME"]
