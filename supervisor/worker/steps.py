"""What engine threads do: one step of one run, a few engine calls, no database, no decision that lasts.

Each step is handed plain values and answers with what it saw. Before every call that changes something the
lease is asked whether it is still trusted: past that, a step gives up and nothing is touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import get_args
from uuid import UUID

from hosts.errors import ContainerExecutionError, DockerConnectionError, EngineError, ExecutorFailed
from hosts.executors.contract import (
    LABEL_PREFIX,
    ContainerExecutor,
    ContainerState,
    EndedBy,
    EngineFacts,
    JobView,
    Observation,
)
from hosts.executors.log_source import LogSource, Resume
from hosts.identity import boot_clock
from hosts.leases import Lease
from hosts.secret_stores.resolving import resolve
from supervisor.worker import short_log
from supervisor.worker.short_log import BegunLog, ShortLog


@dataclass(frozen=True, slots=True)
class StepDone:
    """What came of a step. `error` is set instead of `result` when it raised."""

    run_id: UUID
    step: str
    result: object = None
    error: Exception | None = None


@dataclass(slots=True)
class Hands:
    """The engine and the right to touch it, as every step of a worker needs them."""

    executor: ContainerExecutor
    lease: Lease
    engine_id: str = ""  # the one we know, once it is known

    def guard(self) -> None:
        """Raise if the lease is not trusted any more: whatever follows must not happen."""
        if not self.lease.is_trusted():
            raise DockerConnectionError(
                "The lease of the host is not trusted just now; waiting for its renewal."
            )


def ensure(hands: Hands, view: JobView) -> Observation:
    """Make the container; the answer is fresh, or it is what has its name already."""
    hands.guard()
    return _observation(hands.executor.create(view), "create")


def refuse(hands: Hands, view: JobView, error: ContainerExecutionError) -> Observation:
    """What has the container's name already, of a job that may not run; the error if nothing has."""
    seen = observe(hands, view.container_name)
    if seen is None:
        raise error
    return seen


def read_and_ensure(hands: Hands, view: JobView) -> Observation:
    """As `ensure`, once the secrets that are kept elsewhere are read: once for the attempt, as the view stays
    with its run."""
    view.environment = {**view.environment, **resolve(view.references)}
    view.references = {}
    return ensure(hands, view)


def pull(hands: Hands, image: str, progress: Callable[[str], None], cancelled: Callable[[], bool]) -> None:
    """Bring the image to the engine, unless nobody wants it any more."""
    if cancelled():
        return
    hands.guard()
    hands.executor.pull(image, progress=progress, cancelled=cancelled)


def start(hands: Hands, container_id: str) -> str | Observation | None:
    """Start the container: sent once. An error that proves nothing is answered by `observe`.

    Its id from now on, if it has got another one by that; where it starts later, what is seen of it now.
    """
    hands.guard()
    given = hands.executor.start(container_id)
    if not hands.executor.capabilities.starts_later:
        return given
    return observe(hands, given or container_id)


def observe(hands: Hands, ref: str) -> Observation | None:
    """What the engine shows of the container; None if it is healthy and has none."""
    seen = hands.executor.observe(ref)
    if seen is None:
        _require_same_engine(hands)
        return None
    return _observation(seen, "observe")


@dataclass(frozen=True, slots=True)
class Harvest:
    """A container as its engine shows it, and its log if it has exited: all of it, if it is short."""

    seen: Observation | None
    log: ShortLog | BegunLog | None


def harvest(hands: Hands, ref: str, resume: Resume) -> Harvest:
    """As `observe`, for one that has exited most likely, and of whose log nothing is stored."""
    seen = observe(hands, ref)
    if seen is None or seen.state != "exited":
        return Harvest(seen, None)
    try:
        return Harvest(seen, short_log.read(open_log(hands, seen.container_id, resume, follow=False)))
    except EngineError:  # asked for again, by itself, whose answer then says what is the matter
        return Harvest(seen, None)


def glance(hands: Hands, ref: str) -> Observation | None:
    """Whose the container is, whether it runs, how it ended; nothing else leaves this thread."""
    seen = observe(hands, ref)
    if seen is None:
        return None
    return Observation(
        container_id=seen.container_id,
        name=seen.name,
        state=seen.state,
        labels={LABEL_PREFIX + key: seen.label(key) for key in ("installation", "job", "attempt")},
        exit_code=seen.exit_code,
        started_at=seen.started_at,
        finished_at=seen.finished_at,
        refusal=seen.refusal,
    )


