"""manage.py and the settings, each case in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
KEY = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

PRODUCTION = {
    "ALLOWED_HOSTS": "tallyman.example",
    "DATABASE_URL": "sqlite://:memory:",
    "SECRET_KEY": KEY,
    "TALLYMAN_ENV_FILE": "",
    "TALLYMAN_SECRET_KEYS": "dGVzdHMgb25seSwgdGhpcnR5LXR3byBieXRlcyAhISE=",
}

SHOW = """
import json, sys
from django.conf import settings
print(json.dumps({name: getattr(settings, name) for name in sys.argv[1:]}, default=str))
"""


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the project with this environment only."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def settings(*names: str, **environment: str) -> dict[str, Any]:
    """The named settings as a process with this environment has them."""
    ran = python("-c", SHOW, *names, DJANGO_SETTINGS_MODULE="config.settings", **environment)
    assert ran.returncode == 0, ran.stderr
    shown: dict[str, Any] = json.loads(ran.stdout)
    return shown


@pytest.mark.parametrize("given", [{}, {"SECRET_KEY": ""}])
def test_without_a_secret_key_there_is_one_line_and_exit_code_2(given):
    ran = python("manage.py", "migrate", TALLYMAN_ENV_FILE="", **given)
    assert ran.returncode == 2
    assert ran.stdout == ""
    [line] = ran.stderr.splitlines()
    assert line.startswith("manage.py: SECRET_KEY is not set. Put a long random string into the environment")


def test_a_web_process_without_a_secret_key_says_the_same():
    ran = python("-m", "gunicorn", "config.asgi:application", "-c", "gunicorn.conf.py", TALLYMAN_ENV_FILE="")
    assert ran.returncode == 2
    assert ran.stderr.startswith("gunicorn.conf.py: SECRET_KEY is not set.")


def test_the_environment_wins_over_the_env_file(tmp_path):
    file = tmp_path / "development"
    file.write_text(f"SECRET_KEY={KEY}\nTALLYMAN_APP_IMAGE=file\nREDIS_URL=redis://file\n")
    shown = settings(
        "REDIS_URL", "TALLYMAN_APP_IMAGE", TALLYMAN_ENV_FILE=str(file), TALLYMAN_APP_IMAGE="outside"
    )
    assert shown == {"REDIS_URL": "redis://file", "TALLYMAN_APP_IMAGE": "outside"}


def test_debug_opens_what_production_keeps_shut():
    names = (
        "ALLOWED_HOSTS",
        "SECURE_SSL_REDIRECT",
        "SESSION_COOKIE_SECURE",
        "TALLYMAN_ALLOW_PROCESS_EXECUTOR",
    )
    hosts = ["localhost", "127.0.0.1", "[::1]"]
    development = settings(*names, **{**PRODUCTION, "ALLOWED_HOSTS": "", "DEBUG": "true"})
    assert list(development.values()) == [hosts, False, False, True]
    assert list(settings(*names, **PRODUCTION).values()) == [["tallyman.example"], True, True, False]


def test_redis_carries_the_channel_layer_if_there_is_one():
    def backend(**extra: str) -> object:
        return settings("CHANNEL_LAYERS", **PRODUCTION, **extra)["CHANNEL_LAYERS"]["default"]["BACKEND"]

    assert backend() == "channels.layers.InMemoryChannelLayer"
    assert backend(REDIS_URL="redis://cache") == "channels_redis.pubsub.RedisPubSubChannelLayer"


def test_production_settings_pass_the_deployment_check():
    ran = python(
        "manage.py", "check", "--deploy", "--fail-level", "WARNING", "--tag", "security", **PRODUCTION
    )
    assert ran.returncode == 0, ran.stderr
