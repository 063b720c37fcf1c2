"""What may keep this installation from working, looked for from here: one finding after the other.

Each says what is wrong, and what to do. Unlike the web process, a person's command may ask the engines.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
from django.conf import settings
from django.core import checks
from django.db import DatabaseError, InterfaceError, connection
from django.db.models.functions import Now

from hosts import installation, rotation
from hosts.errors import ConfigurationError, EngineError
from hosts.executors.contract import EngineFacts
from hosts.executors.registry import check_engine
from hosts.models import DockerHost, Installation
from jobs import log_cap
from supervisor import database, processes

OK, WARNING, FAILURE = "ok", "warning", "failure"
_ENGINE_TIMEOUT_SECONDS = 5.0
_MOST_SKEW = timedelta(seconds=2)
_OTHER_SESSIONS = 10  # of web processes, clerks and people
_LEAST_FREE = 0.10
_LITTLE_FREE = 0.02


@dataclass(frozen=True, slots=True)
class Finding:
    """`level` is ok, warning or failure; `hint` says what to do, and is empty when nothing is."""

    about: str
    level: str
    message: str
    hint: str = ""


def examine() -> Iterator[Finding]:
    """Look at everything, cheapest first; what needs the database is left out once it does not answer."""
    yield from _settings()
    yield from _folders()
    trouble = database.trouble_with_database()
    if trouble:
        hint = "Run `manage.py migrate`." if "migrat" in trouble else "Check DATABASE_URL and the server."
        yield Finding("database", FAILURE, f"It cannot be worked with: {trouble}.", hint)
        return
    for look in (_database, _installation, _secrets, _database_clock, _supervisor, _hosts):
        yield from _guarded(look)


def _guarded(look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except (DatabaseError, InterfaceError) as exc:
        yield Finding("database", FAILURE, f"It went away: {' '.join(str(exc).split())}.", "Run this again.")


def _settings() -> Iterator[Finding]:
    said = checks.run_checks(include_deployment_checks=not settings.DEBUG)
    found = [one for one in said if not one.is_silenced()]
    for one in found:
        level = FAILURE if one.is_serious() else WARNING
        yield Finding("settings", level, f"{one.msg} ({one.id})", one.hint or "")
    if not found:
        yield Finding("settings", OK, "No complaint.")
    if settings.DEBUG:
        hint = "Set DEBUG=false where anybody else can reach this."
        yield Finding("settings", WARNING, "DEBUG is on: errors show the source and settings.", hint)


def _folders() -> Iterator[Finding]:
    for folder in {settings.TALLYMAN_RUN_DIR, *_sqlite_folder()}:
        yield from _folder(folder)


def _sqlite_folder() -> Iterator[Path]:
    if connection.vendor == "sqlite" and not connection.is_in_memory_db():  # type: ignore[attr-defined]
        yield Path(str(connection.settings_dict["NAME"])).parent


def _folder(folder: Path) -> Iterator[Finding]:
    here = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not os.access(here, os.W_OK | os.X_OK):
        hint = f"Give the user {os.geteuid()} the right to write there."
        yield Finding("permissions", FAILURE, f"{here} cannot be written to.", hint)
    disk = psutil.disk_usage(str(here))
    yield _disk(f"{folder} is on", disk.free, disk.total)


def _disk(where: str, free: int, total: int) -> Finding:
    part = free / total if total else 1.0
    level = OK if part >= _LEAST_FREE else WARNING if part >= _LITTLE_FREE else FAILURE
    hint = "" if level == OK else "Free some: logs, images and containers that nobody needs."
    return Finding("disk", level, f"Of the disk that {where} {part:.0%} is free.", hint)


def _database() -> Iterator[Finding]:
    is_sqlite = connection.vendor == "sqlite"
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode" if is_sqlite else "SHOW max_connections")
        (told,) = cursor.fetchone()
    yield Finding("database", OK, f"{connection.display_name} answers, and has every migration.")
    wanted = DockerHost.objects.active().count() + _OTHER_SESSIONS
    if is_sqlite and told not in {"wal", "memory"}:
        hint = "Put it on a local disk: a network share cannot do WAL."
        yield Finding("database", WARNING, f"Its journal is {told!r}, so readers and writers wait.", hint)
    elif not is_sqlite and wanted > int(told):
        hint = f"Set max_connections to {wanted * 2} or more."
        yield Finding("database", WARNING, f"It allows {told} sessions, and each host needs one.", hint)


def _installation() -> Iterator[Finding]:
    try:
        yield Finding("installation", OK, f"It is {installation.current().id}.")
    except ConfigurationError as exc:
        hint = "Say what became of the database: doctor --adopt-installation, or --new-installation."
        yield Finding("installation", FAILURE, str(exc), hint)


def _secrets() -> Iterator[Finding]:
    """Whether our keys decrypt what is stored, and how much of it waits for a rotation."""
    try:
        found = [rotation.survey(column, most_named=3) for column in rotation.columns()]
    except ConfigurationError as exc:
        yield Finding("secrets", FAILURE, str(exc), "Set TALLYMAN_SECRET_KEYS, or TALLYMAN_SECRET_KEYS_FILE.")
        return
    for one in found:
        if one.unreadable:
            message = f"{one.unreadable} of {one.column} are decrypted by no key: {', '.join(one.rows[None])}"
            hint = "Put the key that they were made with into TALLYMAN_SECRET_KEYS, or set them again."
            yield Finding("secrets", FAILURE, f"{message}.", hint)
    if old := sum(one.old for one in found):
        yield Finding("secrets", WARNING, f"{old} are under older keys.", "Run `manage.py rotate_secrets`.")
    elif not any(one.unreadable for one in found):
        total = sum(one.counts.total() for one in found)
        yield Finding("secrets", OK, f"{total} are stored, all under the first key.")


def _database_clock() -> Iterator[Finding]:
    Installation.objects.first()  # so that the connection's start is not taken for a difference
    sent = datetime.now(UTC)
    told = Installation.objects.values_list(Now(), flat=True).first()
    came = datetime.now(UTC)
    if told is not None:
        yield _clock("the database", told, sent, came)


def _clock(whose: str, told: datetime, sent: datetime, came: datetime) -> Finding:
    """A clock, asked between two looks at our own."""
    skew = max(sent - told, told - came, timedelta())
    text = f"The clock of {whose} and this machine's differ by {skew.total_seconds():.1f} s"
    if skew <= _MOST_SKEW:
        return Finding("clocks", OK, f"{text}.")
    return Finding("clocks", WARNING, f"{text}: times shown will be off.", "Let both be set by NTP.")


def _supervisor() -> Iterator[Finding]:
    if processes.is_supervised():
        yield Finding("supervisor", OK, "One is running.")
    else:
        yield Finding("supervisor", WARNING, "None is running: no job starts.", "Run `manage.py supervise`.")


def _hosts() -> Iterator[Finding]:
    # Their secrets are read where those that cannot be are told of.
    hosts = list(DockerHost.objects.active().defer("secret_config").order_by("name"))
    if not hosts:
        yield Finding("hosts", WARNING, "No host is active.", "Run `manage_docker_host add NAME --url URL`.")
    for host in hosts:
        yield from _host(host)


def _host(host: DockerHost) -> Iterator[Finding]:
    about = f"host {host.name}"
    sent = datetime.now(UTC)
    try:
        facts = check_engine(host.view(installation.current().id), _ENGINE_TIMEOUT_SECONDS)
    except ConfigurationError as exc:
        yield Finding(about, FAILURE, str(exc), f"Edit the host {host.name}.")
        return
    except EngineError as exc:
        reason = str(exc).removeprefix(f"{host.name}: ")
        hint = exc.hint or "Is the engine running, and may this user reach it from this machine?"
        yield Finding(about, FAILURE, f"It does not answer: {reason}", hint)
        return
    yield from _told(host, facts, sent)


def _told(host: DockerHost, facts: EngineFacts, sent: datetime) -> Iterator[Finding]:
    about = f"host {host.name}"
    if host.engine_id and facts.engine_id != host.engine_id:
        message = f"Another engine answers ({facts.engine_id}) than was seen there ({host.engine_id})."
        yield Finding(about, FAILURE, message, "Point the host back, or add this engine as another host.")
    else:
        yield Finding(about, OK, f"It answers: version {facts.version}, {facts.cpus} CPUs.")
    if facts.clock_at:
        clock = _clock(f"{host.name}", facts.clock_at, sent, datetime.now(UTC))
        if clock.level != OK:
            yield dataclasses.replace(clock, about=about)
    if facts.disk_free_bytes is not None and facts.disk_total_bytes:
        yield dataclasses.replace(
            _disk(f"{host.name} uses", facts.disk_free_bytes, facts.disk_total_bytes), about=about
        )
    if warning := log_cap.warning_for(host):
        yield Finding(about, WARNING, warning)
