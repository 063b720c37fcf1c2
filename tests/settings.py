"""The project's settings for tests: a fixed environment, untouched by `.env` and the developer's shell.

Commands that a test starts inherit this environment; they only need the test database's URL besides
(the fixture `database_url`).
"""

from __future__ import annotations

import os

from tests.support import databases

ENVIRONMENT = {
    "DATABASE_URL": databases.server_url(),
    "DEBUG": "true",
    "SECRET_KEY": "a key for tests only, which signs nothing of any worth to anybody",
    "TALLYMAN_ENV_FILE": "",
    # So that its tables are there.
    "TALLYMAN_TWO_FACTOR": "optional",
    "TALLYMAN_SECRET_KEYS": "dGVzdHMgb25seSwgdGhpcnR5LXR3byBieXRlcyAhISE=",
}
READ_BY_SETTINGS = {
    "ALLOWED_HOSTS",
    "CSRF_TRUSTED_ORIGINS",
    "REDIS_URL",
    "SECRET_KEY_FALLBACKS",
    "TRUST_PROXY_SSL_HEADER",
}
PREFIXES = ("LOG_", "SECURE_", "TALLYMAN_")


def _hides_a_default(name: str) -> bool:
    if name.startswith(("TALLYMAN_TEST_", "TALLYMAN_CHAOS_", "TALLYMAN_SOAK_")):
        return False
    return name.startswith(PREFIXES) or name.removesuffix("_FILE") in ENVIRONMENT.keys() | READ_BY_SETTINGS


for _name in filter(_hides_a_default, list(os.environ)):
    del os.environ[_name]
# The settings module is for commands started from here: this one would hide the database they are given.
os.environ.update(ENVIRONMENT, DJANGO_SETTINGS_MODULE="config.settings")

from config.settings import *  # noqa: E402, F403

# One test logs in many times, wrongly too; what comes of that has tests of its own.
AXES_ENABLED = False
# Logging in is part of many tests; a hash that is slow on purpose has no place there.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
