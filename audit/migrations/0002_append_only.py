"""The database itself refuses to change or delete audit rows, but for those below a checkpoint."""

from __future__ import annotations

from typing import Any

from django.db import migrations

_SAYS = "audit rows are append-only"

# 23001 is "restrict violation", an IntegrityError to Django, as is SQLite's ABORT.
_POSTGRESQL = f"""
CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '{_SAYS}: % of %', TG_OP, TG_TABLE_NAME USING ERRCODE = '23001';
END $$;

CREATE FUNCTION audit_refuse_above_checkpoint() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM audit_auditcheckpoint WHERE seq >= OLD.seq) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '{_SAYS}: row % is above every checkpoint', OLD.seq USING ERRCODE = '23001';
END $$;

CREATE FUNCTION audit_refuse_backwards() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.seq > OLD.seq THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '{_SAYS}: the head goes forward only' USING ERRCODE = '23001';
END $$;

CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit_auditevent
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit_auditevent
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_above_checkpoint();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_auditevent
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit_auditcheckpoint
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_auditcheckpoint
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_forward BEFORE UPDATE ON audit_audithead
    FOR EACH ROW EXECUTE FUNCTION audit_refuse_backwards();
CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit_audithead
    FOR EACH ROW EXECUTE FUNCTION audit_refuse();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_audithead
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse();
"""
_POSTGRESQL_BACK = """
DROP FUNCTION IF EXISTS audit_refuse() CASCADE;
DROP FUNCTION IF EXISTS audit_refuse_above_checkpoint() CASCADE;
DROP FUNCTION IF EXISTS audit_refuse_backwards() CASCADE;
"""

_SQLITE = {
    "audit_event_no_update": f"""BEFORE UPDATE ON audit_auditevent
        BEGIN SELECT RAISE(ABORT, '{_SAYS}'); END""",
    "audit_event_no_delete": f"""BEFORE DELETE ON audit_auditevent
        WHEN NOT EXISTS (SELECT 1 FROM audit_auditcheckpoint WHERE seq >= OLD.seq)
        BEGIN SELECT RAISE(ABORT, '{_SAYS}'); END""",
    "audit_checkpoint_no_update": f"""BEFORE UPDATE ON audit_auditcheckpoint
        BEGIN SELECT RAISE(ABORT, '{_SAYS}'); END""",
    "audit_checkpoint_no_delete": f"""BEFORE DELETE ON audit_auditcheckpoint
        BEGIN SELECT RAISE(ABORT, '{_SAYS}'); END""",
    "audit_head_forward": f"""BEFORE UPDATE ON audit_audithead WHEN NEW.seq <= OLD.seq
        BEGIN SELECT RAISE(ABORT, '{_SAYS}'); END""",
    "audit_head_no_delete": f"""BEFORE DELETE ON audit_audithead
        BEGIN SELECT RAISE(ABORT, '{_SAYS}'); END""",
}


def install(_apps: Any, schema_editor: Any) -> None:
    """Make the triggers."""
    with schema_editor.connection.cursor() as cursor:
        if schema_editor.connection.vendor == "postgresql":
            cursor.execute(_POSTGRESQL)
            return
        for name, rest in _SQLITE.items():
            cursor.execute(f"CREATE TRIGGER {name} {rest}")


def remove(_apps: Any, schema_editor: Any) -> None:
    """Drop them."""
    with schema_editor.connection.cursor() as cursor:
        if schema_editor.connection.vendor == "postgresql":
            cursor.execute(_POSTGRESQL_BACK)
            return
        for name in _SQLITE:
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]

    operations = [migrations.RunPython(install, remove)]
