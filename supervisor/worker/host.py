"""One host's worker: a loop turn takes what threads saw, writes it, decides, and hands out the next steps.

Only the main thread is here: it alone uses the database, and no engine is called from it. A turn may fail in
the middle when the database goes away; nothing is forgotten, and the next turn does the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from functools import partial
from uuid import UUID

import structlog
from django.db.models.functions import Now

from hosts import leases, wakeups
from hosts.errors import ConfigurationError, DockerConnectionError, EngineError, LeaseLost
from hosts.executors.contract import Hint
from hosts.identity import boot_clock
from hosts.leases import Lease
from hosts.models import Action, DockerHost, HostState
from hosts.models.count import count
from jobs import claims
from jobs.models import Attempt, ContainerJob
from supervisor.worker import hints, ledger, progress, stopping
from supervisor.worker.breadcrumb import NOBODY
from supervisor.worker.claiming import Claim, Fairness, Refill
from supervisor.worker.dispatch import Dispatcher
from supervisor.worker.engine import Engine
from supervisor.worker.gathering import CLAIM_HELD_SECONDS, Gathering
from supervisor.worker.inbox import Wake
from supervisor.worker.keeper import HostKeeper
from supervisor.worker.log_news import LogEnded, LogMoves, PieceRead
from supervisor.worker.logbook import Logbook
from supervisor.worker.questions import SLACK_SECONDS
from supervisor.worker.recorder import Recorder
from supervisor.worker.run import LogStage, Need, Run
from supervisor.worker.settings import WorkerSettings
from supervisor.worker.steps import Harvest, StepDone

logger = structlog.get_logger(__name__)

_TAKE_AGAIN_SECONDS = 1.0
_MAKE_AGAIN_SECONDS = 5.0
_LOOK_AGAIN_SECONDS = 0.5
_ASK_FOR_ROOM_SECONDS = 0.2
_REMOVED_SECONDS = 0.1
_LEAST_FOR_LOGS_SECONDS = 0.2


class HostWorker:
    """See the module. `over` says why it has nothing to do here any more, empty while it has."""

    def __init__(
        self, host: DockerHost, settings: WorkerSettings, wake: Wake, spare_room: Callable[[], int | None]
    ) -> None:
        self.host, self.settings, self._wake, self._spare_room = host, settings, wake, spare_room
        self.lease: Lease | None = None
        self.runs: dict[UUID, Run] = {}
        self.over = ""
        self.is_parked = self.is_displaced = self.draining = False
        self.extra_slots = 0
        self.claimed_count = 0
        self._engine: Engine | None = None
        self._poll_clock = self._renew_clock = self._take_clock = 0.0
        self.leave_expired_until = 0.0  # until then, whoever held the host may renew a lease that ran out
        self._poked = self._claim_due = True
        self._crowded = self._claim_held = self._stood_back = self._in_a_row = self._refilled = False
        self._shares_room = True  # as long as nobody was asked
        self._gathering = Gathering()
        self._fairness, self._crumb = Fairness(), settings.crumbs.main
        self._slack = min(SLACK_SECONDS, settings.poll_interval_seconds / 4)
        self._log = logger.bind(host=host.name)

    # ── the turn ──────────────────────────────────────────────────────────────────────────────────────

    def turn(self) -> float:
        """Do what can be done now; how many seconds it can be left alone, unless something wakes it."""
        now = boot_clock()
        if self.lease is None and not self._take(now):
            return _TAKE_AGAIN_SECONDS
        assert self._engine is not None
        if not self._engine.is_whole:
            raise RuntimeError("the thread that reads the logs has ended; the log has its last words")
        try:
            self._keep_lease(now)
            self._gathering.wait(self._engine.inbox, self._answers_under_way(), now)
            self._take_messages(now)
            self._keeper.write(self.runs, now)
            if self._keeper.may_touch:
                self._engine.watcher.start()
            is_poll_due = self._poked or now >= self._poll_clock - self._slack
            self._write(now, refill=None if is_poll_due else self._refill(now))
            if is_poll_due:
                self._poll(now)
            if stopping.stop_due(self.runs.values(), now, can_stop=self._engine.can.stop):
                self._write(now)
            self._claim(now)
            self._dispatcher.dispatch(now)
        except LeaseLost as exc:
            self._log.warning("lease lost", reason=str(exc))
            self.abandon()
        return self._patience(now)

    def poke(self) -> None:
        """Somebody says that there is something new in the database."""
        self._poked = self._claim_due = True

    @property
    def is_idle(self) -> bool:
        """Nothing in hand, and nothing to be had: a claim found nothing, or none is possible here."""
        if self.lease is None:
            return self._take_clock > 0
        if self.runs:
            return False
        if self._keeper.has_answer and not self._may_claim():
            return True
        # What it stood back from is its own after all, if nobody better takes it in time.
        return not self._claim_due and not self._stood_back

    @property
    def slots(self) -> int:
        """How many jobs may run at once."""
        return max(0, self.settings.slots_of(self.host) + self.extra_slots)

    @property
    def held_slots(self) -> int:
        """How many of them are taken."""
        return sum(run.holds_slot for run in self.runs.values())

    # ── the right to act ──────────────────────────────────────────────────────────────────────────────

    def _take(self, now: float) -> bool:
        if now < self._take_clock:
            return False
        self._take_clock = now + _TAKE_AGAIN_SECONDS
        even_expired = now >= self.leave_expired_until
        lease = claims.take_host(self.host.id, who=self.settings.identity, even_expired=even_expired)
        if lease is None:
            return False
        try:
            view = self.host.view(self.settings.installation)
            self._engine = Engine(view, lease, self._wake, self.settings.crumbs.logs)
        except ConfigurationError as exc:
            self._park(lease, exc)
            return False
        except EngineError as exc:  # it asked its engine for something while it was made
            self._take_clock = now + _MAKE_AGAIN_SECONDS
            self._give_up_taking(lease, HostState.UNREACHABLE, exc)
            return False
        self.lease, self._renew_clock = lease, now + leases.RENEW_EVERY_SECONDS
        self._log = self._log.bind(epoch=lease.epoch)
        self._keeper = HostKeeper(self.host, lease, self._engine, self.settings, self._log)
        self._logbook = Logbook(self._engine, self._engine.can)
        self._dispatcher = Dispatcher(self.runs, self._engine, self._keeper, self._logbook, self.settings)
        self._recorder = Recorder(self.runs, self._engine, self._dispatcher.pulls, self.host, self.settings)
        self._adopt(now)
        count(self.host.id, Action.ADOPTED, len(self.runs))
        self._log.info("host taken", attempts=len(self.runs))
        return True

    def _park(self, lease: Lease, error: ConfigurationError) -> None:
        self.is_parked, self.over = True, str(error)
        self._give_up_taking(lease, HostState.PARKED, error)

    def _give_up_taking(self, lease: Lease, state: HostState, error: Exception) -> None:
        changes = {"state": state, "state_reason": str(error), "state_since_at": Now()}
        DockerHost.objects.filter(pk=self.host.pk).update(**changes)
        leases.release(lease)

    def _adopt(self, now: float) -> None:
        """Look after every open attempt of the host: at first those of former owners, and later any whose
        claim was committed while its answer got lost."""
        assert self.lease is not None
        mine = (self.host.id, self.lease.epoch)
        there = ledger.open_attempts(*mine)
        known = self.runs.keys()
        for run in ledger.open_runs(*mine, known=known, now=now, crumb=self._crumb, there=there):
            self.runs[run.attempt_id] = run
        if self._engine:
            self._engine.watch_logs({key: seconds for key, seconds in there.items() if seconds > 0})

    def _keep_lease(self, now: float) -> None:
        if self.lease and now >= self._renew_clock - SLACK_SECONDS:
            leases.renew(self.lease)
            self._renew_clock = now + leases.RENEW_EVERY_SECONDS

    def abandon(self) -> None:
        """Let everything go without touching a row or a container: they are somebody else's now."""
        if self.lease:
            self.lease.trusted_until = 0.0  # what is in flight must not go on either
        self.lease, self.is_displaced, self.over = None, True, "another worker holds the host"
        self.runs.clear()
        if self._engine:
            self._dispatcher.pulls.give_up()
            self._engine.stop(0.5)
            self._engine = None

    # ── what threads saw ──────────────────────────────────────────────────────────────────────────────

    def _answers_under_way(self) -> int:
        return sum(run.awaits_answer for run in self.runs.values())

    def _take_messages(self, now: float) -> None:
        assert self._engine is not None
        for message in self._engine.inbox.take():
            with self._crumb(getattr(message, "run_id", NOBODY)):
                self._take_message(message, now)

    def _take_message(self, message: object, now: float) -> None:
        match message:
            case StepDone(result=Harvest() as harvest):
                self._take_answer(replace(message, result=harvest.seen), now)
                run = self.runs.get(message.run_id)
                if harvest.log:
                    self._logbook.harvested(run, harvest.log, now)
                    _end_with_its_log(run)
            case StepDone():
                self._take_answer(message, now)
            case PieceRead() | LogEnded() | LogMoves():
                run = self.runs.get(message.run_id)
                self._logbook.take(run, message, now)
                _end_with_its_log(run)
            case Hint():
                hints.take(message, self.runs.values(), now)

    def _take_answer(self, done: StepDone, now: float) -> None:
        run = self.runs.get(done.run_id)
        if done.step in {"CHECK", "LIST"}:
            self._keeper.take(done, now)
        elif done.step == "CLEAN":
            self._keeper.cleaned()
        elif done.step == "LOG":
            self._logbook.opened(run, done, now)
        elif done.step == "PULL":
            self._dispatcher.pulled(done, now)
        elif run is not None:  # what could not be removed for no run is found by the next reconciliation
            if isinstance(done.error, DockerConnectionError):
                self._keeper.doubt()
            progress.apply(run, done, installation=self.settings.installation, now=now)

    def _write(self, now: float, refill: Refill | None = None) -> None:
        self._refilled = False
        ended = self._recorder.write(now, everything=self._dispatcher.stopping, refill=refill)
        if any(run.spec.get("limited") for run in ended):
            wakeups.notify(None)  # other hosts may have waited for the end of just this one
        for run in ended:
            if run.retry_delay_seconds is not None:
                self._poll_clock = min(self._poll_clock, now + run.retry_delay_seconds)
            self._claim_due = self._claim_due or not self._refilled  # a slot is free

    # ── what people want ──────────────────────────────────────────────────────────────────────────────

    def _poll(self, now: float) -> None:
        self._poll_clock = now + self.settings.poll_interval_seconds
        if not self.runs:
            is_news, is_job = self._keeper.news()
            if not is_news:
                self._poked, self._claim_due = False, is_job
                self._stood_back = self._stood_back and is_job
                return
        self._adopt(now)
        self._recorder.let_go_of_declared()
        self.over = self.over or self._keeper.refresh(self.runs)
        wanted = ContainerJob.objects.filter(
            pk__in=[run.job_id for run in self.runs.values()], cancel_requested_at__isnull=False
        )
        forced = dict(wanted.values_list("pk", "cancel_force"))
        for run in self.runs.values():
            if run.job_id in forced:
                stopping.want_cancel(run, now, force=forced[run.job_id])
        # Last, so that a database that went away in between does not make us forget the poke.
        self._poked, self._claim_due = False, True

    def _claim(self, now: float) -> None:
        assert self.lease is not None
        self._claim_held = False
        if not self._claim_due or not self._may_claim():
            return
        if self._gathering.holds_claim(now, self.held_slots):
            self._claim_held = True
            return
        room = free = self.slots - self.held_slots
        spare = self._spare_room() if room > 0 else None
        # Room of the whole process that other hosts' jobs hold comes back without a word: ask again.
        crowded = spare is not None and spare <= 0 < room
        self._shares_room = self._shares_room if room <= 0 else spare is not None
        room = room if spare is None else min(room, spare)
        if room > 0:
            claim = self._next_claim(room, free)
            self._claimed(claim, claim.ask(self.lease, self.settings), now)
        # Not before the claim has been answered: until then it is still to be made.
        self._claim_due = self._crowded = crowded

    def _refill(self, now: float) -> Refill | None:
        """How to claim with the ends that are written now; None: only after them."""
        lease, made = self.lease, list[Claim]()
        if lease is None or self._shares_room or not self._may_claim():
            return None

        def claim(ended: Collection[UUID]) -> list[Attempt]:
            made.clear()
            held_slots = sum(run.holds_slot for key, run in self.runs.items() if key not in ended)
            free = self.slots - held_slots
            if free <= 0 or self._gathering.holds_claim(now, held_slots):
                return []
            made.append(self._next_claim(free, free))
            return made[0].ask(lease, self.settings)

        def claimed(attempts: list[Attempt]) -> None:
            if made:
                self._claimed(made[0], attempts, now)
                self._claim_due, self._crowded, self._refilled = False, False, True

        return Refill(partial(leases.lock_current, lease), claim, claimed)

    def _next_claim(self, room: int, free: int) -> Claim:
        return Claim(self.host, room, free, self._fairness, in_a_row=self._in_a_row)

    def _claimed(self, claim: Claim, attempts: list[Attempt], now: float) -> None:
        for attempt in attempts:
            self.runs[attempt.id] = Run.of(attempt, infra_failures=attempt.job.infra_failure_count)
            self.claimed_count += 1
            self._log.info("attempt claimed", job=str(attempt.job_id), attempt=attempt.number)
        self._fairness.note(len(attempts), saves_up=claim.saves_up)
        self._in_a_row = len(attempts) == claim.room
        ledger.note_start_deadlines([self.runs[attempt.id] for attempt in attempts], now)
        self._stood_back = claim.stood_back and claims.anything_shared()
        if claim.stood_back:
            self._poll_clock = min(self._poll_clock, now + _LOOK_AGAIN_SECONDS)

    def _may_claim(self) -> bool:
        return not self.over and not self.draining and self._keeper.may_claim

    # ── the end ───────────────────────────────────────────────────────────────────────────────────────

    def detach(
        self, until_clock: float, *, may_write: bool = True, is_hurried: Callable[[], bool] = lambda: False
    ) -> None:
        """Finish the writes in hand, keep the log read so far, give the lease back. Containers run on."""
        if self.lease is None or self._engine is None:
            return
        engine = self._engine
        self._dispatcher.stopping = True
        self._dispatcher.pulls.give_up()
        try:
            if may_write:
                self._finish_steps(lambda: boot_clock() >= until_clock or is_hurried())
        finally:
            self.lease.trusted_until = 0.0  # what still waits for a thread must not be done any more
            left = 0.0 if is_hurried() else until_clock - boot_clock()
            engine.stop(max(_LEAST_FOR_LOGS_SECONDS, left))
        if may_write:
            self._take_messages(boot_clock())
            self._write(boot_clock())
            leases.release(self.lease)
            self._log.info("host released", attempts=len(self.runs))
        else:  # whoever takes the host finds all of it at the engine
            self._log.warning("host not released: the database is away", attempts=len(self.runs))
        self.lease, self._engine = None, None

    def _finish_steps(self, is_over: Callable[[], bool]) -> None:
        while any(run.busy and not run.waits_for_pull for run in self.runs.values()) and not is_over():
            self._wake.wait(0.05)
            self._take_messages(boot_clock())
            self._write(boot_clock())

    def _patience(self, now: float) -> float:
        if self.lease is None:
            return _TAKE_AGAIN_SECONDS
        if self._poked or (self._claim_due and self._may_claim() and not (self._crowded or self._claim_held)):
            return 0.0
        clocks = [self._poll_clock, self._renew_clock, self._keeper.next_clock]
        clocks.append(self._dispatcher.pulls.next_clock)
        if self._claim_held:
            clocks.append(now + CLAIM_HELD_SECONDS)
        if self._crowded:
            clocks.append(now + _ASK_FOR_ROOM_SECONDS)
        for run in self.runs.values():
            if run.need in (Need.END, Need.GONE):
                return 0.0
            clocks += self._clocks_of(run, now)
        return max(0.0, min(clocks) - now)

    def _clocks_of(self, run: Run, now: float) -> list[float]:
        clocks = [run.move.due_clock] if run.move else []
        if run.busy and run.need is Need.REMOVE:
            clocks.append(now + _REMOVED_SECONDS)
        # While it may not be touched nothing can be done for it, however late it is.
        return [*clocks, *stopping.clocks_of(run)] if self._keeper.may_touch else clocks


def _end_with_its_log(run: Run | None) -> None:
    if run and run.log is LogStage.DONE and run.need is Need.COLLECT:
        run.need = Need.END  # written in this turn
