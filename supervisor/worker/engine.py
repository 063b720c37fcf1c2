"""A worker's threads: all that ever calls its engine, each with a client of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any
from uuid import UUID

from hosts.executors.contract import HostView, JobView
from hosts.leases import Lease
from supervisor.worker import steps
from supervisor.worker.breadcrumb import Crumb
from supervisor.worker.inbox import Inbox, Wake
from supervisor.worker.log_pump import LogPump
from supervisor.worker.making import executor_within
from supervisor.worker.pool import StepPool
from supervisor.worker.sampler import SamplerOnDemand
from supervisor.worker.steps import Hands
from supervisor.worker.watch import Watcher

STEP_THREADS = 4
START_THREADS = 4
PULL_THREADS = 2
STORE_THREADS = 2
_TIMEOUT_SECONDS = 30.0


class Engine:
    """Pools for steps, starts, pulls and probes, the log pump, the event watcher and the usage sampler."""

    def __init__(self, host: HostView, lease: Lease, wake: Wake, crumb: Crumb) -> None:
        self.executor = executor_within(host)
        self.can = self.executor.capabilities
        self.timeout_seconds = _timeout(host)
        self.hands = Hands(self.executor, lease)
        self.inbox = Inbox(wake)
        close = self.executor.close
        self._steps = StepPool("steps", STEP_THREADS, self.inbox, close)
        # Apart from the steps, for a start takes as long as all of them together: what has ended is not to
        # wait for what begins. More at once than twice an engine's CPUs only makes each of them longer.
        self._starts = StepPool("starts", START_THREADS, self.inbox, close)
        self._pulls = StepPool("pulls", PULL_THREADS, self.inbox, close)
        # Apart, too: a store of secrets that hangs holds up launches that need it, and nothing else.
        self._stores = StepPool("stores", STORE_THREADS, self.inbox, close)
        # Apart from the steps, so that an engine that hangs in all of them is still asked who it is; and two,
        # so that it is while it takes long to list what is on it.
        self._probes = StepPool("probe", 2, self.inbox, close)
        self._crumb = crumb
        self.watcher = Watcher(self.executor, self.inbox)
        self.sampler = SamplerOnDemand(self.executor)

    @cached_property
    def pump(self) -> LogPump:
        """Reads the logs; made when there is one to read."""
        return LogPump(self.inbox, self._crumb)

    @property
    def is_whole(self) -> bool:
        """False: the thread that reads the logs crashed, and no log is read any more."""
        return "pump" not in self.__dict__ or self.pump.is_alive

    def watch_logs(self, seconds: Mapping[UUID, float]) -> None:
        """Somebody looks at the logs of these attempts, for so long yet, and at no others."""
        if seconds or "pump" in self.__dict__:
            self.pump.watch(seconds)

    def step(self, run_id: UUID, name: str, call: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Hand a step of a run to a thread; a StepDone comes back."""
        pool = {"PULL": self._pulls, "START": self._starts}.get(name, self._steps)
        pool.submit(run_id, name, call, self.hands, *args, **kwargs)

    def ensure(self, run_id: UUID, view: JobView) -> None:
        """Hand the making of a run's container to a thread, as `step`."""
        if view.references:
            self._stores.submit(run_id, "ENSURE", steps.read_and_ensure, self.hands, view)
        else:
            self.step(run_id, "ENSURE", steps.ensure, view)

    def probe(self, host_id: UUID, name: str, call: Callable[[], Any]) -> None:
        """Ask something about the engine itself; a StepDone comes back under the host's id."""
        self._probes.submit(host_id, name, call)

    def stop(self, timeout_seconds: float) -> None:
        """Let the logs read so far come in, and every thread end; hanging calls are left behind."""
        pools = (self._steps, self._starts, self._pulls, self._stores, self._probes)
        for part in (*pools, self.watcher, self.sampler):
            part.stop()
        if "pump" in self.__dict__:
            self.pump.stop(timeout_seconds)


def _timeout(host: HostView) -> float:
    """How long one call may take, as the host's settings say."""
    named = host.config.get("timeout")
    return float(named) if isinstance(named, int | float) and named > 0 else _TIMEOUT_SECONDS
