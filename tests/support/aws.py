"""AWS on this machine: moto's server over HTTP, with what it leaves out of RunTask, and a hand in between.

moto knows clusters, definitions, tasks, networks and logs. It does not keep the promise of `clientToken`, nor
does a task of it do anything: the front does the former as documented, tests the latter.
"""

from __future__ import annotations

import io
import json
import os
import socket
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import boto3
from werkzeug.serving import WSGIRequestHandler, make_server

os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # a second, for images that nobody asks for
# ruff: isort: split
from moto.backends import get_backend
from moto.core import DEFAULT_ACCOUNT_ID
from moto.moto_api import state_manager
from moto.server import DomainDispatcherApplication, create_backend_app

REGION = "us-east-1"
CLUSTER = "jobs"
CREDENTIALS = {"aws_access_key_id": "AKIDEXAMPLE", "aws_secret_access_key": "not-a-real-secret"}
_FOREVER = {"progression": "manual", "times": 10**9}

Reply = tuple[int, dict[str, Any]]
# Gets operation and request; what it returns is the answer, instead of that of moto.
Tap = Callable[[str, dict[str, Any]], Reply | None]


class LostReply(Exception):
    """Raised by a tap: the connection is cut without an answer. `after`: the call takes effect before."""

    def __init__(self, *, after: bool) -> None:
        super().__init__()
        self.after = after


class _Quiet(WSGIRequestHandler):
    def log(self, *_args: object) -> None:
        """Nothing is said of requests."""


