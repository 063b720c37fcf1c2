from __future__ import annotations

import http.client
import json
import os
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.urls import resolve, reverse

from healthcheck import probing
from healthcheck.views import overall
from supervisor.exit_codes import FAILED

_PROBES = {"live": "health-live", "ready": "health-ready", "system": "health"}


class Command(BaseCommand):
    help = (
        "Ask whether this system is healthy, as a container's HEALTHCHECK does: exit code 0 if it is, with "
        "warnings or without, 1 if it is not. It asks the web process, or with --no-http the database itself."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "probe",
            nargs="?",
            choices=sorted(_PROBES),
            default="system",
            help="live: the process; ready: its database; system: supervisors, hosts, queue (the default)",
        )
        parser.add_argument(
            "address",
            nargs="?",
            default=f"127.0.0.1:{os.environ.get('PORT', '8000')}",
            help="of the web process (default: %(default)s)",
        )
        parser.add_argument("--no-http", action="store_true", help="ask the database, not a web process")
        parser.add_argument("--timeout", type=float, default=5.0, metavar="S", help="default: %(default)s")

    def handle(self, *_args: Any, **options: Any) -> None:
        path = reverse(_PROBES[options["probe"]])
        if options["no_http"]:
            answer = _ask_here(path)
        else:
            answer = _ask_web(options["address"], path, options["timeout"])
        for found in answer.get("checks", []):
            reason = f" ({found['message']})" if found["message"] else ""
            self.stdout.write(f"{found['check']}: {found['status']}{reason}")
        self.stdout.write(f"{options['probe']}: {answer['status']}")
        if answer["status"] == "fail":
            raise SystemExit(FAILED)


def _ask_here(path: str) -> dict[str, Any]:
    view: Any = resolve(path).func
    results = probing.run(check() for check in view.view_initkwargs["checks"])
    return {
        "status": overall(results),
        "checks": [{"check": one.check, "status": one.status, "message": one.message} for one in results],
    }


def _ask_web(address: str, path: str, timeout: float) -> dict[str, Any]:
    headers = {"Accept": "application/json"}
    if settings.TALLYMAN_PROBE_TOKEN:
        headers["Authorization"] = f"Bearer {settings.TALLYMAN_PROBE_TOKEN}"
    asking = http.client.HTTPConnection(address, timeout=timeout)
    try:
        asking.request("GET", path, headers=headers)
        body = asking.getresponse().read()
        answer: dict[str, Any] = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError) as exc:
        raise CommandError(f"The web process at {address} gave no answer: {exc}", returncode=FAILED) from exc
    finally:
        asking.close()
    return answer
