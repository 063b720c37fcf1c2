"""What a worker's connection is made with: statements planned once, in a way that does when tables grow."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.db import connection

from jobs import moves
from supervisor import database
from tests.jobs.attempts import claim, end_row, row, take
from tests.support.factories import make_host, make_job

pytestmark = [pytest.mark.postgres_only, pytest.mark.django_db(transaction=True)]

_WHOLE_TABLES = ("Seq Scan on jobs_", "Hash Join", "Merge Join")


@pytest.fixture
def own_options() -> Iterator[None]:
    """The connection as a worker makes it."""
    before = connection.settings_dict["OPTIONS"], connection.settings_dict["CONN_MAX_AGE"]
    database.use_own_options(plans_by_index=True)
    yield
    connection.settings_dict["OPTIONS"], connection.settings_dict["CONN_MAX_AGE"] = before
    connection.close()


def life_of_an_attempt() -> None:
    """Every write from the claim to the end."""
    host = make_host()
    lease = take(host)
    make_job(host=host)
    (attempt,) = claim(lease, host, 1)
    for move in (moves.to_pulling, moves.fence, moves.to_running, moves.describe, moves.to_exited):
        assert move([row(attempt)]) == {attempt.id}
    assert moves.end([end_row(attempt)]) == {attempt.id}


def plans() -> dict[str, str]:
    """The statements that PostgreSQL keeps for the connection, with the plan that it has for each."""
    with connection.cursor() as cursor:
        cursor.execute("SET plan_cache_mode = force_generic_plan")
        cursor.execute("SELECT name, statement, array_length(parameter_types, 1) FROM pg_prepared_statements")
        kept = cursor.fetchall()
        found = {}
        for name, statement, count in kept:
            values = ", ".join(["NULL"] * (count or 0))
            cursor.execute(f"EXPLAIN EXECUTE {name}{f'({values})' if values else ''}")
            found[statement] = "\n".join(line for (line,) in cursor.fetchall())
    return found


def test_a_workers_writes_are_planned_once(own_options: None) -> None:
    life_of_an_attempt()
    moved = [statement for statement in plans() if "UPDATE jobs_attempt" in statement]
    assert len(moved) >= len((moves.to_pulling, moves.fence, moves.to_running, moves.to_exited, moves.end))


def forget_sizes() -> None:
    """As in a new database: an ANALYZE of another test's rows outlives them."""
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE hosts_dockerhost, jobs_containertemplate, jobs_containerjob CASCADE")


def test_what_is_planned_while_tables_are_empty_does_when_they_are_large(own_options: None) -> None:
    forget_sizes()
    life_of_an_attempt()
    long_ways = [
        f"{way} in {statement}:\n{plan}"
        for statement, plan in plans().items()
        for way in _WHOLE_TABLES
        if way in plan
    ]
    assert long_ways == []


def test_a_workers_writes_find_their_attempts_by_key(own_options: None) -> None:
    life_of_an_attempt()
    for statement, plan in plans().items():
        if "UPDATE jobs_attempt AS a" in statement:
            assert re.search(r"jobs_attempt_pkey.*\n +Index Cond: \(id = ANY", plan), f"{statement}\n{plan}"
            assert "attempt_open_on_host" not in plan, f"{statement}\n{plan}"
