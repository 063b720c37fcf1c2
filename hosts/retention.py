"""Deleting the oldest rows of tables that only ever grow, a batch at a time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import models
from django.db.models.functions import Now

from hosts.models import HostRequest, HostSample

MAX_ROWS = 1000


def drop_oldest(model: type[models.Model], moment: str, *, days: float) -> int:
    """Delete up to MAX_ROWS rows whose `moment` is longer ago than that; how many. 0: nothing is due."""
    due = oldest(model, moment, days=days)
    if due:
        model._default_manager.filter(pk__in=due).delete()
    return len(due)


def oldest(model: type[models.Model], moment: str, *, days: float) -> list[Any]:
    """The keys of up to MAX_ROWS rows whose `moment` is longer ago than that.

    Keys grow with time, so the oldest rows come first by primary key, and no index on the moment is needed.
    """
    rows: Any = model._default_manager.order_by("pk").annotate(
        is_old=models.Q((f"{moment}__lt", Now() - timedelta(days=days)))
    )
    return [key for key, is_old in rows.values_list("pk", "is_old")[:MAX_ROWS] if is_old]


def oldest_kept(model: type[models.Model], count: int) -> Any:
    """The key of the oldest of the newest `count` rows; None if there are fewer."""
    keys = model._default_manager.order_by("-pk").values_list("pk", flat=True)
    return keys[count - 1 : count].first()


def drop_before(model: type[models.Model], key: Any) -> int:
    """Delete up to MAX_ROWS rows that are older than the one of that key, oldest first; how many."""
    rows = model._default_manager.filter(pk__lt=key).order_by("pk")
    due = list(rows.values_list("pk", flat=True)[:MAX_ROWS])
    if due:
        model._default_manager.filter(pk__in=due).delete()
    return len(due)


def drop_samples(days: float) -> int:
    """Delete a batch of old readings of hosts; how many."""
    return drop_oldest(HostSample, "at", days=days)


def drop_requests(days: float) -> int:
    """Delete a batch of old requests, answered or not; how many."""
    return drop_oldest(HostRequest, "at", days=days)
