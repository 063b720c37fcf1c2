"""Cloud Run's v2 API and Cloud Logging's `entries:list` as one HTTP server, for Google's own client library.

Jobs really run, as processes of this machine: what a Job's args say, with its environment. The answers have
the fields and the forms that Google documents (REST reference of v2 projects.locations.jobs, .executions and
.tasks, of v2 entries.list, and of google.rpc.Status with its details); what is not simulated is left out.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from google.auth import jwt
from google.auth.exceptions import GoogleAuthError

from tests.support import fake_cloudrun_errors as errors
from tests.support.fake_cloudrun_errors import Refusal
from tests.support.fake_cloudrun_jobs import (
    PARENT,
    PROJECT,
    REGION,
    FakeJob,
    image_of,
    moment,
    new_body,
    operation,
)
from tests.support.fake_cloudrun_logs import LogStore
from tests.support.fake_cloudrun_server import AnsweringServer
from tests.support.fake_cloudrun_tasks import TaskProcess

_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


@dataclass
class Fault:
    """Calls that go wrong: `times` of those that match, `before` or `after` they took effect.

    `status` 0 hangs up without an answer. `gate` is waited for first.
    """

    method: str
    path: str
    status: int = 503
    after: bool = False
    times: int = 1
    gate: threading.Event | None = None
    hits: int = 0

    def applies(self, method: str, path: str, *, after: bool) -> bool:
        matches = self.method == method and re.search(self.path, path) is not None
        return self.after == after and self.hits < self.times and matches


class FakeCloudRun:
    """One region of one project. `lag` is how long the control plane takes for anything, in seconds."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.jobs: dict[str, FakeJob] = {}
        self.logs = LogStore(PROJECT, REGION)
        self.faults: list[Fault] = []
        self.calls: list[tuple[str, str]] = []
        self.started: Counter[str] = Counter()  # processes by the job's label
        self.public_key = ""  # of the only account that may do anything here
        self.lag = 0.0
        self.lag_of_read = 0.0  # a new Job is not found at first
        self.lag_of_start = 0.0  # an execution waits so long before its task begins
        self.missing_images: set[str] = set()
        self.denied_images: set[str] = set()
        self.denied_for_lack_of_quota: set[str] = set()
        self.starts_refused: dict[str, str] = {}  # image: what the task's status says
        self.calls_a_second: float | None = None
        self._window: list[float] = []
        self._server = AnsweringServer(self.answer)

    @property
    def url(self) -> str:
        return self._server.url

    def close(self) -> None:
        """End the server, and every process."""
        self._server.end()
        for job in self.jobs.values():
            for execution in job.executions.values():
                execution.kill()

    def count(self, method: str, path: str) -> int:
        """How many such calls there were."""
        return sum(called == method and re.search(path, where) is not None for called, where in self.calls)

    def make_foreign(self, name: str) -> None:
        """A Job of somebody else."""
        container = {"image": "gcr.io/somebody/else"}
        given = {"template": {"template": {"containers": [container], "maxRetries": 0}}}
        with self.lock:
            self.jobs[name] = FakeJob(new_body(name, given))

    # ── answering ─────────────────────────────────────────────────────────────────────────────────────

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> dict[str, Any]:
        """The answer to one call; raises Refusal."""
        url = urlsplit(target)
        with self.lock:
            self.calls.append((method, url.path))
        self._go_wrong(method, url.path, after=False)
        self._authenticate(headers.get("Authorization", ""))
        self._limit()
        given = json.loads(body) if body else {}
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        answered = self._route(method, url.path, query, given)
        self._go_wrong(method, url.path, after=True)
        return answered

    def _authenticate(self, given: str) -> None:
        """As Google takes it: a token that the service account signed itself, for this service."""
        try:
            claims = jwt.decode(given.removeprefix("Bearer "), certs=self.public_key)
        except (ValueError, GoogleAuthError):
            raise errors.unauthenticated() from None
        if not (claims.get("aud") or claims.get("scope")):
            raise errors.unauthenticated()

    def _go_wrong(self, method: str, path: str, *, after: bool) -> None:
        for fault in self.faults:
            if fault.applies(method, path, after=after):
                fault.hits += 1
                if fault.gate:
                    fault.gate.wait(30)
                if fault.status == 0:
                    raise ConnectionAbortedError
                if fault.status != 200:
                    raise errors.of_status(fault.status)

    def _limit(self) -> None:
        if self.calls_a_second is None:
            return
        with self.lock:
            now = time.monotonic()
            self._window = [at for at in self._window if now - at < 1.0]
            if len(self._window) >= self.calls_a_second:
                raise errors.throttled("run.googleapis.com")
            self._window.append(now)

    def _route(self, method: str, path: str, query: dict[str, str], given: Any) -> dict[str, Any]:
        if (method, path) == ("POST", "/v2/entries:list"):
            return self.logs.list(given)
        routes: list[tuple[str, str, Callable[..., dict[str, Any]]]] = [
            ("POST", r"/jobs", lambda: self._create(query["jobId"], given)),
            ("GET", r"/jobs", lambda: self._list(query)),
            ("GET", r"/jobs/([^/]+)", lambda name: self._shown(self._job(name))),
            ("PATCH", r"/jobs/([^/]+)", lambda name: self._update(name, given)),
            ("DELETE", r"/jobs/([^/]+)", lambda name: self._delete(name, query.get("etag", ""))),
            ("GET", r"/jobs/([^/]+)/executions/([^/]+)", lambda *names: self._execution(*names).shown()),
            ("POST", r"/jobs/([^/]+)/executions/([^/:]+):cancel", self._cancel),
            ("GET", r"/jobs/([^/]+)/executions/([^/]+)/tasks", self._tasks),
        ]
        for verb, pattern, call in routes:
            found = re.fullmatch(f"/v2/{PARENT}{pattern}", path)
            if found and verb == method:
                return call(*found.groups())
        raise errors.not_found(path)

    # ── jobs ──────────────────────────────────────────────────────────────────────────────────────────

    def _job(self, name: str) -> FakeJob:
        job = self.jobs.get(name)
        if job is None or time.monotonic() < job.visible_at:
            raise errors.not_found(f"Resource '{name}' of kind 'JOB' in region '{REGION}' in project ...")
        if job.gone_at and time.monotonic() >= job.gone_at:
            del self.jobs[name]
            raise errors.not_found(f"Resource '{name}' of kind 'JOB' in region '{REGION}' in project ...")
        return job

    def _create(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        if not _NAME.fullmatch(name) or len(name) > 49:
            raise errors.invalid(
                "job_id", f"{name!r}: must be less than 50 lower case letters, digits, dashes"
            )
        errors.check_job(name, given)
        if image_of(given) in self.denied_for_lack_of_quota:
            raise errors.of_quota()
        with self.lock:
            with contextlib.suppress(Refusal):
                self._job(name)
            if name in self.jobs:
                raise errors.already_exists(f"Resource '{name}' already exists.")
            now = time.monotonic()
            job = FakeJob(new_body(name, given), visible_at=now + self.lag_of_read, ready_at=now + self.lag)
            self.jobs[name] = job
            self._apply_token(name, job)
            return operation("Job", self._shown(job))

    def _update(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            job = self._job(name)
            if given.get("etag") and given["etag"] != job.body["etag"]:
                raise errors.aborted()
            if time.monotonic() < job.ready_at:
                raise errors.failed_precondition("The job is being reconciled.")
            errors.check_job(name, given)
            kept = ("labels", "annotations", "template", "client", "startExecutionToken", "runExecutionToken")
            job.body = {**job.body, **{key: given[key] for key in kept if key in given}}
            job.body["generation"] = str(int(job.body["generation"]) + 1)
            job.ready_at = time.monotonic() + self.lag
            job.touch()
            self._apply_token(name, job)
            return operation("Job", self._shown(job))

    def _delete(self, name: str, etag: str) -> dict[str, Any]:
        with self.lock:
            job = self._job(name)
            if etag and etag != job.body["etag"]:
                raise errors.aborted()
            if any(not execution.is_over for execution in job.executions.values()):
                raise errors.failed_precondition("The job has running executions.")
            job.gone_at = time.monotonic() + self.lag
            job.body["deleteTime"] = moment()
            job.touch()
            return operation("Job", self._shown(job))

    def _list(self, query: dict[str, str]) -> dict[str, Any]:
        with self.lock:
            names = []
            for name in sorted(self.jobs):
                with contextlib.suppress(Refusal):
                    self._job(name)
                    names.append(name)
            start, size = int(query.get("pageToken") or 0), int(query.get("pageSize") or 100)
            page = [self._shown(self.jobs[name]) for name in names[start : start + size]]
            more = {"nextPageToken": str(start + size)} if start + size < len(names) else {}
            return {"jobs": page, **more} if page else {}

    def _shown(self, job: FakeJob) -> dict[str, Any]:
        with self.lock:
            return job.shown(missing=self.missing_images, denied=self.denied_images)

    # ── executions ────────────────────────────────────────────────────────────────────────────────────

    def _apply_token(self, name: str, job: FakeJob) -> None:
        """Make the execution that the token names, if there is none of that name."""
        token = job.body.get("startExecutionToken")
        execution = f"{name}-{token}"
        if not token or execution in job.executions:
            return
        template = job.body["template"]["template"]
        image = template["containers"][0]["image"]
        process = TaskProcess(
            f"{PARENT}/jobs/{name}",
            execution,
            template,
            self.logs,
            delays=(self.lag, self.lag_of_start),
            labels=job.body["labels"],
        )
        job.executions[execution] = process
        if image in self.starts_refused:
            process.refuse(self.starts_refused[image])
        else:
            self.started[job.body["labels"].get("tallyman-job", "")] += 1
            process.start()
        # Whatever becomes of it changes the Job too.
        process.on_end = job.touch

    def _execution(self, name: str, execution: str) -> TaskProcess:
        with self.lock:
            found = self._job(name).executions.get(execution)
        if found is None or not found.is_visible:
            raise errors.not_found(f"Resource '{execution}' of kind 'EXECUTION' in region '{REGION}' ...")
        return found

    def _cancel(self, name: str, execution: str) -> dict[str, Any]:
        found = self._execution(name, execution)
        if found.is_over:
            raise errors.failed_precondition("The execution has already completed.")
        found.cancel()
        return operation("Execution", found.shown())

    def _tasks(self, name: str, execution: str) -> dict[str, Any]:
        return {"tasks": [self._execution(name, execution).task()]}


@contextlib.contextmanager
def serving() -> Iterator[FakeCloudRun]:
    """A fake that is ended with the block."""
    fake = FakeCloudRun()
    try:
        yield fake
    finally:
        fake.close()