def check(hands: Hands) -> EngineFacts:
    """What the engine says of itself, and how long it took to say so."""
    began = boot_clock()
    facts = _facts(hands)
    seconds = boot_clock() - began
    skew = abs((datetime.now(UTC) - facts.clock_at).total_seconds()) if facts.clock_at else None
    # The engine looked at its clock at some time in between.
    return replace(facts, answer_seconds=seconds, clock_skew_seconds=skew and max(0.0, skew - seconds))


def _require_same_engine(hands: Hands) -> None:
    """Raise unless the engine we know answers: at its address another one may, which has nothing of ours."""
    facts = _facts(hands)
    if hands.engine_id and facts.engine_id != hands.engine_id:
        raise DockerConnectionError(f"Another engine answers: {facts.engine_id}, not {hands.engine_id}.")


def send_signal(hands: Hands, container_id: str, name: str) -> None:
    """A signal by its short name."""
    hands.guard()
    hands.executor.signal(container_id, name)


def discard(hands: Hands, container_id: str) -> Observation | None:
    """Delete a container that never started; what became of it if it has started after all."""
    hands.guard()
    seen = hands.executor.discard(container_id)
    if seen is None:
        return None
    _require_same_engine(hands)
    return _observation(seen, "discard")


def clear(hands: Hands, container_id: str) -> None:
    """Delete the container of an attempt that has ended, running or not."""
    hands.guard()
    hands.executor.remove(container_id, force=True)


def reap(hands: Hands, orphan: Observation, how: str) -> None:
    """Remove a container of which no row tells, if it is still the one that was seen; `stop`: TERM only."""
    hands.guard()
    seen = hands.executor.observe(orphan.container_id)
    if seen is None or seen.labels != orphan.labels:
        return
    if how == "stop":
        hands.executor.signal(seen.container_id, "TERM")
    else:
        hands.executor.remove(seen.container_id, force=how == "kill")


def open_log(hands: Hands, container_id: str, resume: Resume, *, follow: bool) -> LogSource:
    """A source of what is not stored yet."""
    source = hands.executor.open_log(container_id, resume, follow=follow)
    if not all(callable(getattr(source, name, None)) for name in ("fileno", "read", "close")):
        raise ExecutorFailed(f"open_log gave {source!r}, which is no LogSource.")
    return source


def list_containers(hands: Hands) -> list[Observation]:
    """Every container of this installation on the engine."""
    return [_observation(seen, "list_containers") for seen in hands.executor.list_containers()]


# What an executor gives is looked at here, on the thread that asked: no worker is to stumble over it later.


def _facts(hands: Hands) -> EngineFacts:
    facts = hands.executor.check()
    if not isinstance(facts, EngineFacts) or not isinstance(facts.engine_id, str) or not facts.engine_id:
        raise ExecutorFailed(f"check gave {facts!r}, which is no EngineFacts with an engine_id.")
    return facts


def _observation(seen: object, method: str) -> Observation:
    """What a method gave, if it is what it has to give."""
    if not isinstance(seen, Observation):
        raise ExecutorFailed(f"{method} gave {seen!r}, which is no Observation.")
    texts = (seen.container_id, seen.name, seen.state)
    if not all(isinstance(one, str) for one in texts) or seen.state not in _STATES:
        raise ExecutorFailed(f"{method} gave a container of id, name and state {texts!r}.")
    if not (isinstance(seen.labels, Mapping) and isinstance(seen.metadata, Mapping)):
        raise ExecutorFailed(f"{method} gave labels or metadata of {seen.name} that are no mapping.")
    if not isinstance(seen.exit_code, int | None):
        raise ExecutorFailed(f"{method} gave {seen.exit_code!r} as the exit code of {seen.name}.")
    if not isinstance(seen.refusal, ContainerExecutionError | None) or seen.ended_by not in _ENDED_BY:
        raise ExecutorFailed(
            f"{method} gave {seen.refusal!r} and {seen.ended_by!r} as refusal and ended_by of {seen.name}."
        )
    return seen


_STATES = set(get_args(ContainerState))
_ENDED_BY = set(get_args(EndedBy))
