"""Calls of Google's services over REST, with a client for each thread; errors leave it as ApiError only.

This is the one module that imports Google's libraries, and it is imported on first use only: they take most
of a second and 40 MiB, and whoever has no Cloud Run host need not install them.
"""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import google.auth
import requests
from google.api_core import exceptions
from google.api_core.client_options import ClientOptions
from google.auth import exceptions as auth_exceptions
from google.auth.transport.requests import AuthorizedSession
from google.cloud import run_v2
from google.oauth2 import service_account
from google.protobuf.json_format import ParseError

from hosts.executors.cloudrun.answers import NO_ANSWER, ApiError
from hosts.executors.cloudrun.configuration import Settings

Answer = TypeVar("Answer")

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_THROTTLED = 429
_UNAUTHENTICATED = 401
_BACKOFF_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)
_PAGE = 200


class Api:
    """May be called from several threads at once."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._local = threading.local()

    # ── jobs ──────────────────────────────────────────────────────────────────────────────────────────

    def create_job(self, name: str, body: dict[str, Any]) -> None:
        """Ask for a Job; it is there soon after."""
        request = {"parent": self._settings.parent, "job_id": name, "job": body}
        self._call(lambda timeout: self._jobs.create_job(request, retry=None, timeout=timeout))

    def get_job(self, name: str) -> run_v2.Job | None:
        """The Job; None if there is none."""
        request = {"name": self._job(name)}
        return self._found(lambda timeout: self._jobs.get_job(request, retry=None, timeout=timeout))

    def update_job(self, job: run_v2.Job) -> None:
        """Replace the Job by this one, if it still is what was read: its etag says so (409 if not)."""
        self._call(lambda timeout: self._jobs.update_job({"job": job}, retry=None, timeout=timeout))

    def delete_job(self, name: str, etag: str) -> None:
        """Delete the Job with all of its executions, if it still has this etag (409 if not)."""
        request = {"name": self._job(name), "etag": etag}
        self._call(lambda timeout: self._jobs.delete_job(request, retry=None, timeout=timeout))

    def list_jobs(self, *, most: int | None = None) -> list[run_v2.Job]:
        """Every Job of the region, whoever's it is; the first `most` only if that is said."""
        request = {"parent": self._settings.parent, "page_size": most or _PAGE}

        def read(timeout: float) -> list[run_v2.Job]:
            pager = self._jobs.list_jobs(request, retry=None, timeout=timeout)
            return list(next(iter(pager.pages)).jobs) if most else list(pager)

        return self._call(read)

    # ── executions ────────────────────────────────────────────────────────────────────────────────────

    def get_execution(self, name: str, execution: str) -> run_v2.Execution | None:
        """An execution of the Job; None if there is none."""
        request = {"name": f"{self._job(name)}/executions/{execution}"}
        return self._found(
            lambda timeout: self._executions.get_execution(request, retry=None, timeout=timeout)
        )

    def cancel_execution(self, name: str, execution: str) -> None:
        """Ask for its end: TERM, and KILL ten seconds later."""
        request = {"name": f"{self._job(name)}/executions/{execution}"}
        self._call(lambda timeout: self._executions.cancel_execution(request, retry=None, timeout=timeout))

    def list_tasks(self, name: str, execution: str) -> list[run_v2.Task]:
        """The tasks of an execution."""
        request = {"parent": f"{self._job(name)}/executions/{execution}"}
        return self._call(lambda timeout: list(self._tasks.list_tasks(request, retry=None, timeout=timeout)))

    # ── logs ──────────────────────────────────────────────────────────────────────────────────────────

    def list_entries(self, body: dict[str, Any]) -> requests.Response:
        """One page of `entries:list`. Not tried again here, as each try counts against a small quota."""
        with _translated():
            session = self._session
            base = self._settings.logging_url or f"https://logging.{session.credentials.universe_domain}"
            response = session.post(f"{base}/v2/entries:list", json=body, timeout=self._settings.timeout)
            if response.status_code >= 400:  # noqa: PLR2004
                raise exceptions.from_http_response(response)
            return response

    def close(self) -> None:
        """Drop the calling thread's clients."""
        for made in vars(self._local).values():
            (made if isinstance(made, AuthorizedSession) else made.transport).close()
        vars(self._local).clear()

    def _job(self, name: str) -> str:
        return f"{self._settings.parent}/jobs/{name}"

    def _found(self, call: Callable[[float], Answer]) -> Answer | None:
        try:
            return self._call(call)
        except ApiError as error:
            if error.is_not_found:
                return None
            raise

    def _call(self, call: Callable[[float], Answer]) -> Answer:
        """Call, and again while the service says "too many": that is said before anything is done."""
        deadline = time.monotonic() + self._settings.timeout
        for wait in (*_BACKOFF_SECONDS, None):
            try:
                with _translated():
                    return call(max(0.1, deadline - time.monotonic()))
            except ApiError as error:
                pause = wait and wait * random.uniform(0.5, 1.0)
                if error.status != _THROTTLED or pause is None or time.monotonic() + pause >= deadline:
                    raise
                time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    # ── clients of the calling thread ─────────────────────────────────────────────────────────────────

    @property
    def _jobs(self) -> run_v2.JobsClient:
        made: run_v2.JobsClient = self._mine("jobs", lambda: run_v2.JobsClient(**self._options()))
        return made

    @property
    def _executions(self) -> run_v2.ExecutionsClient:
        made: run_v2.ExecutionsClient = self._mine(
            "executions", lambda: run_v2.ExecutionsClient(**self._options())
        )
        return made

    @property
    def _tasks(self) -> run_v2.TasksClient:
        made: run_v2.TasksClient = self._mine("tasks", lambda: run_v2.TasksClient(**self._options()))
        return made

    @property
    def _session(self) -> AuthorizedSession:
        made: AuthorizedSession = self._mine("session", lambda: AuthorizedSession(self._credentials()))
        return made

    def _mine(self, name: str, make: Callable[[], Any]) -> Any:
        if name not in vars(self._local):
            setattr(self._local, name, make())
        return getattr(self._local, name)

    def _options(self) -> dict[str, Any]:
        # gRPC hangs in a process that forked, and has no plain sockets to time out: REST.
        credentials = self._credentials()
        options = ClientOptions(
            api_endpoint=self._settings.run_url or None, universe_domain=credentials.universe_domain
        )
        return {"transport": "rest", "credentials": credentials, "client_options": options}

    def _credentials(self) -> Any:
        path, text = self._settings.credentials_file, self._settings.credentials_json
        whose = path or ("credentials_json" if text else "default credentials")
        try:
            # Of this type only: a key of another one may name a program to run, or any address to call.
            if text:
                return service_account.Credentials.from_service_account_info(json.loads(text), scopes=_SCOPES)
            if path:
                return service_account.Credentials.from_service_account_file(path, scopes=_SCOPES)
            return google.auth.default(scopes=_SCOPES)[0]
        except (OSError, ValueError) as exc:
            raise auth_exceptions.GoogleAuthError(f"{whose}: {exc}") from exc


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """Whatever Google's libraries raise, as an ApiError."""
    try:
        yield
    except exceptions.GoogleAPICallError as exc:
        raise ApiError(int(exc.code or NO_ANSWER), exc.message) from exc
    except (auth_exceptions.TransportError, requests.RequestException) as exc:
        raise ApiError(NO_ANSWER, f"no answer: {exc}") from exc
    except auth_exceptions.GoogleAuthError as exc:
        raise ApiError(_UNAUTHENTICATED, f"no credentials: {exc}") from exc
    except (ParseError, exceptions.GoogleAPIError) as exc:
        raise ApiError(NO_ANSWER, f"an answer that is none: {exc}") from exc
