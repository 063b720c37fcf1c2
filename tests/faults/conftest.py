"""A database server that tests may stop, freeze and kill while the real commands use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection

from hosts.models import DockerHost
from jobs.models import ContainerTemplate
from tests.supervisor.conftest import engine, host, template
from tests.support.postgres import PostgresServer


@pytest.fixture(scope="package")
def own_server() -> Iterator[PostgresServer]:
    """A server for all tests of the package; each test gets a database of its own on it."""
    with PostgresServer() as server:
        yield server


@pytest.fixture
def server(own_server: PostgresServer, transactional_db: None) -> Iterator[PostgresServer]:
    """That server, with Django's connection led to a new database of it until the test ends."""
    before = dict(connection.settings_dict)
    connection.close()
    try:
        _lead_django_to(own_server)
        yield own_server
    finally:
        own_server.resume()
        connection.close()
        connection.settings_dict.update(before)


def _lead_django_to(server: PostgresServer) -> None:
    connection.settings_dict.update({"HOST": str(server.directory), "NAME": "template_outages"})
    with psycopg.connect(server.url(), autocommit=True) as admin:
        names = {name for (name,) in admin.execute("SELECT datname FROM pg_database")}
        if "template_outages" not in names:
            admin.execute("CREATE DATABASE template_outages")
            call_command("migrate", verbosity=0)
            connection.close()
        admin.execute("DROP DATABASE IF EXISTS outages WITH (FORCE)")
        admin.execute("CREATE DATABASE outages TEMPLATE template_outages")
    connection.settings_dict["NAME"] = "outages"


@pytest.fixture
def own_url(server: PostgresServer) -> str:
    """The DATABASE_URL of the server's database."""
    return server.url("outages")


@pytest.fixture
def marks(tmp_path: Path) -> Path:
    """A directory in which jobs leave what tells that they ran."""
    directory = tmp_path / "marks"
    directory.mkdir(mode=0o777)
    return directory


def make_process_host(tmp_path: Path, **fields: Any) -> DockerHost:
    """A host that runs jobs as plain processes of this machine."""
    config = {"root": str(tmp_path / "jobs")}
    return DockerHost.objects.create(name="here", executor_type="process", executor_config=config, **fields)


def make_template() -> ContainerTemplate:
    """For short shell scripts."""
    return ContainerTemplate.objects.create(
        name="t", docker_image="none", command="true", timeout_seconds=300, stop_grace_seconds=1
    )


__all__ = ["engine", "host", "template"]
