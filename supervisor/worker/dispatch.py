"""Handing the next step of each run to an engine thread."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from hosts.errors import ContainerExecutionError
from hosts.executors.contract import JobView
from jobs import spec
from jobs.adoption import Found, classify
from jobs.models import Attempt, ContainerJob, EnvironmentVariable
from jobs.states import AttemptState
from supervisor.worker import progress, steps
from supervisor.worker.engine import Engine
from supervisor.worker.logbook import Logbook
from supervisor.worker.run import GIVE_UP_AFTER, Need, Run, next_step

if TYPE_CHECKING:
    from supervisor.worker.host import WorkerSettings
    from supervisor.worker.keeper import HostKeeper


class Dispatcher:
    """Asks each run what it needs, and gets it under way. Touches the database only to thaw a spec."""

    def __init__(
        self,
        runs: dict[UUID, Run],
        engine: Engine,
        keeper: HostKeeper,
        logbook: Logbook,
        settings: WorkerSettings,
    ) -> None:
        self._runs, self._engine, self._keeper, self._logbook = runs, engine, keeper, logbook
        self._installation = settings.installation
        self.stopping = False

    def dispatch(self, now: float) -> None:
        """Start whatever can be started now; nothing while the engine is away or another one."""
        if self.stopping or not self._keeper.may_touch:
            self._keeper.probe(now)
            return
        for run in list(self._runs.values()):
            self._logbook.advance(run, now)
            step = next_step(run, now)
            if step is not None:
                self._do(run, step)
            if run.state in {AttemptState.RUNNING, AttemptState.STOPPING} and run.described:
                self._engine.sampler.watch(run.attempt_id, run.container_id)
        self._keeper.probe(now)

    def _do(self, run: Run, step: Need) -> None:
        send = self._engine.step
        run.busy = True
        match step:
            case Need.ENSURE:
                self._ensure(run)
            case Need.PULL:
                send(
                    run.attempt_id,
                    "PULL",
                    steps.pull,
                    run.spec["docker_image"],
                    _ignore,
                    lambda: run.cancel_wanted,
                )
            case Need.START:
                run.start_sent = True
                send(run.attempt_id, "START", steps.start, run.container_id)
            case Need.OBSERVE:
                send(run.attempt_id, "OBSERVE", steps.observe, run.ref)
            case Need.SIGNAL:
                send(run.attempt_id, "SIGNAL", steps.send_signal, run.container_id, run.signal)
            case Need.DISCARD | Need.CLEAR:
                assert run.doomed is not None
                call = steps.discard if step is Need.DISCARD else steps.clear
                send(run.attempt_id, step.name, call, run.doomed.container_id)
            case Need.WITHDRAW:
                send(run.attempt_id, "WITHDRAW", steps.withdraw, run.container_name, self._is_ours(run))
            case Need.REMOVE:
                self._remove(run)
            case _:
                run.busy = False

    def _ensure(self, run: Run) -> None:
        try:
            run.view = run.view or _thaw(run)
        except ContainerExecutionError as exc:
            run.busy = False
            progress.reject(run, exc)
            return
        self._engine.step(run.attempt_id, "ENSURE", steps.ensure, run.view)

    def _remove(self, run: Run) -> None:
        if run.trouble >= GIVE_UP_AFTER:
            run.busy, run.need = False, Need.GONE  # the reconciliation finds what is left
            return
        self._engine.step(run.attempt_id, "REMOVE", steps.clear, run.container_id)

    def _is_ours(self, run: Run):  # type: ignore[no-untyped-def]
        job_id, number, installation = run.job_id, run.number, self._installation
        return lambda seen: (
            classify(seen, installation=installation, job_id=job_id, number=number)
            not in {Found.FOREIGN, Found.OLDER}
        )


def _ignore(_text: str) -> None:
    """Progress of a pull; the state `pulling` tells the rest."""


def _thaw(run: Run) -> JobView:
    attempt = Attempt.objects.select_related("job").get(pk=run.attempt_id)
    template_secrets: dict[str, str] = {}
    job_secrets: dict[str, str] = {}
    sources = {source for entry in run.spec["environment"].values() for source in entry}
    if "template" in sources:
        secrets = EnvironmentVariable.objects.filter(template_id=attempt.job.template_id, is_secret=True)
        template_secrets = dict(secrets.values_list("key", "value"))
    if "job" in sources:
        job_secrets = ContainerJob.objects.values_list("secret_environment", flat=True).get(pk=run.job_id)
    return spec.thaw(attempt, template_secrets=template_secrets, job_secrets=job_secrets)
