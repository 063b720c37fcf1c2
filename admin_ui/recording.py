"""Audit rows about what somebody adds, changes or deletes by a form or a command, and not by an operation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import models

from audit import acts, snapshots
from audit.entries import Entry

_KINDS = {"dockerhost": "host", "containertemplate": "template", "containerjob": "job"}


def kind_of(model: type[models.Model]) -> str:
    """What objects of a model are called in audit rows."""
    name = model._meta.model_name or ""
    return _KINDS.get(name, name)


@contextmanager
def added(row: models.Model) -> Iterator[None]:
    """Around what stores a new row."""
    with _act("add", row):
        yield


def made(row: models.Model) -> None:
    """A row that was stored just now, in this transaction."""
    kind, found = kind_of(type(row)), snapshots.change(None, row)
    acts.record(
        Entry(
            verb=f"{kind}.add", kind=kind, key=str(row.pk), label=str(row), after=found.after, says=found.says
        )
    )


@contextmanager
def saved(row: models.Model) -> Iterator[None]:
    """Around what stores a row, new or not."""
    with _act("add" if row._state.adding else "change", row):
        yield


@contextmanager
def deleted(row: models.Model) -> Iterator[None]:
    """Around what deletes a row."""
    kind = kind_of(type(row))
    with acts.act(f"{kind}.delete", kind=kind, key=row.pk, label=row) as entry:
        entry.before = snapshots.change(row, None).before
        yield


@contextmanager
def _act(verb: str, row: models.Model) -> Iterator[None]:
    kind = kind_of(type(row))
    with acts.act(f"{kind}.{verb}", kind=kind, key=row.pk or "", label=row) as entry:
        before = snapshots.stored(row)
        yield
        # As the database has it: a form may have saved only some of its fields.
        found = snapshots.change(before, snapshots.stored(row))
        entry.on(row.pk, row)
        entry.before, entry.after, entry.says = found.before, found.after, found.says
