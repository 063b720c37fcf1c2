"""Handing the next step of each run to an engine thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import UUID

from hosts import policy
from hosts.errors import ConfigurationError, ContainerExecutionError, DockerConnectionError
from hosts.executors.capabilities import lacks
from hosts.executors.contract import JobView, Observation
from hosts.executors.log_source import Resume
from hosts.identity import boot_clock
from jobs import spec
from jobs.models import ContainerJob, EnvironmentVariable
from jobs.needs import needs
from jobs.states import AttemptState
from supervisor.worker import archive, progress, steps
from supervisor.worker.engine import Engine
from supervisor.worker.logbook import Logbook
from supervisor.worker.pulls import Pulls
from supervisor.worker.run import GIVE_UP_AFTER, Need, Run, next_step
from supervisor.worker.settings import WorkerSettings
from supervisor.worker.steps import StepDone

if TYPE_CHECKING:
    from supervisor.worker.keeper import HostKeeper

_ARCHIVE_WAIT_SECONDS = 0.5


class Dispatcher:
    """Asks each run what it needs, and gets it under way. Reads the database for secrets of a spec only."""

    def __init__(
        self,
        runs: dict[UUID, Run],
        engine: Engine,
        keeper: HostKeeper,
        logbook: Logbook,
        settings: WorkerSettings,
    ) -> None:
        self._runs, self._engine, self._keeper, self._logbook = runs, engine, keeper, logbook
        self._crumb = settings.crumbs.main
        self.pulls = Pulls(runs, engine, installation=settings.installation)
        self.stopping = False

    def dispatch(self, now: float) -> None:
        """Start whatever can be started now; nothing while the engine is away or another one."""
        if self.stopping or not self._keeper.may_touch:
            self._keeper.probe(now)
            return
        self.pulls.release(now)
        for run in list(self._runs.values()):
            with self._crumb(run.attempt_id):
                self._advance(run, now)
        self.pulls.begin()
        self._keeper.probe(now)

    def pulled(self, done: StepDone, now: float) -> None:
        """A pull is over, for all who waited for it."""
        if isinstance(done.error, DockerConnectionError) and not done.error.failure_class:
            self._keeper.doubt()
        self.pulls.take(done, now)

    def _advance(self, run: Run, now: float) -> None:
        self._logbook.advance(run, now)
        step = next_step(run, now)
        if step is not None:
            self._do(run, step)
        is_up = run.state in (AttemptState.RUNNING, AttemptState.STOPPING) and not run.archived
        if is_up and self._engine.can.usage:
            self._engine.sampler.watch(run.attempt_id, run.container_id, run.usage)

    def _do(self, run: Run, step: Need) -> None:
        run.busy = True
        try:
            _SEND[step](self, run)
        except BaseException:
            run.busy = False  # the database went away while the spec was read: nothing is in flight
            raise

    def _send(self, run: Run, step: Need, call: Callable[..., Any], *args: Any) -> None:
        self._engine.step(run.attempt_id, step.name, call, *args)

    def _ensure(self, run: Run) -> None:
        try:
            run.view = run.view or self._view(run)
        except ContainerExecutionError as exc:
            run.busy = False
            progress.reject(run, exc)
            return
        except ConfigurationError as exc:
            run.busy = False
            progress.secrets_unreadable(run, exc, boot_clock())
            return
        if refusal := self._not_allowed(run.view):
            # Asked of the engine all the same: one that was made before it was forbidden may run.
            self._send(run, Need.ENSURE, steps.refuse, run.view, refusal)
            return
        if self._engine.can.pull and progress.pull_first(run):
            run.busy = False
            return
        self._engine.ensure(run.attempt_id, run.view)

    def _view(self, run: Run) -> JobView:
        lacking = lacks(self._engine.can, needs(run.spec), label=self._engine.executor.label)
        if lacking:
            raise ContainerExecutionError(
                f"Its host's executor cannot run it. {' '.join(lacking)}",
                failure_class="not_supported",
                hint="Send it to a host of another kind, or take out of its template what this cannot do.",
            )
        return _thaw(run)

    def _not_allowed(self, view: JobView) -> ContainerExecutionError | None:
        """The error for what the host's policy forbids, whatever its executor looks at itself."""
        host, template = self._engine.executor.host, view.template
        networks = [network.name for network in view.networks]
        wrong = policy.refusals(
            *(host.policy, template.docker_image, template.options, networks),
            socket=policy.socket_of(host.base_url),
        )
        sentences = " ".join(wrong)
        if not sentences:
            return None
        return ContainerExecutionError(
            sentences,
            failure_class="not_allowed",
            hint=f"Change the template, or have the policy of host {host.name} changed.",
        )

    def _pull(self, run: Run) -> None:
        """Nothing of its own is sent: it waits for its image, perhaps with others (`Pulls.begin`)."""

    def _start(self, run: Run) -> None:
        run.start_sent = True
        self._send(run, Need.START, steps.start, run.container_id)

    def _observe(self, run: Run) -> None:
        if run.untold_start and run.heard_die and not run.is_poison:
            self._send(run, Need.OBSERVE, steps.harvest, run.ref, Resume(tty=bool(run.spec["tty"])))
        else:
            self._send(run, Need.OBSERVE, _look(run), run.ref)

    def _signal(self, run: Run) -> None:
        self._send(run, Need.SIGNAL, steps.send_signal, run.container_id, run.signal)

    def _discard(self, run: Run) -> None:
        self._send(run, Need.DISCARD, steps.discard, run.discarding_id)

    def _clear(self, run: Run) -> None:
        assert run.doomed is not None
        if self._is_archived_first(run.doomed, run):
            run.busy, run.need = False, Need.ENSURE
            run.resume_clock = boot_clock() + _ARCHIVE_WAIT_SECONDS
            return
        self._send(run, Need.CLEAR, steps.clear, run.doomed.container_id)

    def _is_archived_first(self, doomed: Observation, run: Run) -> bool:
        """Whether the container in the way is one whose log is to be read before it goes."""
        if not any(other.archived and other.job_id == run.job_id for other in self._runs.values()):
            for late in archive.begin([doomed], self._keeper.host_id, run.epoch):
                self._runs[late.attempt_id] = late
        return any(other.archived and other.job_id == run.job_id for other in self._runs.values())

    def _withdraw(self, run: Run) -> None:
        run.withdrawing = True  # for good, whatever the engine answers next
        self._send(run, Need.WITHDRAW, _look(run), run.container_name)

    def _remove(self, run: Run) -> None:
        if run.trouble >= GIVE_UP_AFTER:
            run.busy, run.need = False, Need.GONE  # the reconciliation finds what is left
            return
        self._send(run, Need.REMOVE, steps.clear, run.container_id)


