"""A database full of jobs as they are in life: most ended long ago, some run, some wait.

60 templates and 100 hosts, and one more of each that has next to nothing: to find little among much is what
costs. A job of each 50,000 is of these two. Half of the jobs are pinned to their host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

DAYS = 90
WAITING, RUNNING = 0.003, 0.0002
TEMPLATES, HOSTS = 60, 100
RARE = 50_000
Row = Sequence[Any]

JOB = (
    *("id", "template_id", "docker_host_id", "name", "status", "limit_key", "attempt_count", "created_at"),
    *("started_at", "completed_at", "exit_code", "failure_class", "failure_message"),
)
ATTEMPT = (
    *("id", "job_id", "number", "host_id", "host_name", "epoch", "state", "outcome", "spec"),
    *("container_name", "claimed_at", "started_at", "ended_at", "container_gone_at", "logs_complete"),
)
TALLY = (
    *("minute", "host_name", "template_name", "outcome", "count", "seconds", "log_bytes"),
    *("within_1s", "within_10s", "within_1m", "within_10m", "within_1h", "beyond_1h"),
)


def fill(count: int) -> None:
    """So many jobs with their attempts, and a day's tallies; the tables are to be empty."""
    from django.db import connection

    from hosts.models import DockerHost
    from jobs.models import ContainerTemplate

    names = [*(f"host-{number}" for number in range(HOSTS)), "rare-host"]
    DockerHost.objects.bulk_create(
        DockerHost(pk=_uuid(1, place), name=name, connection_string=f"unix:///run/{name}.sock")
        for place, name in enumerate(names)
    )
    names = [*(f"template-{number}" for number in range(TEMPLATES)), "rare-template"]
    ContainerTemplate.objects.bulk_create(
        ContainerTemplate(pk=_uuid(2, place), name=name, docker_image="none")
        for place, name in enumerate(names)
    )
    moment = datetime.now(UTC)
    _load("jobs_containerjob", JOB, _jobs(count, moment))
    _load("jobs_attempt", ATTEMPT, _attempts(count, moment))
    _load("jobs_tally", TALLY, _tallies(moment))
    # SQLite has nobody who keeps statistics, and nobody is asked to.
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
    connection.close()  # with the cache that it was given to be filled


def _jobs(count: int, moment: datetime) -> Iterator[Row]:
    for number in range(count):
        created, started, ended = _times(number, count, moment)
        status = _status(number, started, ended)
        failed = status == "failed"
        code = None if ended is None else (137 if number % 5000 == 28 else 1) if failed else 0
        yield (
            _uuid(0, number),
            _uuid(2, TEMPLATES if _is_rare(number) else number % TEMPLATES),
            _host(number) if number % 2 else None,
            f"nightly report {number % 200}" if number % 3 else "",
            status,
            "db" if number % 1000 == 7 else "",
            1 if started else 0,
            *(created, started, ended, code),
            *(("exit_code", f"The program ended with exit code {code}.") if failed else ("", "")),
        )


def _attempts(count: int, moment: datetime) -> Iterator[Row]:
    for number in range(count):
        _, started, ended = _times(number, count, moment)
        if not started:
            return
        place = HOSTS if _is_rare(number) else number % HOSTS
        yield (
            *(_uuid(3, number), _uuid(0, number), 1, _host(number)),
            *("rare-host" if place == HOSTS else f"host-{place}", 1),
            *("ended" if ended else "running", "succeeded" if ended else "", "{}", f"tallyman-{number}"),
            *(started - timedelta(seconds=1), started, ended, ended, bool(ended)),
        )


def _tallies(moment: datetime) -> Iterator[Row]:
    """Every minute of a day on 20 hosts."""
    minute = moment.replace(second=0, microsecond=0)
    for number in range(24 * 60 * 20):
        at = minute - timedelta(minutes=number // 20)
        yield (at, f"host-{number % 20}", "template-0", "succeeded", 1, 1.0, 0, 1, 0, 0, 0, 0, 0)


def _times(number: int, count: int, moment: datetime) -> tuple[datetime, datetime | None, datetime | None]:
    """When a job was created, started and ended; the newest have not."""
    left = count - number
    created = moment - timedelta(days=DAYS) * (left / count)
    if left <= max(20, WAITING * count):
        return created, None, None
    started = created + timedelta(seconds=2)
    if left <= max(30, (WAITING + RUNNING) * count):
        return created, started, None
    return created, started, started + timedelta(seconds=number % 300)


def _status(number: int, started: datetime | None, ended: datetime | None) -> str:
    if not ended:
        return "running" if started else "pending"
    kinds = {"failed": number % 25 == 3, "timeout": number % 100 == 4, "cancelled": number % 100 == 6}
    return next((name for name, so in kinds.items() if so), "completed")


def _is_rare(number: int) -> bool:
    return number % RARE == 17


def _host(number: int) -> UUID:
    return _uuid(1, HOSTS if _is_rare(number) else number % HOSTS)


def _uuid(kind: int, number: int) -> UUID:
    return UUID(f"0190000000007000800{kind}{number:012x}")


# ── into the database ─────────────────────────────────────────────────────────────────────────────────────


def _load(table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    from django.db import connection, transaction

    names = ", ".join(columns)
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA cache_size = -1000000")
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return
        places = ", ".join("?" * len(columns))
        cursor.connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({places})", map(_texts, rows))


def _texts(row: Row) -> Row:
    """Values as Django writes them into SQLite."""
    return [_text(value) for value in row]


def _text(value: Any) -> Any:
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(sep=" ", timespec="microseconds")
    return value
