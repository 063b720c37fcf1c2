"""The `.env` of a development checkout, so that a fresh clone runs without a single setting."""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from cryptography.fernet import Fernet

# One of these in the environment means that somebody configures this process from outside.
TELLING_VARIABLES = (
    "DATABASE_URL",
    "DATABASE_URL_FILE",
    "DEBUG",
    "DJANGO_SETTINGS_MODULE",
    "SECRET_KEY",
    "SECRET_KEY_FILE",
    "TALLYMAN_ENV_FILE",
)

CONTENT = """\
# Written for development by manage.py or make; .env.example lists every setting.
DEBUG=true
SECRET_KEY={secret_key}
TALLYMAN_SECRET_KEYS={fernet_key}
"""


def ensure(root: Path) -> bool:
    """Write `.env` in `root`, readable by its owner only; False if there is one, which stays as it is."""
    content = CONTENT.format(secret_key=secrets.token_urlsafe(50), fernet_key=Fernet.generate_key().decode())
    try:
        descriptor = os.open(root / ".env", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    return True


def wanted(root: Path, environ: Mapping[str, str]) -> bool:
    """Whether this is a checkout in which nothing at all was configured yet.

    A deployment has no `.git`: there a missing setting is an error, never a reason to make up keys.
    """
    if any(name in environ for name in TELLING_VARIABLES):
        return False
    return (root / ".git").exists() and not (root / ".env").exists()


def announce() -> None:
    """Say on stderr that the file was written."""
    sys.stderr.write("Wrote .env with development settings (DEBUG, fresh keys); .env.example lists all.\n")
