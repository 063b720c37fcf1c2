"""What is asked all day long is answered from indexes: its cost does not grow with the jobs that ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from django.db import connection

from hosts.models import DockerHost
from jobs import backlog, batches, claims, obstacles, reasons, routing, start_deadline
from jobs.models import Attempt, ConcurrencyLimit, ContainerJob, ContainerTemplate
from jobs.states import AttemptState
from supervisor.worker import ledger
from supervisor.worker.breadcrumb import Breadcrumbs
from tests.jobs.attempts import claim, make_attempt, take
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

GROWING = ("jobs_containerjob", "jobs_attempt", "jobs_logchunk", "jobs_jobevent", "jobs_usagesample")
# Partial indexes: they hold what is open or pending, and nothing that has ended.
OF_WHAT_IS_OPEN = ("attempt_open_on_host", "job_claimable", "job_open_cancels", "attempt_one_open_a_job")
Statement = tuple[str, Any]


@contextmanager
def statements() -> Iterator[list[Statement]]:
    """Every statement that is executed inside, with its parameters."""
    seen: list[Statement] = []

    def note(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append((sql, params))
        return execute(sql, params, many, context)

    def note_prepared(sql: str, params: Any) -> Any:
        seen.append((sql, params))
        return execute(sql, params)

    execute = batches.execute  # past Django's cursors on PostgreSQL
    with connection.execute_wrapper(note), patch.object(batches, "execute", note_prepared):
        yield seen


def long_reads(statement: Statement) -> list[str]:
    """The growing tables that the statement reads from one end to the other, or for one host."""
    sql, params = statement
    if not sql.lstrip().startswith(("SELECT", "UPDATE", "WITH", "INSERT", "DELETE")):
        return []
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # small tables are scanned whatever there is
            cursor.execute("SET LOCAL enable_bitmapscan = off")
            cursor.execute(f"EXPLAIN {sql}", params)
            lines = [line for (line,) in cursor.fetchall() if " on " in line]
        else:
            cursor.execute(f"EXPLAIN QUERY PLAN {sql}", params)
            lines = [row[3] for row in cursor.fetchall()]
    return [f"{line} in {sql}" for line in lines if _is_long(line)]


def _is_long(line: str) -> bool:
    if not any(table in line for table in GROWING) or any(index in line for index in OF_WHAT_IS_OPEN):
        return False
    return "Seq Scan" in line or line.startswith("SCAN") or "host" in line.partition("INDEX")[2].lower()


@pytest.fixture
def host() -> DockerHost:
    """A host with everything on it, so that every question finds something."""
    host = make_host(state="online")
    make_host("berlin", state="online")
    template = make_template(start_deadline_seconds=60)
    for _ in range(3):
        make_job(template=template)
        make_job(template, host)
        make_attempt(AttemptState.RUNNING, job=make_job(template=template), host=host)
        make_attempt(AttemptState.ENDED, job=make_job(template=template), host=host, outcome="succeeded")
    return host


@pytest.fixture
def mixed(host: DockerHost) -> DockerHost:
    """The same, with jobs of many kinds beside, which have to be told apart."""
    ConcurrencyLimit.objects.create(key="db", max_concurrent=2)
    DockerHost.objects.update(engine_memory_bytes=2**33, labels={"gpu": "a100"})
    for number in range(4):
        template = make_template(f"kind-{number}", memory_limit=64, limit_key="db" if number else "")
        wanted = {"gpu": "a100"} if number % 2 else {}
        ContainerTemplate.objects.filter(pk=template.pk).update(required_labels=wanted)
        for pinned in (None, host):
            make_job(template, pinned)
            make_job(template, pinned, limit_key="customer", priority=number)
    return host


QUESTIONS: dict[str, Callable[[DockerHost], object]] = {
    "taking a host": take,
    "claiming": lambda host: claim(take(host), host, 2, stand_back=True),
    "claiming the oldest": lambda host: claim(take(host), host, 5, oldest_first=True),
    "looking for work": lambda host: claims.anything_claimable(host.pk),
    "standing back": lambda host: routing.better_host_exists(host, free=1),
    "finding open attempts": lambda host: ledger.open_runs(
        host.pk, take(host).epoch, known=[], now=0.0, crumb=Breadcrumbs().main
    ),
    "hosts with open attempts": lambda _host: list(Attempt.objects.open().values("host_id")),
    "saying why jobs wait": lambda _host: reasons.write(),
    "saying so while a host takes jobs": lambda _host: reasons.write(reasons.ClaimWatch()),
    "how long jobs wait": lambda _host: (
        backlog.oldest_due_at(list(obstacles.hosts())),
        backlog.oldest_claimable_at(list(obstacles.hosts())),
    ),
    "how many jobs wait for what": lambda _host: (
        backlog.depths(list(obstacles.hosts())),
        backlog.open_jobs(),
    ),
    "ending what waited too long": lambda _host: start_deadline.expire(),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_question_reads_a_whole_table(host, question):
    with statements() as seen:
        QUESTIONS[question](host)
    assert seen
    assert [read for statement in seen for read in long_reads(statement)] == []


@pytest.mark.parametrize("question", QUESTIONS)
def test_nor_does_one_where_jobs_are_of_many_kinds(mixed, question):
    with statements() as seen:
        QUESTIONS[question](mixed)
    assert [read for statement in seen for read in long_reads(statement)] == []


def test_a_host_reads_no_job_that_it_may_not_run(mixed):
    """Ten times as many of them change neither what is asked nor how many rows an index gives."""
    DockerHost.objects.update(labels={})
    elsewhere = make_template("elsewhere", required_labels={"zone": "mars"})
    lease = take(mixed)
    ContainerJob.objects.pending().update(hold="stopped")
    make_job(elsewhere)
    assert claim(lease, mixed, 5) == [], "what is read of a template once is known then"
    counts = []
    for _ in range(2):
        ContainerJob.objects.bulk_create(
            ContainerJob(template=elsewhere, priority=9) for _ in range(100 + 900 * len(counts))
        )
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")  # as autovacuum does, sooner or later
        with statements() as seen:
            assert claim(lease, mixed, 5) == []
        counts.append((len(seen), rows_read(seen)))
    assert counts[0] == counts[1]


def rows_read(seen: list[Statement]) -> int:
    """How many rows of jobs the statements touched, as PostgreSQL counts them; 0 on SQLite."""
    if connection.vendor == "sqlite":
        return 0
    total = 0
    for sql, params in seen:
        if not sql.lstrip().startswith(("SELECT", "WITH")):
            continue
        with connection.cursor() as cursor:
            for name in ("seqscan", "bitmapscan", "hashjoin", "mergejoin"):  # what small tables tempt to
                cursor.execute(f"SET LOCAL enable_{name} = off")
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
            plan = cursor.fetchone()[0]
            total += _rows_of(plan)
    return total


def _rows_of(plan: Any) -> int:
    plan = json.loads(plan) if isinstance(plan, str) else plan
    node = plan[0]["Plan"] if isinstance(plan, list) else plan
    own = 0
    if node.get("Relation Name") == "jobs_containerjob":
        removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        own = int((node["Actual Rows"] + removed) * node["Actual Loops"])
    return own + sum(_rows_of(child) for child in node.get("Plans", []))
