"""What turns an executor that can only launch jobs into one that a worker can work with.

Such a class has `launch_job(job)`, and of the rest of the contract whatever it likes; what it leaves out
stands here. Nothing of it can be asked of its platform twice, so nothing is: `launch_job` is called once for
each attempt, after the attempt's id was stored. If a worker dies before the answer is stored, nobody can tell
whether the platform has the job: it is *unknown*, and never launched again.

Hooks that a class may have beside `launch_job` (`docs/executors.md` tells more of each):

* `check_status(platform_id)`: a word (`running`, `completed`, `failed`, `not-found`) or the exit code of a
  job that ended. Without it a job is over, with exit code 0, as soon as it is launched;
* `get_logs(platform_id)`: what an ended job wrote: a text, or a pair of texts (stdout, stderr);
* `stop_job(platform_id, name)`: end it, now or soon: by the signal TERM at first, and if it still runs after
  its grace by KILL. Without it, neither a cancel nor `timeout_seconds` ends a job that was launched;
* `cleanup(platform_id)`: an ended job is over and done with.

What `check_status` and `stop_job` raise means that nobody can tell: they are asked again. `get_logs` is, too,
a few times; a job whose log cannot be had ends without.
"""

from __future__ import annotations

import dataclasses
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum, auto
from functools import cache
from typing import Any

from hosts.errors import ContainerBusy, ContainerExecutionError, DockerConnectionError, TallymanError
from hosts.executors.contract import (
    LABEL_PREFIX,
    ContainerExecutor,
    EngineFacts,
    Hint,
    HostView,
    JobView,
    Observation,
    labels_for,
)
from hosts.executors.log_source import LogSource, Resume
from hosts.executors.texts import TextLog
from hosts.masking import mask_text

_MOST_KEPT = 10_000
_MOST_VAIN_READS = 5
_MOST_DROPPED = 1000
_WORDS: dict[str, tuple[str, int | None]] = {
    **dict.fromkeys(("pending", "queued", "starting", "running", "stopping"), ("running", None)),
    **dict.fromkeys(("completed", "succeeded", "success"), ("exited", 0)),
    **dict.fromkeys(("failed", "error"), ("exited", 1)),
}
_ABSENT = {"not-found", "not_found", "gone"}


class _Stage(Enum):
    MADE = auto()
    LAUNCHING = auto()  # the platform was asked, and has not answered, or with nothing that proves anything
    LAUNCHED = auto()


@dataclass(slots=True)
class _Launch:
    """What this process knows of an attempt, beyond its id."""

    job: JobView
    stage: _Stage = _Stage.MADE
    platform_id: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Id:
    """An attempt's id: `<number>.<job>:<platform's id>`; the last part is empty until it is launched.

    So whoever finds it in a row knows whose it is, and whether the platform's answer was stored.
    """

    number: str
    job: str
    platform_id: str = ""

    def __str__(self) -> str:
        return f"{self.number}.{self.job}:{self.platform_id}"

    @classmethod
    def of(cls, job: JobView) -> _Id:
        return cls(str(job.attempt), str(job.id))

    @classmethod
    def read(cls, ref: str) -> _Id | None:
        """None if it is a name."""
        head, colon, platform_id = ref.partition(":")
        number, dot, job = head.partition(".")
        return cls(number, job, platform_id) if colon and dot and number.isdecimal() else None


@cache
def completed(executor: type[ContainerExecutor]) -> type[ContainerExecutor]:
    """The class, with what it leaves out if it only launches jobs; all others as they are."""
    only_launches = executor.launch_job is not ContainerExecutor.launch_job
    if not only_launches or not getattr(executor, "__abstractmethods__", None):
        return executor
    own = {
        "__module__": executor.__module__,
        "__doc__": executor.__doc__,
        "__qualname__": executor.__qualname__,
    }
    made: type[ContainerExecutor] = type(executor.__name__, (executor, LaunchOnly), own)
    made.capabilities = dataclasses.replace(executor.capabilities, **_implied(executor))
    return made


def _implied(executor: type[ContainerExecutor]) -> dict[str, bool]:
    """The flags that follow from the methods that a class has."""

    def has(*names: str) -> bool:
        mine = (getattr(executor, name, None) for name in names)
        base = [getattr(ContainerExecutor, name, None) for name in names]
        return any(one is not None and one is not theirs for one, theirs in zip(mine, base, strict=True))

    return {
        "pull": has("pull"),
        "hints": has("watch"),
        "logs": has("get_logs", "open_log"),
        "live_logs": has("open_log") and executor.capabilities.live_logs,
        "usage": has("usage"),
        "stop": has("stop_job", "signal"),
        "lists": has("list_containers"),
    }


