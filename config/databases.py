"""`DATABASE_URL` as Django's database settings: SQLite (one machine) or PostgreSQL (everything beyond)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured

FORMS = {
    "sqlite": "sqlite:///path/to/file",
    "postgres": "postgres://user:password@host:port/name",
    "postgresql": "postgresql://user:password@host:port/name",
}

SQLITE_OPTIONS = {
    # A transaction that may write takes its lock at the start and waits its turn; a read lock that turns
    # into a write lock half-way would fail at once instead.
    "transaction_mode": "IMMEDIATE",
    "timeout": 20,  # seconds to wait for another writer
    "init_command": "PRAGMA journal_mode=WAL;PRAGMA synchronous=NORMAL;PRAGMA journal_size_limit=67108864;",
}

POSTGRES_OPTIONS = {
    "connect_timeout": 10,
    # A peer that vanished without a word is noticed after a minute, not after two hours.
    "keepalives": 1,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    # The same for one to whom something was sent: keepalives wait for nothing to be under way.
    "tcp_user_timeout": 60_000,
}


def from_url(url: str, *, base_dir: Path) -> dict[str, Any]:
    """Django's settings for the URL; a relative SQLite path starts at `base_dir`."""
    scheme = url.partition(":")[0]
    if scheme not in FORMS:
        raise ImproperlyConfigured(f"DATABASE_URL must be of the form {' or '.join(FORMS.values())}.")
    try:
        parsed: dict[str, Any] = environ.Env.db_url_config(url)
    except ValueError:
        # The cause is left out: it quotes the URL, which may hold a password.
        raise ImproperlyConfigured(f"DATABASE_URL is not of the form {FORMS[scheme]}.") from None
    return _sqlite(parsed, base_dir) if scheme == "sqlite" else _postgres(parsed, url)


def _sqlite(parsed: dict[str, Any], base_dir: Path) -> dict[str, Any]:
    name = parsed["NAME"]
    if name != ":memory:":
        path = base_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        name = str(path)
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": name,
        "OPTIONS": {**SQLITE_OPTIONS, **parsed.get("OPTIONS", {})},
    }


def _postgres(parsed: dict[str, Any], url: str) -> dict[str, Any]:
    options = dict(parsed.pop("OPTIONS", {}))
    # libpq's two ways to name a socket directory: ?host=/dir, and the host itself percent-encoded
    # (which urlsplit().hostname would turn into lower case).
    encoded = unquote(urlsplit(url).netloc.rpartition("@")[2])
    host = options.pop("host", "") or (encoded if encoded.startswith("/") else parsed["HOST"])
    return {
        **parsed,
        "ENGINE": "django.db.backends.postgresql",
        "HOST": host,
        "PORT": options.pop("port", "") or parsed["PORT"],
        # Under ASGI every request has a thread of its own, so a kept connection would never be used again.
        "CONN_MAX_AGE": 0,
        "OPTIONS": {**POSTGRES_OPTIONS, **options},
    }
