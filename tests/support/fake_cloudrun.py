"""Cloud Run's v2 API and Cloud Logging's `entries:list` as one HTTP server, for Google's own client library.

Jobs really run, as processes of this machine: what a Job's args say, with its environment. The answers have
the fields and the forms that Google documents (REST reference of v2 projects.locations.jobs, .executions and
.tasks, of v2 entries.list, and of google.rpc.Status with its details); what is not simulated is left out.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from google.auth import jwt
from google.auth.exceptions import GoogleAuthError

from tests.support import fake_cloudrun_errors as errors
from tests.support.fake_cloudrun_errors import Refusal
from tests.support.fake_cloudrun_logs import LogStore
from tests.support.fake_cloudrun_tasks import TaskProcess

PROJECT, REGION = "my-gcp-project", "us-central1"
PARENT = f"projects/{PROJECT}/locations/{REGION}"
_TYPE = "type.googleapis.com/google.cloud.run.v2."
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def moment() -> str:
    """Now, as Google writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


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


@dataclass
class FakeJob:
    """A Job with its executions; `body` is what the API shows of it."""

    body: dict[str, Any]
    visible_at: float = 0.0
    ready_at: float = 0.0
    gone_at: float = 0.0
    executions: dict[str, TaskProcess] = field(default_factory=dict)


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
        self.missing_images: set[str] = set()
        self.denied_images: set[str] = set()
        self.denied_for_lack_of_quota: set[str] = set()
        self.starts_refused: dict[str, str] = {}  # image: what the task's status says
        self.calls_a_second: float | None = None
        self._window: list[float] = []
        handler = type("Handler", (_Handler,), {"fake": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """End the server, and every process."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
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
            self.jobs[name] = FakeJob(_new_body(name, given))

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
        if _image(given) in self.denied_for_lack_of_quota:
            raise errors.of_quota()
        with self.lock:
            with contextlib.suppress(Refusal):
                self._job(name)
            if name in self.jobs:
                raise errors.already_exists(f"Resource '{name}' already exists.")
            now = time.monotonic()
            job = FakeJob(_new_body(name, given), visible_at=now + self.lag_of_read, ready_at=now + self.lag)
            self.jobs[name] = job
            self._apply_token(name, job)
            return _operation("Job", self._shown(job))

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
            _touch(job)
            self._apply_token(name, job)
            return _operation("Job", self._shown(job))

    def _delete(self, name: str, etag: str) -> dict[str, Any]:
        with self.lock:
            job = self._job(name)
            if etag and etag != job.body["etag"]:
                raise errors.aborted()
            if any(not execution.is_over for execution in job.executions.values()):
                raise errors.failed_precondition("The job has running executions.")
            job.gone_at = time.monotonic() + self.lag
            job.body["deleteTime"] = moment()
            _touch(job)
            return _operation("Job", self._shown(job))

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
            body = dict(job.body)
            ready = time.monotonic() >= job.ready_at
            body["observedGeneration"] = body["generation"] if ready else str(int(body["generation"]) - 1)
            if not ready:
                body["reconciling"] = True
            body["terminalCondition"] = self._condition(job, ready=ready)
            if job.executions:
                body["executionCount"] = len(job.executions)
                body["latestCreatedExecution"] = list(job.executions.values())[-1].reference()
            return body

    def _condition(self, job: FakeJob, *, ready: bool) -> dict[str, Any]:
        condition = {"type": "Ready", "lastTransitionTime": job.body["updateTime"]}
        image = _image(job.body)
        if not ready:
            return {**condition, "state": "CONDITION_RECONCILING"}
        if image in self.missing_images:
            words = f"Image '{image}' not found."
            return {**condition, "state": "CONDITION_FAILED", "message": words, "reason": "CONTAINER_MISSING"}
        if image in self.denied_images:
            words = f"Google Cloud Run Service Agent must have permission to read the image, {image}."
            return {
                **condition,
                "state": "CONDITION_FAILED",
                "message": words,
                "reason": "CONTAINER_PERMISSION_DENIED",
            }
        return {**condition, "state": "CONDITION_SUCCEEDED"}

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
            f"{PARENT}/jobs/{name}", execution, template, self.logs, delay=self.lag, labels=job.body["labels"]
        )
        job.executions[execution] = process
        if image in self.starts_refused:
            process.refuse(self.starts_refused[image])
        else:
            self.started[job.body["labels"].get("tallyman-job", "")] += 1
            process.start()
        # Whatever becomes of it changes the Job too.
        process.on_end = lambda: _touch(job)

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
        return _operation("Execution", found.shown())

    def _tasks(self, name: str, execution: str) -> dict[str, Any]:
        return {"tasks": [self._execution(name, execution).task()]}


def _image(job: dict[str, Any]) -> str:
    return job["template"]["template"]["containers"][0]["image"]


def _new_body(name: str, given: dict[str, Any]) -> dict[str, Any]:
    now = moment()
    return {
        **given,
        "name": f"{PARENT}/jobs/{name}",
        "uid": str(uuid.uuid4()),
        "generation": "1",
        "labels": given.get("labels", {}),
        "createTime": now,
        "updateTime": now,
        "creator": "tallyman@my-gcp-project.iam.gserviceaccount.com",
        "launchStage": "GA",
        "etag": f'"{uuid.uuid4().hex[:12]}"',
    }


def _touch(job: FakeJob) -> None:
    job.body["updateTime"] = moment()
    job.body["etag"] = f'"{uuid.uuid4().hex[:12]}"'


def _operation(kind: str, resource: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": f"{PARENT}/operations/{uuid.uuid4()}",
        "metadata": {"@type": _TYPE + kind, **resource},
    }


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever is killed hangs up: that is no news. Anything else is."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    fake: FakeCloudRun
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            status, answer = 200, self.fake.answer(self.command, self.path, self.headers, body)
        except Refusal as refusal:
            status, answer = refusal.status, refusal.body
        except ConnectionAbortedError:
            self.close_connection = True
            return
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(data)

    do_GET = do_POST = do_PATCH = do_DELETE = _serve

    def log_message(self, format: str, *args: Any) -> None:
        return


@contextlib.contextmanager
def serving() -> Iterator[FakeCloudRun]:
    """A fake that is ended with the block."""
    fake = FakeCloudRun()
    try:
        yield fake
    finally:
        fake.close()