class LaunchOnly(ContainerExecutor):
    """See the module. Mixed in behind a class that has `launch_job`."""

    check_status: Callable[[str], Any] | None = None
    get_logs: Callable[[str], Any] | None = None
    stop_job: Callable[[str, str], Any] | None = None
    cleanup: Callable[[str], Any] | None = None
    _launches: dict[str, _Launch]
    _dropped: deque[str]  # ids of which we know that they were not launched
    _vain_reads: Counter[str]
    _lock: threading.Lock

    def __new__(cls, *args: Any, **kwargs: Any) -> LaunchOnly:
        """As any; what is kept of launches does not depend on whether a subclass calls our __init__."""
        made: LaunchOnly = super().__new__(cls, *args, **kwargs)  # type: ignore[assignment]
        made._launches, made._vain_reads, made._dropped = {}, Counter(), deque(maxlen=_MOST_DROPPED)
        made._lock = threading.Lock()
        return made

    def check(self) -> EngineFacts:
        """All that can be said of a platform that is only launched on: which host's it is."""
        return EngineFacts(engine_id=f"{type(self).__name__}-{self.host.id}", version="unknown")

    def create(self, job: JobView) -> Observation:
        """Note the job; nothing is asked of the platform before its attempt is stored."""
        with self._lock:
            for key, known in self._launches.items():
                if known.job.container_name == job.container_name:
                    return self._seen(key, known)
            key = str(_Id.of(job))
            self._forget_the_oldest()
            self._launches[key] = _Launch(job)
            return self._seen(key, self._launches[key], fresh=True)

    def start(self, container_id: str) -> str | None:
        """Launch the job, once; its id from now on, with the platform's in it."""
        with self._lock:
            launch = self._launches.get(container_id)
            if launch is None or launch.stage is _Stage.LAUNCHING:
                raise _unknown(self.host)
            if launch.stage is _Stage.LAUNCHED:
                return None
            launch.stage = _Stage.LAUNCHING
        try:
            platform_id = self._launch(launch.job)
        except ContainerExecutionError:
            with self._lock:
                self._launches.pop(container_id, None)
            raise
        with self._lock:
            launch.platform_id, launch.stage = platform_id, _Stage.LAUNCHED
            launch.started_at = datetime.now(UTC)
            longer = str(dataclasses.replace(_Id.of(launch.job), platform_id=platform_id))
            self._launches.pop(container_id, None)
            self._launches[longer] = launch
        return longer

    def observe(self, ref: str) -> Observation | None:
        """What `check_status` says of a launched job; DockerConnectionError if nobody can tell."""
        with self._lock:
            key, launch = self._find(ref)
            if launch and launch.stage is _Stage.MADE:
                return self._seen(key, launch)
        if launch and launch.stage is _Stage.LAUNCHING:
            raise _unknown(self.host)
        whose = _Id.read(key)
        if whose is None:
            return None  # by name only those are asked for that no attempt was stored for
        if whose.platform_id:
            return self._status(whose, launch)
        if key not in self._dropped:
            raise _unknown(self.host)
        return None

    def list_containers(self) -> list[Observation]:
        """None: what the platform has cannot be asked."""
        return []

    def signal(self, container_id: str, name: str) -> None:
        """Ask `stop_job` to end it."""
        whose = self._launched(container_id)
        if whose and self.stop_job:
            _asked(self.stop_job, whose.platform_id, name)

    def remove(self, container_id: str, *, force: bool = False) -> None:
        """Forget the job, and let `cleanup` do what is to be done at its end."""
        seen = self.observe(container_id) if self._launched(container_id) else None
        if seen and seen.state == "running":
            if not force:
                raise ContainerBusy(f"{container_id} is running.")
            self.signal(container_id, "KILL")
        whose = self._launched(container_id)
        if whose and self.cleanup and seen:
            _asked(self.cleanup, whose.platform_id)
        with self._lock:
            key, launch = self._find(container_id)
            if launch and launch.stage is _Stage.LAUNCHING and not force:
                raise ContainerBusy(f"{container_id} is being launched.")
            if launch and launch.stage is _Stage.MADE:
                self._drop(key)
            self._launches.pop(key, None)

    def discard(self, container_id: str) -> Observation | None:
        """Forget a job that was not launched; DockerConnectionError if nobody can tell whether it was."""
        with self._lock:
            key, launch = self._find(container_id)
            if launch and launch.stage is _Stage.MADE:
                self._drop(key)
                return None
        return self.observe(container_id)

    def open_log(self, container_id: str, resume: Resume, *, follow: bool) -> LogSource:
        """What `get_logs` tells of an ended job."""
        whose = self._launched(container_id)
        if not whose or not self.get_logs:
            raise ContainerExecutionError(
                f"{self.label} has no logs to give.",
                failure_class="log_missing",
                hint="Look at the platform itself.",
            )
        try:
            said = _asked(self.get_logs, whose.platform_id)
        except DockerConnectionError as exc:
            self._vain_reads[container_id] += 1
            if self._vain_reads[container_id] < _MOST_VAIN_READS:
                raise
            raise _refused(str(exc), "log_missing", "Look at the platform itself.") from exc
        self._vain_reads.pop(container_id, None)
        return TextLog(said, resume)

    def watch(self, stop: threading.Event) -> Iterator[Hint]:
        """Nothing is heard; see `Capabilities.hints`."""
        yield Hint(container_id=None, action="connected")
        stop.wait()

    def _launch(self, job: JobView) -> str:
        """The platform's id; ContainerExecutionError if it has not been launched, or cannot be told."""
        try:
            answer = self.launch_job(job)
        except (ContainerExecutionError, DockerConnectionError):
            raise
        except Exception as exc:
            reason = mask_text(f"{type(exc).__name__}: {exc}")
            raise _refused(f"launch_job failed: {reason}", "launch_failed", _DOUBTFUL) from exc
        match answer:
            case (True, platform_id) if platform_id not in (None, ""):
                return str(platform_id)
            case (False, reason):
                raise _refused(str(reason or "launch_job gave no reason."), "launch_refused", _REFUSED)
        raise _refused(
            f"launch_job gave {mask_text(repr(answer))[:200]}, which is neither (True, id) nor "
            "(False, reason).",
            "launch_failed",
            _DOUBTFUL,
        )

    def _status(self, whose: _Id, launch: _Launch | None) -> Observation | None:
        said = _asked(self.check_status, whose.platform_id) if self.check_status else 0
        if said is None or said in _ABSENT:
            return None
        state, exit_code = _meaning(said)
        error = "" if isinstance(said, int) or not exit_code else f"check_status said {said!r}."
        if launch is None:
            return self._observation(whose, "exited" if state == "exited" else "running", exit_code, error)
        with self._lock:
            if state == "exited":
                launch.finished_at = launch.finished_at or datetime.now(UTC)
            return self._seen(str(whose), launch, exit_code=exit_code, error=error)

    def _seen(
        self, key: str, launch: _Launch, *, exit_code: int | None = None, error: str = "", fresh: bool = False
    ) -> Observation:
        """What is known of one of our own."""
        made = launch.stage is _Stage.MADE
        return Observation(
            container_id=key,
            name=launch.job.container_name,
            state="created" if made else "exited" if launch.finished_at else "running",
            labels=labels_for(self.host, launch.job),
            exit_code=exit_code,
            started_at=launch.started_at,
            finished_at=launch.finished_at,
            error=error,
            metadata={} if made else dict(launch.job.executor_metadata),
            fresh=fresh,
        )

    def _observation(self, whose: _Id, state: Any, exit_code: int | None, error: str) -> Observation:
        """What is known of one that an earlier process launched."""
        ours = {"installation": str(self.host.installation), "job": whose.job, "attempt": whose.number}
        return Observation(
            container_id=str(whose),
            name=str(whose),
            state=state,
            labels={LABEL_PREFIX + name: value for name, value in ours.items()},
            exit_code=exit_code,
            finished_at=datetime.now(UTC) if state == "exited" else None,
            error=error,
        )

    def _find(self, ref: str) -> tuple[str, _Launch | None]:
        """By id, by the id that it had before it was launched, or by name."""
        if ref in self._launches:
            return ref, self._launches[ref]
        for key, launch in self._launches.items():
            if ref in (launch.job.container_name, str(_Id.of(launch.job))):
                return key, launch
        return ref, None

    def _launched(self, container_id: str) -> _Id | None:
        with self._lock:
            key, _ = self._find(container_id)
        whose = _Id.read(key)
        return whose if whose and whose.platform_id else None

    def _drop(self, key: str) -> None:
        """Forget one that was not launched, and never will be."""
        del self._launches[key]
        self._dropped.append(key)

    def _forget_the_oldest(self) -> None:
        """Those that ended and were left on their host, beyond so many."""
        if len(self._launches) >= _MOST_KEPT:
            over = [key for key, launch in self._launches.items() if launch.finished_at]
            for key in over[: max(1, len(over) // 2)]:
                del self._launches[key]


def _asked(hook: Callable[..., Any], *args: str) -> Any:
    """What a hook answers; DockerConnectionError if it raises anything of its own."""
    try:
        return hook(*args)
    except TallymanError:
        raise
    except Exception as exc:
        reason = mask_text(f"{type(exc).__name__}: {exc}")
        raise DockerConnectionError(f"{getattr(hook, '__name__', 'A hook')} failed: {reason}") from exc


def _meaning(said: object) -> tuple[str, int | None]:
    if isinstance(said, int) and not isinstance(said, bool):
        return "exited", said
    if isinstance(said, str) and said.lower() in _WORDS:
        return _WORDS[said.lower()]
    raise DockerConnectionError(
        f"check_status gave {said!r}, which is neither an exit code nor one of "
        f"{', '.join(sorted({*_WORDS, *_ABSENT}))}."
    )


_REFUSED = "The executor's launch_job said so; nothing was launched."
_DOUBTFUL = "Look on the platform whether it has the job all the same, before you retry it."


def _refused(message: str, failure_class: str, hint: str) -> ContainerExecutionError:
    return ContainerExecutionError(message, failure_class=failure_class, hint=hint)


def _unknown(host: HostView) -> DockerConnectionError:
    return DockerConnectionError(
        "Whether it was launched is not known, so it is not launched again. Look for it on the platform of "
        f"host {host.name}; `manage_container_job declare-lost ID` ends the wait.",
        failure_class="launch_unknown",
    )
