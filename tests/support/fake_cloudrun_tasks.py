"""One execution with its one task: a process of this machine, whose lines go to the log store."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import IO, Any

from tests.support.fake_cloudrun_logs import LogStore

KILL_AFTER_SECONDS = 10.0  # after a cancel, or at the time limit


def _moment() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class TaskProcess:
    """What `start` runs is over when its process has ended and its output is in the log."""

    def __init__(
        self,
        job: str,
        name: str,
        template: Mapping[str, Any],
        logs: LogStore,
        *,
        delays: tuple[float, float],
        labels: Mapping[str, str],
    ) -> None:
        self._job, self._name, self._template, self._logs = job, name, template, logs
        delay, self._wait_for_room = delays
        self._delay, self._labels = delay, dict(labels)
        self._visible_at = time.monotonic() + delay
        self._created, self._started, self._completed = _moment(), "", ""
        self._uid = str(uuid.uuid4())
        self._process: subprocess.Popen[bytes] | None = None
        self._exit_code: int | None = None
        self._cancelled = self._timed_out = False
        self._cancel_asked = threading.Event()
        self._message = ""
        self.on_end: Callable[[], None] = lambda: None
        self.out_of_memory = False

    @property
    def is_over(self) -> bool:
        return bool(self._completed)

    @property
    def is_visible(self) -> bool:
        return time.monotonic() >= self._visible_at

    def start(self) -> None:
        """Run it, in a moment."""
        threading.Thread(target=self._run, daemon=True).start()

    def refuse(self, message: str) -> None:
        """Its container cannot be started."""
        self._message, self._completed = message, _moment()

    def cancel(self) -> None:
        self._cancelled = True
        self._cancel_asked.set()
        self._end()

    def kill(self) -> None:
        """End it without a word, for the end of a test."""
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    def _run(self) -> None:
        time.sleep(self._delay)
        self._cancel_asked.wait(self._wait_for_room)
        container = self._template["containers"][0]
        if self._cancelled:
            self._finish()
            return
        environment = {one["name"]: one.get("value", "") for one in container.get("env", [])}
        self._started = _moment()
        try:
            self._process = subprocess.Popen(
                container.get("args", ["true"]),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={"PATH": os.environ["PATH"], **environment, "CLOUD_RUN_EXECUTION": self._name},
                cwd=container.get("workingDir") or "/",
                start_new_session=True,
            )
        except OSError as exc:
            self._message = f"Application failed to start: {exc.strerror}"
            self._started = ""
            self._finish()
            return
        readers = [
            threading.Thread(target=self._read, args=(stream, log), daemon=True)
            for stream, log in ((self._process.stdout, "stdout"), (self._process.stderr, "stderr"))
        ]
        for reader in readers:
            reader.start()
        seconds = float(str(self._template.get("timeout", "600s")).removesuffix("s"))
        try:
            self._exit_code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._timed_out = True
            self._end()
            self._exit_code = self._process.wait()
        for reader in readers:
            reader.join()
        self._finish()

    def _read(self, stream: IO[bytes] | None, log: str) -> None:
        assert stream is not None
        with stream:
            for line in stream:
                self._logs.write(
                    self._name, log, textPayload=line.decode("utf-8", "replace").removesuffix("\n")
                )

    def _end(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        os.killpg(self._process.pid, signal.SIGTERM)
        threading.Thread(target=self._kill_later, daemon=True).start()

    def _kill_later(self) -> None:
        assert self._process is not None
        try:
            self._process.wait(KILL_AFTER_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()

    def _finish(self) -> None:
        code = self._exit_code
        if code is not None and code < 0:
            self._exit_code = code = 128 - code
        if self._timed_out:
            self._message = "The configured timeout was reached."
        elif code == 137 and self.out_of_memory:
            self._message = (
                "Memory limit of 512 MiB exceeded with 519 MiB used. Consider increasing the memory limit, "
                "see https://cloud.google.com/run/docs/configuring/memory-limits"
            )
        elif code:
            self._message = f"Container called exit({code})."
        self._logs.write(
            self._name, "varlog%2Fsystem", textPayload=self._message or "Container called exit(0)."
        )
        self._completed = _moment()
        self.on_end()

    # ── as the API shows it ───────────────────────────────────────────────────────────────────────────

    @property
    def _status(self) -> str:
        if not self.is_over:
            return "EXECUTION_RUNNING" if self._started else "EXECUTION_PENDING"
        if self._cancelled:
            return "EXECUTION_CANCELLED"
        return "EXECUTION_SUCCEEDED" if self._exit_code == 0 else "EXECUTION_FAILED"

    def reference(self) -> dict[str, Any]:
        """As the Job shows it."""
        times = {"completionTime": self._completed} if self.is_over else {}
        return {"name": self._name, "createTime": self._created, "completionStatus": self._status, **times}

    def shown(self) -> dict[str, Any]:
        """The execution."""
        counts = {
            "EXECUTION_RUNNING": {"runningCount": 1},
            "EXECUTION_SUCCEEDED": {"succeededCount": 1},
            "EXECUTION_FAILED": {"failedCount": 1},
            "EXECUTION_CANCELLED": {"cancelledCount": 1},
        }.get(self._status, {})
        return {
            "name": f"{self._job}/executions/{self._name}",
            "uid": self._uid,
            "generation": "1",
            "labels": self._labels,
            "createTime": self._created,
            **self._times(),
            "updateTime": self._completed or self._started or self._created,
            "launchStage": "GA",
            "job": self._job.rpartition("/")[2],
            "parallelism": 1,
            "taskCount": 1,
            "template": self._template,
            "conditions": [self._condition()],
            "observedGeneration": "1",
            **counts,
            "logUri": "https://console.cloud.google.com/logs/viewer?project=my-gcp-project",
            "etag": f'"{self._uid[:8]}"',
        }

    def task(self) -> dict[str, Any]:
        """Its only task."""
        result: dict[str, Any] = {}
        if self._message:
            result["status"] = {"code": 4 if self._timed_out else 9, "message": self._message}
        if self._exit_code and not self._timed_out:
            result["exitCode"] = self._exit_code
        return {
            "name": f"{self._job}/executions/{self._name}/tasks/{self._name}-task0",
            "uid": str(uuid.uuid4()),
            "createTime": self._created,
            **self._times(),
            "job": self._job,
            "execution": self._name,
            "containers": self._template["containers"],
            "maxRetries": 0,
            **({"lastAttemptResult": result} if result else {}),
        }

    def _times(self) -> dict[str, str]:
        times = {"startTime": self._started, "completionTime": self._completed}
        return {key: value for key, value in times.items() if value}

    def _condition(self) -> dict[str, Any]:
        condition = {"type": "Completed", "lastTransitionTime": self._completed or self._created}
        if not self.is_over:
            waits = {} if self._started else {"message": "Waiting for resources."}
            return {**condition, "state": "CONDITION_RECONCILING", **waits}
        if self._status == "EXECUTION_SUCCEEDED":
            return {
                **condition,
                "state": "CONDITION_SUCCEEDED",
                "message": "Execution completed successfully.",
            }
        if self._cancelled:
            words = {"message": "Execution was cancelled.", "executionReason": "CANCELLED"}
            return {**condition, "state": "CONDITION_FAILED", **words}
        words = {"message": f"Task {self._name}-task0 failed with message: {self._message}"}
        reason = {"executionReason": "NON_ZERO_EXIT_CODE"} if self._exit_code else {}
        return {**condition, "state": "CONDITION_FAILED", **words, **reason}
