"""The executor for Google Cloud Run: a container is a Job of the v2 API, and its one Execution.

`create` makes the Job, which starts nothing. `start` replaces it by the same one with a start token: Cloud
Run makes the Execution that is called JOB-TOKEN, if there is none of that name. So a start is repeated with
no harm, and as it names the etag of the Job that was read, it starts no other one. A Job that never started
is deleted by its etag too: whichever of a late start and a deletion comes first makes the other one fail.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from hosts.errors import ConfigurationError, ContainerBusy, DockerConnectionError
from hosts.executors.capabilities import Capabilities
from hosts.executors.cloudrun import answers, configuration, naming, readings, spec, watch
from hosts.executors.cloudrun.answers import ApiError
from hosts.executors.cloudrun.configuration import Settings
from hosts.executors.cloudrun.logs import LogReader
from hosts.executors.config_fields import ConfigField
from hosts.executors.contract import (
    ContainerExecutor,
    EngineFacts,
    Hint,
    HostView,
    JobView,
    Observation,
)
from hosts.executors.log_source import LogSource, Resume

if TYPE_CHECKING:
    from google.cloud import run_v2

    from hosts.executors.cloudrun.client import Api

Answer = TypeVar("Answer")

_LOOK_AGAIN_SECONDS = (0.1, 0.2, 0.5, 1.0)
_EXTRA = (
    "Cloud Run needs Google's libraries, which are not installed here ({0}). "
    "Install them with: pip install 'tallyman[cloudrun]'"
)


class CloudRunExecutor(ContainerExecutor):
    """Jobs as executions of Cloud Run jobs, in one region of one project."""

    kind: ClassVar[str] = "cloudrun"
    label: ClassVar[str] = "Google Cloud Run"
    capabilities: ClassVar[Capabilities] = Capabilities(
        hints=True,
        logs=True,
        live_logs=True,
        stop=True,
        lists=True,
        starts_later=True,
        working_directory=True,
        memory_limit=True,
        cpu_limit=True,
    )
    secret_settings: ClassVar[frozenset[str]] = configuration.SECRETS
    config_fields: ClassVar[tuple[ConfigField, ...]] = configuration.FIELDS
    log_tail_seconds: ClassVar[float] = 60.0

    def __init__(self, host: HostView) -> None:
        super().__init__(host)
        self._settings = Settings.of(host.base_url, host.config)
        self._made: Api | None = None
        self._lock = threading.Lock()
        self._reader = LogReader(lambda: self._api, self._settings, host.name, self._has_ended)

    @classmethod
    def validate_config(cls, base_url: str, config: Mapping[str, Any]) -> list[str]:
        """Sentences that say what is wrong with a host's settings; empty when nothing is."""
        return configuration.problems(base_url, config)

    @classmethod
    def configured_retries(cls, config: Mapping[str, Any]) -> int | None:
        """`max_retries`: launches tried again. The service itself never runs anything twice."""
        return configuration.retries(config)

    def check(self) -> EngineFacts:
        """Ask for the region's Jobs; ConfigurationError if that is not allowed, or the library is missing."""
        try:
            self._api.list_jobs(most=1)
        except ApiError as error:
            raise answers.refused_check(self.host.name, error) from error
        return EngineFacts(
            engine_id=self._settings.engine_id,
            version="v2",
            api_version="v2",
            operating_system="Cloud Run",
        )

    def create(self, job: JobView) -> Observation:
        """Make the Job, without a start token, so that nothing runs."""
        name, nonce = naming.job_name(job.container_name), uuid.uuid4().hex
        body = spec.job_body(self.host, self._settings, job, nonce=nonce)
        try:
            self._api.create_job(name, body)
        except ApiError as error:
            if not error.is_conflict:
                raise answers.refused_launch(self.host.name, error, what="create") from error
            return self._instead_of(job)
        made = self._until(lambda: self._get(name), what=f"the new job {name}")
        is_ours = made.annotations.get(naming.NONCE_ANNOTATION) == nonce
        seen = readings.observation(self._settings, made, fresh=True) if is_ours else self._observe(made)
        if is_ours:
            job.executor_metadata.update(seen.metadata)
            job.save()
        return seen

    def start(self, container_id: str) -> None:
        """Ask for the execution, once Cloud Run is done with making the Job; again and again is as once."""
        job = self._until(lambda: self._ready(container_id), what=f"{container_id} to be ready")
        if readings.is_started(job):
            return
        refusal = readings.refusal(self.host.name, job)
        if refusal:
            raise refusal
        job.start_execution_token = naming.token(job.uid)
        try:
            self._api.update_job(job)
        except ApiError as error:
            raise answers.refused_launch(self.host.name, error, what="start") from error

    def observe(self, ref: str) -> Observation | None:
        """The Job with this id or name and its execution; None if there is neither."""
        job = self._find(ref)
        if job is not None:
            return self._observe(job)
        ours = naming.split_id(ref)
        if ours and self._call(lambda: self._api.get_execution(ours[0], ref)) is not None:
            raise DockerConnectionError(
                f"{self.host.name}: the execution {ref} is there, and its job is not: it is being deleted."
            )
        return None

    def list_containers(self) -> list[Observation]:
        """Every Job of this installation, by one list. How one has ended is for `observe` to say."""
        installation = str(self.host.installation)
        seen = [readings.listed(self._settings, job) for job in self._call(self._api.list_jobs)]
        return [one for one in seen if one.label("installation") == installation]

    def signal(self, container_id: str, name: str) -> None:
        """Cancel the execution, whatever the signal: Cloud Run knows only TERM with KILL 10 s later."""
        job = self._find(container_id)
        if job is None or not readings.is_started(job):
            return
        execution = self._execution(job)
        if execution is None and self._observe(job).state != "exited":
            raise DockerConnectionError(
                f"{self.host.name}: {container_id} is about to start; cancel it then."
            )
        if execution is not None and not execution.completion_time:
            self._cancel(job, execution)

    def remove(self, container_id: str, *, force: bool = False) -> None:
        """Delete the Job with its execution; that one is cancelled first if it runs and `force` says so."""

        def is_gone() -> bool:
            job = self._find(container_id)
            if job is not None and self._observe(job).state in ("starting", "running"):
                if not force:
                    raise ContainerBusy(f"{self.host.name}: {container_id} runs, so it was not removed.")
                job = self._ended(container_id)
            return job is None or self._deleted(job)

        self._until(is_gone, what=f"{container_id} to be removed")

    def discard(self, container_id: str) -> Observation | None:
        """Delete a Job that never started, by the etag with which it had not."""
        job = self._find(container_id)
        if job is None:
            return None
        if readings.is_started(job):
            return self._observe(job)
        if self._deleted(job):
            return None
        raise DockerConnectionError(f"{self.host.name}: {container_id} changed while it was discarded.")

    def open_log(self, container_id: str, resume: Resume, *, follow: bool) -> LogSource:
        """The log after what is stored; DockerConnectionError if the Job is gone."""
        if self._find(container_id) is None:
            raise DockerConnectionError(f"{self.host.name}: {container_id} is gone, and its log with it.")
        return self._reader.open(container_id, resume, follow=follow)

    def watch(self, stop: threading.Event) -> Iterator[Hint]:
        """Yield a hint a few seconds after a container has ended."""
        return watch.watch(self.list_containers, stop)

    def close(self) -> None:
        """Drop the calling thread's connections."""
        if self._made is not None:
            self._made.close()

    @property
    def _api(self) -> Api:
        with self._lock:
            if self._made is None:
                try:
                    from hosts.executors.cloudrun.client import Api
                except ImportError as exc:
                    raise ConfigurationError(_EXTRA.format(exc)) from exc
                self._made = Api(self._settings)
            return self._made

    def _has_ended(self, container_id: str) -> bool:
        """Whether an execution is over, or gone; for the thread that reads the logs."""
        job = self._api.get_job(container_id.rpartition("-")[0])
        if job is None or readings.id_of(job) != container_id:
            return True
        return readings.listed(self._settings, job).state == "exited"

    # ── looking ───────────────────────────────────────────────────────────────────────────────────────

    def _get(self, name: str) -> run_v2.Job | None:
        return self._call(lambda: self._api.get_job(name))

    def _find(self, ref: str) -> run_v2.Job | None:
        """The Job with this id, or for the container of this name; None if it is not there, or another."""
        ours = naming.split_id(ref)
        job = self._get(ours[0] if ours else naming.job_name(ref))
        return None if job is None or (ours and readings.id_of(job) != ref) else job

    def _ready(self, container_id: str) -> run_v2.Job | None:
        job = self._find(container_id)
        if job is None:
            raise DockerConnectionError(f"{self.host.name}: {container_id} was gone before it could start.")
        return job if readings.is_started(job) or readings.is_ready(job) else None

    def _execution(self, job: run_v2.Job) -> run_v2.Execution | None:
        """The execution of the Job: ours, or the one that somebody made by hand."""
        name = naming.last_part(job.name)
        found = self._call(lambda: self._api.get_execution(name, readings.id_of(job)))
        latest = naming.last_part(job.latest_created_execution.name)
        if found is None and latest and not job.start_execution_token:
            return self._call(lambda: self._api.get_execution(name, latest))
        return found

    def _observe(self, job: run_v2.Job) -> Observation:
        if not readings.is_started(job):
            return readings.observation(self._settings, job)
        execution, tasks = self._execution(job), []
        if execution is not None and execution.completion_time and not execution.succeeded_count:
            names = naming.last_part(job.name), naming.last_part(execution.name)
            tasks = self._call(lambda: self._api.list_tasks(*names))
        return readings.observation(self._settings, job, execution, tasks)

    def _instead_of(self, job: JobView) -> Observation:
        """What has the Job's name."""
        seen = self.observe(job.container_name)
        if seen is None:
            raise DockerConnectionError(
                f"{self.host.name}: a job of the name {naming.job_name(job.container_name)} is being deleted."
            )
        return seen

    # ── ending ────────────────────────────────────────────────────────────────────────────────────────

    def _cancel(self, job: run_v2.Job, execution: run_v2.Execution) -> None:
        names = naming.last_part(job.name), naming.last_part(execution.name)
        try:
            self._api.cancel_execution(*names)
        except ApiError as error:
            ended = self._call(lambda: self._api.get_execution(*names))
            if ended is not None and not ended.completion_time:
                raise answers.unexpected(self.host.name, error) from error

    def _ended(self, container_id: str) -> run_v2.Job | None:
        """The Job once its execution, cancelled now, has ended; None if it is gone."""
        self.signal(container_id, "KILL")

        def look() -> tuple[run_v2.Job | None] | None:
            job = self._find(container_id)
            return (job,) if job is None or self._observe(job).state == "exited" else None

        return self._until(look, what=f"the end of {container_id}")[0]

    def _deleted(self, job: run_v2.Job) -> bool:
        """Delete it as it was read, and wait until its name is free; False if it has changed since."""
        name, container_id = naming.last_part(job.name), readings.id_of(job)
        try:
            self._api.delete_job(name, job.etag)
        except ApiError as error:
            if error.is_conflict or error.status == HTTPStatus.BAD_REQUEST:
                return self._find(container_id) is None
            if not error.is_not_found:
                raise answers.unexpected(self.host.name, error) from error
        self._until(lambda: self._find(container_id) is None, what=f"{container_id} to be deleted")
        return True

    def _call(self, call: Callable[[], Answer]) -> Answer:
        try:
            return call()
        except ApiError as error:
            raise answers.unexpected(self.host.name, error) from error

    def _until(self, look: Callable[[], Answer | None], *, what: str) -> Answer:
        """What `look` gives once it gives something; DockerConnectionError after the host's timeout."""
        deadline, tries = time.monotonic() + self._settings.timeout, 0
        while True:
            found = look()
            if found:
                return found
            wait = _LOOK_AGAIN_SECONDS[min(tries, len(_LOOK_AGAIN_SECONDS) - 1)]
            if time.monotonic() + wait >= deadline:
                raise DockerConnectionError(
                    f"{self.host.name}: waited {self._settings.timeout:g} s for {what}."
                )
            time.sleep(wait)
            tries += 1
