"""The triggers that keep audit rows, as their migration makes them."""

from __future__ import annotations

from importlib import import_module

from django.apps import apps
from django.db import connection

_MIGRATION = import_module("audit.migrations.0002_append_only")


def install() -> None:
    """Make them."""
    with connection.schema_editor() as editor:
        _MIGRATION.install(apps, editor)


def remove() -> None:
    """Drop them."""
    with connection.schema_editor() as editor:
        _MIGRATION.remove(apps, editor)
