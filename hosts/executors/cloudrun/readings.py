"""What the v2 API's answers say, as Observations. Pure; it reads fields, and imports nothing of Google's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hosts.errors import ContainerExecutionError, LaunchFailed
from hosts.executors.cloudrun import naming
from hosts.executors.cloudrun.causes import Cause, Told, cause
from hosts.executors.cloudrun.configuration import Settings
from hosts.executors.contract import ContainerState, EndedBy, Observation

if TYPE_CHECKING:
    from google.cloud import run_v2

_REASON_FIELDS = ("reason", "revision_reason", "execution_reason")
_CONSOLE = "https://console.cloud.google.com/run/jobs/executions/details/{region}/{name}?project={project}"
_UID_CHARS = 3
_WAITING = {"CONDITION_PENDING", "CONDITION_RECONCILING"}
_EXIT_CODE = re.compile(r"(Task \S+ failed with message: )?Container called exit\([0-9]+\)\.?")


def id_of(job: run_v2.Job) -> str:
    """The container's id."""
    return naming.container_id(naming.last_part(job.name), job.uid)


def is_started(job: run_v2.Job) -> bool:
    """Whether an execution was asked for, by us or by anybody."""
    return bool(job.start_execution_token or job.run_execution_token or job.execution_count)


def is_ready(job: run_v2.Job) -> bool:
    """Whether Cloud Run is done with what was last asked of the Job, for better or worse."""
    return not job.reconciling and job.observed_generation >= job.generation


def observation(
    settings: Settings,
    job: run_v2.Job,
    execution: run_v2.Execution | None = None,
    tasks: Iterable[run_v2.Task] = (),
    *,
    fresh: bool = False,
) -> Observation:
    """The container that a Job with its execution is. `tasks` are needed of a failed one only."""
    ended: dict[str, Any] = {}
    if execution is not None:
        ended = _end(execution, tuple(tasks))
    elif is_started(job) and is_ready(job) and _failure(job.terminal_condition):
        ended = _told(_cause_of_job(job), job.terminal_condition.message)
    return Observation(
        container_id=id_of(job),
        name=job.annotations.get(naming.NAME_ANNOTATION, naming.last_part(job.name)),
        state="exited" if ended else _state(job, execution),
        labels=naming.labels_here(job.labels),
        started_at=_moment(execution.start_time) if execution is not None else None,
        image_digest=_digest(job),
        metadata=metadata(settings, job),
        fresh=fresh,
        **(ended or {"error": _waits_for(execution)}),
    )


def _state(job: run_v2.Job, execution: run_v2.Execution | None) -> ContainerState:
    """Of one that has not ended."""
    if not is_started(job):
        return "created"
    return "running" if execution is not None and _runs(execution) else "starting"


def _runs(execution: run_v2.Execution) -> bool:
    """Whether its task has begun: before, Cloud Run looks for room and brings the image there."""
    return bool(execution.start_time or execution.running_count)


def _waits_for(execution: run_v2.Execution | None) -> str:
    """What an execution that does not run yet waits for, in Cloud Run's words."""
    if execution is None or _runs(execution):
        return ""
    waiting = (one for one in execution.conditions if one.state.name in _WAITING and one.message)
    return next((str(one.message) for one in waiting), "")


def listed(settings: Settings, job: run_v2.Job) -> Observation:
    """As the list of all Jobs shows it: its state, and of its end no more than that it has come."""
    status = job.latest_created_execution.completion_status.name
    ended = status in {"EXECUTION_SUCCEEDED", "EXECUTION_FAILED", "EXECUTION_CANCELLED"}
    going: ContainerState = "running" if status == "EXECUTION_RUNNING" else "starting"
    state: ContainerState = "exited" if ended else going if is_started(job) else "created"
    return Observation(
        container_id=id_of(job),
        name=job.annotations.get(naming.NAME_ANNOTATION, naming.last_part(job.name)),
        state=state,
        labels=naming.labels_here(job.labels),
        finished_at=_moment(job.latest_created_execution.completion_time) if ended else None,
        metadata=metadata(settings, job),
    )


