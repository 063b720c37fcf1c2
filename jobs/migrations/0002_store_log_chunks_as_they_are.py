"""Log chunks are compressed already: PostgreSQL shall not try again, which halves the speed of writing them."""

from __future__ import annotations

from typing import Any

from django.db import migrations


def _store(storage: str) -> Any:
    def alter(_apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(f"ALTER TABLE jobs_logchunk ALTER COLUMN data SET STORAGE {storage}")

    return alter


class Migration(migrations.Migration):
    dependencies = [("jobs", "0001_initial")]

    operations = [migrations.RunPython(_store("EXTERNAL"), _store("EXTENDED"))]
