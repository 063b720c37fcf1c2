"""Jobs found page by page, at a cost that does not grow with the table.

Every look walks along an index that holds the jobs in the order of the list: of one status, of one template,
or of all. What no index knows is decided job by job on the way; so that a rare thing does not make it walk
through a million of them, it goes through `WINDOW` jobs at most, and says how far it came. Whoever asks may
go on from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import BooleanField, Case, Q, QuerySet, Value, When

from admin_ui.pages.jobs.keyset import Key, Stands, along
from admin_ui.pages.jobs.wanted import Wanted
from jobs.models import Attempt, ContainerJob

PAGE = 50
WINDOW = 10_000
_FEW = 1000
NEW_COUNTED = 100
MOST_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, newest first, and from where the pages beside it begin; None where there is none.

    `looked_back_to` is set if more jobs may be wanted than were looked at: `older` goes on from there.
    """

    jobs: list[ContainerJob]
    newer: Key | None
    older: Key | None
    looked_back_to: Key | None = None


@dataclass(frozen=True, slots=True)
class _Window:
    jobs: QuerySet[ContainerJob]
    edge: Key | None


class Search:
    """Answers about the wanted jobs. `jobs` is the queryset that rows are read with."""

    def __init__(self, wanted: Wanted, jobs: QuerySet[ContainerJob] | None = None) -> None:
        self._wanted = wanted
        self._jobs = ContainerJob.objects.all() if jobs is None else jobs

    def first(self, top: Key | None = None) -> Page:
        """The newest jobs; with `top`, those that are not newer than that."""
        return self._older(Stands("<=", top) if top else None, newer=None)

    def after(self, key: Key) -> Page:
        """The jobs that are older than a place."""
        return self._older(Stands("<", key), newer=key)

    def before(self, key: Key) -> Page:
        """The jobs just newer than a place; the first page if they would not fill one."""
        window = self._window(Stands(">", key), newest_first=False)
        jobs = list(window.jobs[: PAGE + 1])
        if len(jobs) < PAGE and window.edge is None:
            return self.first()
        more = len(jobs) > PAGE
        jobs = list(reversed(jobs[:PAGE]))
        newer = Key.of(jobs[0]) if more else window.edge
        return Page(jobs, newer, Key.of(jobs[-1]) if jobs else key)

    def newer(self, top: Key) -> int:
        """How many wanted jobs are newer than that, as far as `NEW_COUNTED`."""
        window = self._window(Stands(">", top), newest_first=False)
        return len(window.jobs.values_list("pk")[:NEW_COUNTED])

    def ids(self, limit: int, top: Key | None = None) -> list[UUID]:
        """The newest that are wanted, up to a limit; this one looks as far as it takes."""
        found: list[UUID] = []
        for jobs in self._batches(limit, Stands("<=", top) if top else None):
            found += [job.pk for job in jobs]
            if len(found) >= limit:
                break
        return found[:limit]

    def batches(self, size: int) -> Iterator[list[ContainerJob]]:
        """All that are wanted, newest first; each job once, whatever happens meanwhile."""
        return self._batches(size, None)

    def _batches(self, size: int, start: Stands | None) -> Iterator[list[ContainerJob]]:
        while True:
            window = self._window(start, newest_first=True)
            jobs = list(window.jobs[:size])
            if jobs:
                yield jobs
            following = Key.of(jobs[-1]) if len(jobs) == size else window.edge
            if following is None:
                return
            start = Stands("<", following)

    def _older(self, start: Stands | None, newer: Key | None) -> Page:
        window = self._window(start, newest_first=True)
        jobs = list(window.jobs[: PAGE + 1])
        if len(jobs) > PAGE:
            jobs = jobs[:PAGE]
            return Page(jobs, newer and Key.of(jobs[0]), Key.of(jobs[-1]))
        return Page(jobs, newer and (Key.of(jobs[0]) if jobs else newer), window.edge, window.edge)

    # ── one window ────────────────────────────────────────────────────────────────────────────────────────

    def _window(self, start: Stands | None, *, newest_first: bool) -> _Window:
        wanted = self._wanted
        jobs = wanted.prepared(self._jobs).filter(wanted.range())
        if start:
            jobs = jobs.filter(start)
        indexed = wanted.indexed()
        if (few := self._few()) is not None:
            found = along(jobs.filter(few), "", None, newest_first=newest_first)
            return _Window(found.filter(*_plain([Q(**indexed), *wanted.others()])), None)
        ways = {name: along(jobs, name, value, newest_first=newest_first) for name, value in indexed.items()}
        ways = ways or {"": along(jobs, "", None, newest_first=newest_first)}
        if not wanted.others() and len(ways) == 1:
            return _Window(next(iter(ways.values())), None)
        return self._narrowest(ways, newest_first=newest_first)

    def _narrowest(self, ways: dict[str, QuerySet[ContainerJob]], *, newest_first: bool) -> _Window:
        """A window along the index that comes furthest with as many jobs."""
        best, edge = "", None
        for place, (name, jobs) in enumerate(ways.items()):
            one = _edge(jobs)
            if place == 0 or one is None or (edge and _further(one, edge, newest_first)):
                best, edge = name, one
            if one is None:
                break
        found = ways[best]
        if edge:
            found = found.filter(Stands(">=" if newest_first else "<=", edge))
        rest = [Q(**{name: value}) for name, value in self._wanted.indexed().items() if name != best]
        return _Window(found.filter(*_plain([*rest, *self._wanted.others()])), edge)

    def _few(self) -> Q | None:
        """The jobs by their keys, if a condition leaves only few of all there are; else None."""
        wanted = self._wanted
        if wanted.job_id:
            return Q(pk=wanted.job_id)
        if not wanted.host_id:
            return None
        attempts = Attempt.objects.filter(host_id=wanted.host_id).order_by()
        # Each is found by an index of its own.
        ways: list[QuerySet[Any]] = [
            attempts.open().values_list("job_id", flat=True),
            attempts.filter(ended_at__isnull=False).values_list("job_id", flat=True),
            ContainerJob.objects.filter(docker_host_id=wanted.host_id)
            .order_by()
            .values_list("pk", flat=True),
        ]
        ids = set[UUID]()
        for way in ways:
            found = list(way[:_FEW])
            ids.update(found)
            if len(found) == _FEW or len(ids) >= _FEW:
                return None
        return Q(pk__in=ids)


def _edge(jobs: QuerySet[ContainerJob]) -> Key | None:
    """The last job of a window that begins with these; None if it holds all of them.

    So many entries of an index are skipped here, never more: this is no page of a list.
    """
    row = jobs.values_list("created_at", "id")[WINDOW : WINDOW + 1]
    return next((Key(*one) for one in row), None)


def _further(one: Key, other: Key, newest_first: bool) -> bool:
    mine, theirs = (one.created_at, one.id), (other.created_at, other.id)
    return mine < theirs if newest_first else mine > theirs


def _plain(conditions: list[Q]) -> list[Case]:
    """Conditions that no planner takes for a reason to walk along another index, past the window."""
    if not any(conditions):
        return []
    together = Q(*(condition for condition in conditions if condition))
    return [Case(When(together, then=Value(True)), default=Value(False), output_field=BooleanField())]