class Aws:
    """One account with one cluster, one subnet and one security group; `reset` it between tests."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.tap: Tap | None = None
        self.starts_as = "PROVISIONING"
        self._tokens: dict[tuple[str, str], tuple[dict[str, Any], bytes]] = {}
        self._lock = threading.RLock()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="aws", daemon=True)
        self._thread.start()
        self._session = boto3.session.Session(region_name=REGION, **CREDENTIALS)
        self.ecs = self._session.client("ecs", endpoint_url=self.url)
        self.logs = self._session.client("logs", endpoint_url=self.url)
        self._make_network()

    def close(self) -> None:
        """Stop the server."""
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def reset(self) -> None:
        """An account as new, with the cluster."""
        # Not by moto's own reset, which makes everything of every service anew: half a second.
        ecs, logs = self._backend("ecs"), self._backend("logs")
        for store in (ecs.tasks, ecs.task_definitions, ecs.clusters, logs.groups):
            store.clear()
        state_manager.set_transition("ecs::task", _FOREVER)
        self.tap, self.starts_as = None, "PROVISIONING"
        self._tokens.clear()
        self.ecs.create_cluster(clusterName=CLUSTER)
        self.calls.clear()

    @staticmethod
    def _backend(service: Any) -> Any:
        return get_backend(service)[DEFAULT_ACCOUNT_ID][REGION]

    def _make_network(self) -> None:
        ec2 = self._session.client("ec2", endpoint_url=self.url)
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        ec2.modify_vpc_attribute(VpcId=vpc, EnableDnsHostnames={"Value": True})
        self.subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
        group = ec2.create_security_group(VpcId=vpc, GroupName="jobs", Description="jobs")
        self.security_group = group["GroupId"]

    @property
    def config(self) -> dict[str, Any]:
        """The settings of a host that uses it."""
        return {
            "cluster": CLUSTER,
            "subnets": [self.subnet],
            "security_groups": [self.security_group],
            "region": REGION,
            "endpoint_url": self.url,
            "timeout": 6,
            "poll_seconds": 0.5,
            "settle_seconds": 2,
            "log_settle_seconds": 0.5,
            "log_requests_per_second": 50,
        }

    # ── what tasks do ─────────────────────────────────────────────────────────────────────────────────

    @property
    def tasks(self) -> list[Any]:
        """All that were ever started, oldest first."""
        with self._lock:  # one that is being started is not there yet
            return list(self._backend("ecs").tasks.get(CLUSTER, {}).values())

    def task_of(self, job: UUID) -> Any | None:
        """The newest task of a job."""
        wanted = {"key": "tallyman.job", "value": str(job)}
        return next((task for task in reversed(self.tasks) if wanted in task.tags), None)

    def say(self, task: Any, *lines: str, at: datetime | None = None) -> None:
        """The task writes these lines, all in one millisecond."""
        stream = f"tallyman/job/{task.id}"
        group = "/tallyman"
        known = self.logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=stream)["logStreams"]
        if not known:
            self.logs.create_log_stream(logGroupName=group, logStreamName=stream)
        time = int((at or datetime.now(UTC)).timestamp() * 1000)
        events = [{"timestamp": time, "message": line} for line in lines]
        self.logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)

    @staticmethod
    def run(task: Any) -> None:
        """It runs now."""
        task.started_at = datetime.now(UTC)
        task.last_status = "RUNNING"

    @staticmethod
    def stop(task: Any, *, exit_code: int | None = 0, reason: str = "", **said: Any) -> None:
        """It has stopped; `said` is what ECS says of it besides."""
        task.containers[0].exitCode = exit_code
        task.containers[0].reason = reason or None
        task.stop_code = said.pop("stop_code", "EssentialContainerExited")
        task.stopped_reason = said.pop("stopped_reason", "Essential container in task exited")
        for name, value in said.items():
            setattr(task, name, value)
        task.stopped_at = task.execution_stopped_at = datetime.now(UTC)
        task.desired_status = task.last_status = "STOPPED"

    def count(self, operation: str) -> int:
        """How often it was called."""
        return sum(name == operation for name, _ in self.calls)

    # ── in between ────────────────────────────────────────────────────────────────────────────────────

    def _answer(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        if not operation:
            return self._moto(environ, start_response)
        body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        request = json.loads(body or b"{}")
        self.calls.append((operation, request))
        lost: LostReply | None = None
        try:
            given = self.tap(operation, request) if self.tap else None
        except LostReply as exc:
            given, lost = None, exc
        if lost is not None and not lost.after:
            return _cut(environ)
        if given is not None:
            status, data = given[0], json.dumps(given[1]).encode()
        elif operation == "RunTask":
            status, data = self._run_task(environ, body, request)
        else:
            status, data = self._ask_moto(environ, body)
        return _cut(environ) if lost else _send(start_response, status, data)

    def _run_task(self, environ: dict[str, Any], body: bytes, request: dict[str, Any]) -> tuple[int, bytes]:
        with self._lock:
            key = request["cluster"], request["clientToken"]
            before = self._tokens.get(key)
            if before is not None and before[0] == request:
                return 200, before[1]
            if before is not None:
                arns = [task["taskArn"] for task in json.loads(before[1])["tasks"]]
                said = "The client token is already in use with a different request."
                return 400, json.dumps(
                    {"__type": "ConflictException", "message": said, "resourceIds": arns}
                ).encode()
            status, data = self._ask_moto(environ, body)
            if status == 200:
                data = self._placed(data)
                self._tokens[key] = request, data
            return status, data

    def _placed(self, data: bytes) -> bytes:
        """As Fargate answers: the task is not there yet."""
        self.tasks[-1].last_status = self.starts_as
        self.tasks[-1].containers[0].exitCode = None
        reply = json.loads(data)
        reply["tasks"][0]["lastStatus"] = self.starts_as
        return json.dumps(reply).encode()

    def _ask_moto(self, environ: dict[str, Any], body: bytes) -> tuple[int, bytes]:
        got: list[int] = []
        environ = {**environ, "wsgi.input": io.BytesIO(body)}
        data = b"".join(self._moto(environ, lambda status, *_: got.append(int(status.split()[0]))))
        return got[0], data


def _cut(environ: dict[str, Any]) -> Iterable[bytes]:
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError  # the server takes it that the client has gone


def _send(start_response: Any, status: int, data: bytes) -> Iterable[bytes]:
    start_response(
        f"{status} {'OK' if status < 400 else 'Error'}",
        [("Content-Type", "application/x-amz-json-1.1"), ("Content-Length", str(len(data)))],
    )
    return [data]


def error(code: str, message: str = "", status: int = 400) -> Reply:
    """An answer that is an error."""
    return status, {"__type": code, "message": message}
