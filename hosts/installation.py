"""Which installation this database is, and whether it is a copy of another one's."""

from __future__ import annotations

from django.db import connection, transaction

from audit import acts
from hosts.errors import ConfigurationError
from hosts.models import Installation


def current() -> Installation:
    """The installation's row, made at first use; ConfigurationError if the database is a copy."""
    identity = database_identity()
    row, _ = Installation.objects.get_or_create(only=True, defaults={"database_identity": identity})
    if row.database_identity != identity:
        raise ConfigurationError(
            f"This database says it is {row.database_identity}, but it stands at {identity}: it looks "
            "like a copy or a moved one. Two databases with one installation id would fight over containers. "
            "Run `manage.py doctor --new-installation` for a copy, or `--adopt-installation` if it was moved."
        )
    return row


@acts.noted("installation.adopt", kind="installation", tell="installation")
def adopt() -> Installation:
    """The database was moved: it keeps its installation, at its new place."""
    row, _ = Installation.objects.update_or_create(
        only=True, defaults={"database_identity": database_identity()}
    )
    return row


@acts.noted("installation.renew", kind="installation", tell="installation")
def renew() -> Installation:
    """The database is a copy: it becomes an installation of its own, the original's containers foreign."""
    with transaction.atomic():
        Installation.objects.all().delete()
        return Installation.objects.create(database_identity=database_identity())


def database_identity() -> str:
    """What tells this database from a copy: the PostgreSQL system and database, or the SQLite file."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT system_identifier::text, current_database() FROM pg_control_system()")
            system, name = cursor.fetchone()
        return f"postgresql {system} {name}"
    return f"sqlite {connection.settings_dict['NAME']}"
