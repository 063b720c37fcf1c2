"""What a worker does for its host rather than for a job: is it there, is it the same, what is left on it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now

from hosts import condition, fitting
from hosts.errors import ConfigurationError, EngineError, LeaseLost
from hosts.executors.contract import EngineFacts, Observation
from hosts.kept import KeptUpdate
from hosts.leases import Lease
from hosts.models import (
    OF_SUPERVISORS,
    Action,
    Availability,
    DockerHost,
    DrainThen,
    HostLease,
    HostRequest,
    HostSample,
    HostState,
    RequestVerb,
)
from hosts.models.count import count
from jobs import kept_containers, reconcile, restored, retention
from jobs.models import Attempt, ContainerJob
from jobs.states import AttemptState
from supervisor.worker import archive, audited, deleted_jobs, steps
from supervisor.worker.cleaning import Cleaner
from supervisor.worker.engine import Engine
from supervisor.worker.look import Look
from supervisor.worker.orphans import Orphans
from supervisor.worker.questions import Questions
from supervisor.worker.run import Run
from supervisor.worker.settings import WorkerSettings
from supervisor.worker.steps import StepDone

_SAMPLE_EVERY_SECONDS = 60.0
# Of a host's machine, what its row shows.
_SHOWN = ("containers_running", "containers_ours", "disk_free_bytes", "disk_total_bytes")
_UNKNOWN_AFTER = timedelta(seconds=30)


class HostKeeper:
    """Main thread only. `may_touch`: the engine answers and is the one we know."""

    def __init__(
        self, host: DockerHost, lease: Lease, engine: Engine, settings: WorkerSettings, log: Any
    ) -> None:
        self._host, self._lease, self._engine, self._settings, self._log = host, lease, engine, settings, log
        self.may_touch = False
        self.has_answer = False
        self._answers: list[StepDone] = []
        self._questions = Questions(engine, host.pk, host.name)
        self._sample_clock = 0.0
        self._ours: int | None = None
        self._waiting: list[UUID] = []
        self._settings_seen = _fingerprint(host)
        self._look: Look | None = None
        self._all_gone: KeptUpdate | None = None
        self._row: tuple[Any, ...] = ()
        self._row_taken: tuple[Any, ...] = ()
        self._seen_again: tuple[EngineFacts, KeptUpdate] | None = None
        self._orphans = Orphans(host.orphans, settings.reap)
        self._cleaner = Cleaner(host.pk, engine, log)
        self._runs: dict[UUID, Run] = {}

    @property
    def may_claim(self) -> bool:
        """Whether the host may be given new jobs."""
        return self.may_touch and self._host.is_active and self._host.availability == Availability.ACTIVE

    @property
    def host_id(self) -> UUID:
        """The host it keeps."""
        return self._host.pk

    @property
    def next_clock(self) -> float:
        """When this wants to be looked at again."""
        return 0.0 if self._answers else self._questions.next_clock

    # ── asking ────────────────────────────────────────────────────────────────────────────────────────

    def probe(self, now: float) -> None:
        """Ask the engine who it is, or what is on it, when it is time."""
        if silence := self._questions.silence(now):
            self._answers.append(silence)
        self._questions.ask(now, knows_it=self.may_touch)

    def take(self, done: StepDone, now: float) -> None:
        """Note an answer; `refresh` writes what follows from it."""
        self._answers.append(done)
        self._questions.answered(done, now)

    def cleaned(self) -> None:
        """A container that nobody needed is removed, or could not be: the next one may go."""
        self._cleaner.done()

    def doubt(self) -> None:
        """A step got no answer: ask the engine now whether it is there."""
        self._questions.check_now()

    # ── writing ───────────────────────────────────────────────────────────────────────────────────────

    def write(self, runs: dict[UUID, Run], now: float) -> None:
        """Write what the answers since the last time say."""
        while self._answers:
            done = self._answers[0]
            if done.error is not None:
                self._away(done.error)
            elif isinstance(done.result, EngineFacts):
                self._facts(done.result, now)
            else:
                self._present(done.result, runs, now)  # type: ignore[arg-type]
            self._answers.pop(0)
            self.has_answer = True

    def news(self) -> tuple[bool, bool]:
        """For a worker without a run: whether there is something to `refresh`, and something to claim."""
        self._look = self._look or Look(self._lease)
        seen = self._look.take()
        if seen is None or not seen.has_lease or seen.has_attempts or seen.has_requests:
            return True, True
        self._row = seen.settings
        is_settled = self._row == self._row_taken and not self._waiting
        # One that is to be left has something to be done once its last run is gone.
        is_plain = self._host.is_active and self._host.availability == Availability.ACTIVE
        return not (is_settled and is_plain), seen.has_jobs

    def refresh(self, runs: dict[UUID, Run]) -> str:
        """Read the host's row and requests again; why there is nothing more to do here, if so."""
        self._runs = runs
        if not self._lease_is_ours():
            raise LeaseLost(f"Host {self._host.name} was taken from this worker.")
        asked = self._new_requests()  # before the row, which then shows what they have changed
        try:
            over = Q(drain_deadline_at__lte=Now(), drain_then=DrainThen.STOP)
            row = DockerHost.objects.annotate(drain_is_over=over).get(pk=self._host.pk)
        except DockerHost.DoesNotExist:
            return "the host was deleted"
        except ConfigurationError as exc:  # a secret of it that no key of ours decrypts: it is new
            return str(exc)
        if _fingerprint(row) != self._settings_seen:
            return "the host's settings changed"
        for name in ("name", "weight", "max_concurrent_jobs", "is_active", "availability", "engine_id"):
            setattr(self._host, name, getattr(row, name))
        is_over = row.drain_is_over and row.availability == Availability.DRAINING  # type: ignore[attr-defined]
        for run in runs.values():
            run.drained = is_over and not run.archived
        self._take_requests(asked)
        self._row_taken = self._row
        open_runs = any(run.state is not AttemptState.ENDED for run in runs.values())
        return "" if row.is_active or open_runs else "the host is switched off"

    def _lease_is_ours(self) -> bool:
        ours = HostLease.objects.filter(
            host_id=self._host.pk, epoch=self._lease.epoch, owner=self._lease.owner
        )
        return ours.filter(released_at=None).exists()

    def _new_requests(self) -> dict[UUID, str]:
        """What is asked of this worker, not of its supervisor; what a former one left unanswered too."""
        new = HostRequest.objects.filter(host=self._host, done_at=None, expires_at__gt=Now())
        new = new.exclude(pk__in=self._waiting).exclude(verb__in=OF_SUPERVISORS)
        return dict(new.values_list("pk", "verb"))

    def _take_requests(self, asked: Mapping[UUID, str]) -> None:
        ids = [pk for pk, verb in asked.items() if verb == RequestVerb.TEST]
        self._answer_wishes(asked.keys() - ids)
        if ids and HostRequest.objects.filter(pk__in=ids, done_at=None).update(taken_at=Now()):
            self._waiting += ids
            self._questions.check_now()

    def _answer_wishes(self, ids: Collection[UUID]) -> None:
        """Say what the row, just read again, now means here; it is all that was asked for."""
        if ids:
            running = sum(run.holds_slot for run in self._runs.values())
            taking = "Takes jobs" if self.may_claim else "Takes no new jobs"
            if self._host.availability == Availability.ACTIVE and not self.may_claim:
                why = self._host.state if self._host.is_active else "switched off"
                taking = f"Would take jobs, but is {why}"
            answer = {"taken_at": Now(), "done_at": Now(), "ok": True}
            HostRequest.objects.filter(pk__in=ids).update(**answer, result=f"{taking}; {running} running.")

    def _answer_requests(self, *, ok: bool, result: str) -> None:
        if self._waiting:
            answer = fitting.fitted(HostRequest, done_at=Now(), ok=ok, result=result)
            HostRequest.objects.filter(pk__in=self._waiting).update(**answer)
            self._waiting = []

    def _mine(self) -> Any:
        return DockerHost.objects.filter(
            pk=self._host.pk, lease__epoch=self._lease.epoch, lease__owner=self._lease.owner
        )

    def _set_state(self, state: HostState, reason: str, **facts: Any) -> None:
        changed = self._host.state != state or self._host.state_reason != reason
        if changed:
            facts |= {"state": state, "state_reason": reason}
            if self._host.state != state:
                facts["state_since_at"] = Now()
            self._log.info("host state", state=str(state), reason=reason)
        self._mine().update(**fitting.fitted(DockerHost, **facts)) if facts else None
        self._host.state, self._host.state_reason = state, reason

    def _away(self, error: Exception) -> None:
        self.may_touch = False
        state = HostState.UNREACHABLE if isinstance(error, EngineError) else HostState.PARKED
        self._set_state(state, str(error))
        self._answer_requests(ok=False, result=str(error))
        for_long = Q(pk=self._host.pk, state_since_at__lt=Now() - _UNKNOWN_AFTER)
        if DockerHost.objects.filter(for_long).exists():
            self._attempts().filter(unknown_since_at=None).update(unknown_since_at=Now())

    def _facts(self, facts: EngineFacts, now: float) -> None:
        trouble = self._identity_trouble(fitting.fitted(DockerHost, engine_id=facts.engine_id)["engine_id"])
        if trouble:
            self.may_touch = False
            self._questions.be_patient(now)
            self._set_state(HostState.PARKED, trouble)
            self._answer_requests(ok=False, result=trouble)
            return
        self._questions.be_content()
        self._engine.hands.engine_id = facts.engine_id
        if not self.may_touch:
            self._questions.list_within(0.0)  # what is on it is asked next
            self._attempts().exclude(unknown_since_at=None).update(unknown_since_at=None)
        self.may_touch = True
        self._set_online(facts)
        self._answer_requests(ok=True, result=f"Reachable: version {facts.version}, {facts.cpus} CPUs.")
        self._sample(facts, now)

    def _set_online(self, facts: EngineFacts) -> None:
        trouble = condition.trouble(facts)
        state = HostState.DEGRADED if trouble else HostState.ONLINE
        is_news = (self._host.state, self._host.state_reason) != (state, trouble)
        same = facts.lasting()
        if self._seen_again and self._seen_again[0] == same and not is_news:
            self._seen_again[1].run()
            return
        said = fitting.fitted(
            DockerHost,
            engine_version=facts.version,
            engine_cpus=facts.cpus,
            engine_memory_bytes=facts.memory_bytes,
        )
        self._set_state(state, trouble, seen_at=Now(), **said)
        self._seen_again = same, KeptUpdate(self._mine(), seen_at=Now(), **said)

    def _identity_trouble(self, engine_id: str) -> str:
        if self._host.engine_id == engine_id:
            return ""
        if self._host.engine_id:
            return (
                f"Another engine answers here: {engine_id} instead of {self._host.engine_id}. Nothing on it "
                "is touched. Point the host back, or add this engine as a host of its own."
            )
        try:
            with transaction.atomic():
                self._mine().filter(engine_id=None).update(engine_id=engine_id)
        except IntegrityError:
            other = DockerHost.objects.filter(engine_id=engine_id).values_list("name", flat=True).first()
            return f"This is the engine of host {other!r} already. One engine, one host: remove one of them."
        self._host.engine_id = engine_id
        return ""

    def _attempts(self) -> Any:
        return Attempt.objects.filter(host_id=self._host.pk, epoch=self._lease.epoch).open()

    def _sample(self, facts: EngineFacts, now: float) -> None:
        if now < self._sample_clock:
            return
        self._sample_clock = now + _SAMPLE_EVERY_SECONDS
        machine = {
            name: getattr(facts, name)
            for name in ("containers_running", "cpu_percent", "memory_used_bytes", "disk_free_bytes")
        }
        running = sum(run.holds_slot for run in self._runs.values())
        slots = self._host.max_concurrent_jobs
        sample = fitting.fitted(HostSample, jobs_running=running, slots=slots, **machine)
        HostSample.objects.create(host_id=self._host.pk, **sample)
        machine |= {"disk_total_bytes": facts.disk_total_bytes, "containers_ours": self._ours}
        self._mine().update(**fitting.fitted(DockerHost, **{name: machine[name] for name in _SHOWN}))

    # ── what is left on the engine ────────────────────────────────────────────────────────────────────

    def _present(self, present: list[Observation], runs: dict[UUID, Run], now: float) -> None:
        self._ours = sum(seen.state == "running" for seen in present)
        if not present and not runs and not self._orphans.stored:
            self._nothing_present()
            return
        keys = reconcile.keys(present)
        for run in archive.begin(_not_in(runs, present), self._host.id, self._lease.epoch):
            self._log.warning("container of a job that was declared lost", container=run.container_name)
            runs[run.attempt_id] = run
            count(self._host.id, Action.ARCHIVED)
        known = kept_containers.may_go(keys, self._settings.keep)
        in_hand = {run.job_id for run in runs.values()}
        plan = reconcile.plan(present, in_hand=in_hand, known=known, host_id=self._host.id)
        self._cleaner.forget()
        for seen in plan.remove:
            self._cleaner.add("removing what an ended attempt left", seen, steps.clear, seen.container_id)
        deleted = deleted_jobs.left_by(self._host.id, plan.orphans)
        for seen in deleted:
            self._cleaner.add("removing what a deleted job left", seen, steps.reap, seen, "remove")
        self._look_at_orphans(tuple(seen for seen in plan.orphans if seen not in deleted), now)
        retention.note_gone(self._host.id, {job for job, _ in keys}, lease=self._lease)

    def _nothing_present(self) -> None:
        """What an idle host comes to each time: there is nothing to remove, and all that ended is gone."""
        if self._all_gone is None:
            gone = retention.gone(self._host.id, (), lease=self._lease)
            self._all_gone = KeptUpdate(gone, container_gone_at=Now())
        self._all_gone.run()

    def _look_at_orphans(self, present: tuple[Observation, ...], now: float) -> None:
        before = self._orphans.stored
        if not present and not before:
            return
        moment = DockerHost.objects.filter(pk=self._host.pk).values_list(Now(), flat=True).get()
        for seen in self._orphans.see(present, moment):
            self._log.warning("container without a row", container=seen.name, id=seen.container_id)
            count(self._host.id, Action.ORPHAN)
        if self._orphans.stored != before:
            self._mine().update(orphans=self._orphans.stored)
        jobs = {job for job, _ in reconcile.keys(present)}
        for job in restored.send_to_container(jobs, self._host, self._lease, who=self._settings.who):
            self._log.warning("a waiting job has a container here already, and is sent to it", job=str(job))
            count(self._host.id, Action.PINNED)
        spared = ContainerJob.objects.filter(pk__in=jobs).values_list("pk", flat=True)
        for removal in self._orphans.due(map(str, spared), moment):
            seen = removal.seen
            words = {"container": seen.name, "id": seen.container_id, "who": self._settings.who}
            self._log.warning("reaping a container without a row", how=removal.how, **words)
            audited.reaping(self._host, removal, who=self._settings.who)
            self._engine.step(self._host.id, "REAP", steps.reap, seen, removal.how)
            count(self._host.id, Action.REAPED)
        if grace := self._orphans.look_again_seconds():
            self._questions.list_within(now + grace)


def _not_in(runs: dict[UUID, Run], present: list[Observation]) -> list[Observation]:
    in_hand = {run.container_name for run in runs.values() if run.archived}
    return [seen for seen in present if seen.name not in in_hand]


def _fingerprint(host: DockerHost) -> tuple[Any, ...]:
    config = (repr(host.executor_config), repr(host.secret_config), repr(host.policy))
    return host.executor_type, host.base_url, *config