def metadata(settings: Settings, job: run_v2.Job) -> Mapping[str, Any]:
    """`executor_metadata` as the specification has it.

    A Job has no URL of its own and no revisions: `service_url` is where people see its execution, `revision`
    names what of the Job was run, in the words of a service's revision.
    """
    name = naming.last_part(job.name)
    where = {"region": settings.region, "project": settings.project}
    return {
        "job_name": name,
        "execution_name": id_of(job),
        **where,
        "service_url": _CONSOLE.format(name=id_of(job), **where),
        "revision": f"{name}-{job.generation:05d}-{job.uid[:_UID_CHARS]}",
        "generation": int(job.generation),
    }


def refusal(host: str, job: run_v2.Job) -> ContainerExecutionError | None:
    """Why a Job that was not started cannot be started; None if it can."""
    if is_started(job) or not _failure(job.terminal_condition):
        return None
    return _refused(
        _cause_of_job(job), f"{host}: Cloud Run cannot run the job", job.terminal_condition.message
    )


def _end(execution: run_v2.Execution, tasks: tuple[run_v2.Task, ...]) -> dict[str, Any]:
    if not execution.completion_time:
        return {}
    ended: dict[str, Any] = {"finished_at": _moment(execution.completion_time)}
    if execution.succeeded_count and not (execution.failed_count or execution.cancelled_count):
        return {**ended, "exit_code": 0}
    # No exit code is 0 here: of a task that failed, the API says 0 where it knows none.
    exit_code = next((task.last_attempt_result.exit_code for task in tasks), 0) or None
    said = [task.last_attempt_result.status for task in tasks]
    message = next((status.message for status in said if status.message), "") or _message(execution)
    reasons = _reasons(execution.conditions)
    told = Told(
        message=message,
        reasons=("CANCELLED", *reasons) if execution.cancelled_count else reasons,
        code=next((status.code for status in said if status.code), 0),
        ran=exit_code is not None or any(task.start_time for task in tasks),
    )
    found = cause(told)
    return {**ended, "exit_code": exit_code or found.exit_code, **_told(found, message)}


def _told(found: Cause, message: str) -> dict[str, Any]:
    if found.why in {"rejected", "infra"}:
        return {"refusal": _refused(found, "Cloud Run could not run it", message), "error": message}
    if _EXIT_CODE.fullmatch(message):
        message = ""  # the exit code says that
    return {"ended_by": _ENDED_BY.get(found.why, ""), "oom_killed": found.oom_killed, "error": message}


def _refused(found: Cause, what: str, said: str) -> ContainerExecutionError:
    kind = ContainerExecutionError if found.why == "rejected" else LaunchFailed
    return kind(
        f"{what}: {said or 'it does not say why.'}",
        failure_class=found.failure_class,
        hint="See docs/executors-cloudrun.md for images, roles and quotas.",
        exit_code=found.exit_code,
    )


_ENDED_BY: dict[str, EndedBy] = {"timeout": "timeout", "cancelled": "outside"}


def _cause_of_job(job: run_v2.Job) -> Cause:
    condition = job.terminal_condition
    return cause(Told(message=condition.message, reasons=_reasons([condition])))


def _failure(condition: run_v2.Condition) -> bool:
    return str(condition.state.name) == "CONDITION_FAILED"


def _reasons(conditions: Iterable[run_v2.Condition]) -> tuple[str, ...]:
    failed = [condition for condition in conditions if _failure(condition)]
    codes = [getattr(condition, name) for condition in failed for name in _REASON_FIELDS]
    return tuple(code.name for code in codes if code)


def _message(execution: run_v2.Execution) -> str:
    failed = [condition for condition in execution.conditions if _failure(condition)]
    failed.sort(key=lambda condition: condition.type_ != "Completed")
    return failed[0].message if failed else ""


def _digest(job: run_v2.Job) -> str:
    containers = job.template.template.containers
    image = containers[0].image if containers else ""
    return image if "@sha256:" in image else ""


def _moment(value: Any) -> datetime | None:
    """A plain datetime: Google's own has nanoseconds that nobody else understands."""
    return datetime.fromtimestamp(value.timestamp(), value.tzinfo) if value else None