_SEND: dict[Need, Callable[[Dispatcher, Run], None]] = {
    Need.ENSURE: Dispatcher._ensure,
    Need.PULL: Dispatcher._pull,
    Need.START: Dispatcher._start,
    Need.OBSERVE: Dispatcher._observe,
    Need.SIGNAL: Dispatcher._signal,
    Need.DISCARD: Dispatcher._discard,
    Need.CLEAR: Dispatcher._clear,
    Need.WITHDRAW: Dispatcher._withdraw,
    Need.REMOVE: Dispatcher._remove,
}


def _look(run: Run) -> Callable[..., Any]:
    return steps.glance if run.is_poison else steps.observe


def _thaw(run: Run) -> JobView:
    template_secrets: dict[str, str] = {}
    job_secrets: dict[str, str] = {}
    sources = {source for entry in run.spec["environment"].values() for source in entry}
    if "template" in sources:
        template = ContainerJob.objects.filter(pk=run.job_id).values("template_id")
        secrets = EnvironmentVariable.objects.filter(template_id__in=template, is_secret=True)
        template_secrets = dict(secrets.values_list("key", "value"))
    if "job" in sources:
        job_secrets = ContainerJob.objects.only("secret_environment").get(pk=run.job_id).secret_environment
    launch = spec.Launch(run.attempt_id, run.job_id, run.number, run.epoch, run.spec, run.container_name)
    return spec.thaw(launch, template_secrets=template_secrets, job_secrets=job_secrets)
