"""The contract between a worker and whatever runs containers.

An executor is a thin, synchronous client. It never sees a model, a transaction or a lease: it is handed
plain values, does one bounded engine call, and says what it saw. The order of the calls, the fences
between them and every retry belong to the worker.

Rules for every method:

* it returns or raises within its timeouts (seconds, from `HostView.config["timeout"]`, default 30), and
  `check` sooner (CHECK_SECONDS a call);
* `DockerConnectionError` means *unknown*: the call may or may not have taken effect;
* `ContainerExecutionError` means *final*, with proof that nothing was started;
* it may be called from several threads at once (an executor keeps one client per thread).
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, ClassVar, Literal
from uuid import UUID

from hosts.errors import ContainerBusy, ContainerExecutionError
from hosts.executors.capabilities import Capabilities
from hosts.executors.config_fields import ConfigField
from hosts.executors.container_options import ContainerOptions
from hosts.executors.examining import Step
from hosts.executors.log_source import LogSource, Resume

LABEL_PREFIX = "tallyman."
# An engine that says nothing for so long is away, however long a start or a removal may take on it.
CHECK_SECONDS = 10.0
PROTOCOL = "1"

# `starting`: the engine has taken on a start, and does what comes before it (finds room, pulls the image).
ContainerState = Literal["created", "starting", "running", "exited"]
EndedBy = Literal["", "timeout", "outside"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """What an executor may know of its host. `config` holds the decrypted credentials too: never log it.

    `policy` says what its containers may have, as `hosts.policy` reads it.
    """

    id: UUID
    name: str
    executor_type: str
    base_url: str
    installation: UUID
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)
    policy: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One network a container joins, and the names it answers to there."""

    name: str
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateView:
    """The template as it was when the attempt was claimed, under the specification's names."""

    name: str
    docker_image: str
    command: str
    working_directory: str
    memory_limit: int | None  # MB
    cpu_limit: float | None  # cores
    timeout_seconds: int
    max_log_bytes: int = 0  # what is kept of a log; 0: not said
    stop_signal: str = ""  # empty: not said; what is sent is said by `signal`
    stop_grace_seconds: int | None = None  # how long after it KILL follows; None: not said
    options: ContainerOptions = field(default_factory=ContainerOptions)


@dataclass(slots=True, kw_only=True)
class JobView:
    """One attempt, as an executor sees it.

    `command` is the argv to run (empty: the image's own), `environment` is merged and complete,
    secrets included: never log it; `secret_names` says which of it are secrets, and `secret_files` which of
    those the container is to find in files (an executor without that capability gets none). `references` are
    secrets of outside stores: the worker has read them into `environment` before an executor sees the job.
    `save()` hands `executor_metadata` to the worker.
    """

    id: UUID
    attempt_id: UUID
    attempt: int
    epoch: int
    name: str
    container_name: str
    template: TemplateView
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    secret_names: frozenset[str] = frozenset()
    secret_files: frozenset[str] = frozenset()
    references: Mapping[str, str] = field(default_factory=dict)
    networks: tuple[Network, ...] = ()
    tty: bool = False
    executor_metadata: dict[str, Any] = field(default_factory=dict)
    saved_metadata: dict[str, Any] | None = field(default=None, init=False)

    def save(self) -> None:
        """Hand `executor_metadata` to the worker, which stores it with the next fenced write."""
        self.saved_metadata = dict(self.executor_metadata)


