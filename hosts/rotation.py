"""Which key each stored secret was made with, and encrypting anew what was made with an older one.

Every encrypted column of every model is found by its field's class, so none can be forgotten. Rows are read
by their key, in batches; each write is guarded by the text that was read, so a secret that somebody sets
meanwhile stands. What is under the first key already is left alone: a rotation that was cut off is simply
started again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.apps import apps
from django.db import models, transaction
from django.db.models.functions import Cast

from hosts import fields
from hosts.fields import EncryptedTextField

MOST_NAMED = 20
BATCH = 500


@dataclass(frozen=True, slots=True)
class Column:
    """One encrypted column."""

    model: type[models.Model]
    name: str

    def __str__(self) -> str:
        return f"{self.model._meta.label}.{self.name}"


@dataclass(slots=True)
class Survey:
    """What one column holds: rows by the position of their key (None: no key fits), and which rows those are
    that are not under the first one, a few for each position."""

    column: Column
    counts: Counter[int | None] = field(default_factory=Counter)
    rows: dict[int | None, list[str]] = field(default_factory=dict)

    @property
    def old(self) -> int:
        """How many rows are to be encrypted anew."""
        return sum(count for position, count in self.counts.items() if position)

    @property
    def unreadable(self) -> int:
        """How many rows no key decrypts."""
        return self.counts[None]

    def note(self, position: int | None, pk: Any, most: int) -> None:
        """Count a row, and name it if it is one of the first."""
        self.counts[position] += 1
        named = self.rows.setdefault(position, [])
        if position != 0 and len(named) < most:
            named.append(str(pk))


@dataclass(slots=True)
class Rotated:
    """What was done to one column."""

    column: Column
    renewed: int = 0
    current: int = 0
    changed_meanwhile: int = 0
    unreadable: list[str] = field(default_factory=list)


def columns() -> list[Column]:
    """Every encrypted column there is."""
    found = [
        Column(model, one.name)
        for model in apps.get_models()
        for one in model._meta.local_concrete_fields
        if isinstance(one, EncryptedTextField) and not model._meta.proxy
    ]
    return sorted(found, key=str)


def survey(column: Column, *, most_named: int = MOST_NAMED) -> Survey:
    """Which key each row of the column was made with; ConfigurationError without a usable key."""
    fields.key_count()
    found = Survey(column)
    for batch in _batches(column, BATCH):
        for pk, stored in batch:
            found.note(fields.key_position(stored), pk, most_named)
    return found


def rotate(column: Column, *, batch: int = BATCH, tell: Callable[[Rotated], None]) -> Rotated:
    """Encrypt with the first key what was made with another one; `tell` gets the sums after each batch.

    A batch is one transaction. Rows that no key decrypts are left as they are, and named.
    """
    fields.key_count()
    done = Rotated(column)
    for rows in _batches(column, batch):
        with transaction.atomic():
            for pk, stored in rows:
                _renew(done, pk, stored)
        tell(done)
    return done


def _renew(done: Rotated, pk: Any, stored: str) -> None:
    position = fields.key_position(stored)
    if position is None:
        done.unreadable.append(str(pk))
    elif position == 0:
        done.current += 1
    else:
        new = models.Value(fields.encrypt(fields.decrypt(stored)), output_field=models.TextField())
        same = _raw(done.column).filter(pk=pk, stored=stored)
        if same.update(**{done.column.name: new}):
            done.renewed += 1
        else:
            done.changed_meanwhile += 1


def _batches(column: Column, size: int) -> Iterator[list[tuple[Any, str]]]:
    rows = _raw(column).exclude(stored="").order_by("pk").values_list("pk", "stored")
    found = list(rows[:size])
    while found:
        yield found
        found = list(rows.filter(pk__gt=found[-1][0])[:size])


def _raw(column: Column) -> Any:
    """The column's rows, with `stored`: what stands in the database, not what it means."""
    stored = Cast(column.name, output_field=models.TextField())
    return column.model._base_manager.annotate(stored=stored)