def labels_for(host: HostView, job: JobView) -> dict[str, str]:
    """The labels every container of ours carries; adoption and reconciliation read nothing else of it."""
    return {
        LABEL_PREFIX + "installation": str(host.installation),
        LABEL_PREFIX + "host": str(host.id),
        LABEL_PREFIX + "job": str(job.id),
        LABEL_PREFIX + "attempt": str(job.attempt),
        LABEL_PREFIX + "epoch": str(job.epoch),
        LABEL_PREFIX + "protocol": PROTOCOL,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineFacts:
    """What the engine says of itself, and what can be seen of its machine; None where it cannot be told.

    `clock_at` is what the engine's clock showed; `answer_seconds` and `clock_skew_seconds` (from ours) are
    set by who asked. The last four are known of engines on this machine only.
    """

    engine_id: str
    version: str
    api_version: str = ""
    cpus: int | None = None
    memory_bytes: int | None = None
    containers_running: int | None = None
    operating_system: str = ""
    clock_at: datetime | None = None
    answer_seconds: float | None = None
    clock_skew_seconds: float | None = None
    cpu_percent: float | None = None
    memory_used_bytes: int | None = None
    disk_free_bytes: int | None = None
    disk_total_bytes: int | None = None

    def lasting(self) -> EngineFacts:
        """Without what is another at every look."""
        volatile: dict[str, Any] = dict.fromkeys(_VOLATILE)
        return replace(self, **volatile)


_VOLATILE = (
    *("containers_running", "clock_at", "answer_seconds", "clock_skew_seconds"),
    *("cpu_percent", "memory_used_bytes", "disk_free_bytes", "disk_total_bytes"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One container as the engine shows it now.

    `labels` are the engine's, whole. `started_at` is None for a container that never started, whatever
    its state says. `fresh` is True only in the answer of the `create` call that made the container.

    `refusal` comes with the state `exited` where the engine proves that nothing of the container ever ran,
    and never will: with a LaunchFailed for a reason that does not lie in the job (no room, no permission).

    `ended_by` is for a container that ran, and of whose end the engine says more than an exit code does: that
    it was the engine's own time limit, or `outside`: neither its program nor us (its machine was taken away,
    somebody stopped it). `error` is the engine's sentence then; while it is `starting`, what it waits for.
    """

    container_id: str
    name: str
    state: ContainerState
    labels: Mapping[str, str]
    exit_code: int | None = None
    oom_killed: bool = False
    started_at: datetime | None = None
    finished_at: datetime | None = None
    error: str = ""
    ended_by: EndedBy = ""
    image_digest: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    fresh: bool = False
    log_limit_bytes: int | None = None  # the engine drops the oldest of a log larger than this; None: never
    refusal: ContainerExecutionError | None = None

    def label(self, key: str) -> str:
        """Our label `tallyman.<key>`, or an empty string."""
        return self.labels.get(LABEL_PREFIX + key, "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One reading of a running container. None means that the engine does not tell.

    `at` is by the engine's clock, the one that stamps starts and exits. `memory_bytes` is what cannot be
    taken away at will: without the page cache that the kernel calls inactive; `cache_bytes` is all of its
    page cache. `memory_high_bytes` is the most that it ever held, page cache included, as the kernel counts
    it; None too once the container has come up against its limit, as then it is only the limit.
    """

    at: datetime | None = None
    memory_bytes: int | None = None
    cache_bytes: int | None = None
    memory_high_bytes: int | None = None
    cpu_seconds: float | None = None
    network_rx_bytes: int | None = None
    network_tx_bytes: int | None = None
    block_read_bytes: int | None = None
    block_write_bytes: int | None = None
    pids: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hint:
    """Something may have changed: `container_id` for one container, None for any of them."""

    container_id: str | None
    action: str
    at: datetime | None = None
    job: str = ""  # the label tallyman.job, where the engine sends it
    detail: str = ""  # what belongs to the action: "exit code 3" of a die, "signal 15" of a kill


class ContainerExecutor(ABC):
    """One kind of engine; `hosts.executors.registry` knows where subclasses are declared.

    A subclass has either every abstract method, or `launch_job` and of the others what it likes: what it
    leaves out is then done by `hosts.executors.launching`.
    """

    kind: ClassVar[str] = ""
    label: ClassVar[str] = ""
    # What it can: nobody asks more of it, and what it does not say here it cannot.
    capabilities: ClassVar[Capabilities] = Capabilities()
    # Settings that hold passwords: they are kept in the host's encrypted column, and nowhere else.
    secret_settings: ClassVar[frozenset[str]] = frozenset()
    # Its settings, for forms. One of the kind `secret` belongs into `secret_settings`, too.
    config_fields: ClassVar[tuple[ConfigField, ...]] = ()
    # How late records of a log may come after newer ones: so much of what is stored is in `Resume.tail`.
    log_tail_seconds: ClassVar[float] = 4.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.label = cls.label or cls.__name__

    def __new__(cls, *args: Any, **kwargs: Any) -> ContainerExecutor:
        """An object of the class, completed if it only launches jobs."""
        from hosts.executors.launching import completed  # it knows us

        whole = completed(cls)
        return super().__new__(cls) if whole is cls else whole.__new__(whole, *args, **kwargs)

    def __init__(self, host: HostView) -> None:
        self.host = host
        self.config: Mapping[str, Any] = host.config

    def launch_job(self, job: JobView) -> tuple[bool, str]:
        """Run the job on the platform: (True, the platform's id for it), or (False, why it was not launched).

        For executors that can only launch; called once for each attempt. What is to be kept of it goes into
        `job.executor_metadata`, followed by `job.save()`.
        """
        raise NotImplementedError(f"{type(self).__name__} starts its containers by create and start.")

    @classmethod
    def validate_config(cls, base_url: str, config: Mapping[str, Any]) -> list[str]:
        """Sentences that say what is wrong with a host's settings; empty when nothing is."""
        return []

    @classmethod
    def configured_log_limit(cls, config: Mapping[str, Any]) -> int | None:
        """The size at which a host's settings make its engine drop the oldest of a log; None: none do."""
        return None

    @classmethod
    def configured_retries(cls, config: Mapping[str, Any]) -> int | None:
        """How often a host's settings have a launch tried again that came to nothing; None: templates say."""
        return None

    def way_steps(self) -> list[Step]:
        """Steps of a connection test before `check` is asked; once one fails, the rest is left out."""
        return []

    def engine_steps(self) -> list[Step]:
        """Steps of a connection test once `check` has answered: each stands for itself."""
        return []

    @abstractmethod
    def check(self) -> EngineFacts:
        """Ask the engine who it is; DockerConnectionError if it does not answer, within CHECK_SECONDS."""

    @abstractmethod
    def create(self, job: JobView) -> Observation:
        """Make the container `job.container_name`, not started.

        If the name is taken, return what has it (`fresh` False), whoever made it. Raises ImageMissing.
        """

    @abstractmethod
    def start(self, container_id: str) -> str | None:
        """Start a container made by `create`. Call once: a second start may run it a second time.

        An engine that gives an id only now returns it: the container's from here on. None: it keeps its own.
        With the flag `starts_later` it returns when the engine has taken the start on: `observe` shows the
        state `starting` from then until it runs, or has come to an end (`Observation.refusal`). A job's
        timeout counts from when it runs.
        """

    @abstractmethod
    def observe(self, ref: str) -> Observation | None:
        """The container with this id or name; None only if a healthy engine says that there is none."""

    @abstractmethod
    def list_containers(self) -> list[Observation]:
        """Every container of this installation on the engine, stopped ones included."""

    @abstractmethod
    def signal(self, container_id: str, name: str) -> None:
        """Send a signal (by its short name: `TERM`, say) to the container's first process, KILL to all.

        No error if it is not running.
        """

    @abstractmethod
    def remove(self, container_id: str, *, force: bool = False) -> None:
        """Delete the container; one that is gone already is fine. ContainerBusy if it runs and not force."""

    def discard(self, container_id: str) -> Observation | None:
        """Delete a container that is not to be started; None with proof that it never was and never will be.

        An observation says that it has started, by somebody's earlier call: it is left as it is, or if it had
        ended by then it may be gone already (state `exited`, the exit code None where nobody knows it).
        An executor whose engine deletes exited containers without being forced must prove it in its own way.
        """
        try:
            self.remove(container_id)
        except ContainerBusy:
            return self.observe(container_id)
        return None

    @abstractmethod
    def open_log(self, container_id: str, resume: Resume, *, follow: bool) -> LogSource:
        """The log after what `resume` says is stored, without gap or repeat."""

    @abstractmethod
    def watch(self, stop: threading.Event) -> Iterator[Hint]:
        """Yield hints until `stop` is set; raises DockerConnectionError when the stream breaks.

        Yields once with `container_id=None` when connected: whatever came before may have been missed.
        Returns within a second after `stop` is set.
        """

    def usage(self, container_id: str) -> Usage | None:
        """One reading, or None if the container is not running (any more)."""
        return None

    def pull(self, image: str, *, progress: Callable[[str], None], cancelled: Callable[[], bool]) -> None:
        """Bring the image to the engine. Raises ContainerExecutionError, DockerConnectionError.

        `progress` gets short texts ("3 of 7 layers"), as often as there is news; when `cancelled()` turns
        true the pull is given up (DockerConnectionError). What is tried again later carries a
        `failure_class` if the image or its registry is to blame, and none if the engine is. An executor
        whose `create` never raises ImageMissing needs none.
        """
        return

    def close(self) -> None:
        """Drop the clients of the calling thread; an executor that has none needs nothing."""
        return
