"""Attempts that killed workers: the others go first, and after three nothing is read of them any more."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from django.db import DataError, OperationalError

from hosts.executors.contract import Observation
from jobs.states import AttemptState as S
from jobs.states import Outcome
from supervisor.worker import poison, steps, stopping
from supervisor.worker.breadcrumb import Breadcrumbs
from supervisor.worker.progress import judge_exit
from supervisor.worker.run import LogStage, Need, Run, next_step
from tests.supervisor.runs import NOW, answer, make_run, observation, written


@pytest.fixture
def crumbs() -> Breadcrumbs:
    return Breadcrumbs()


def adopted(state: S = S.RUNNING, kills: int = 3, **fields: object) -> Run:
    """A run as the next worker finds it."""
    need = Need.ENSURE if state in {S.CLAIMED, S.PULLING} else Need.OBSERVE
    values = {"container_id": "" if need is Need.ENSURE else "c1", "need": need, **fields}
    run = make_run(state, worker_kills=kills, **values)
    poison.approach(run, NOW)
    return run


def seen(run: Run, state: str, **fields: object) -> Observation:
    """What a glance tells."""
    return observation(run, state, **{"image_digest": "", "metadata": {}, **fields})


def ended(run: Run) -> tuple[Need, LogStage, str, str]:
    assert run.verdict is not None
    return run.need, run.log, run.verdict.outcome, run.verdict.failure_class


class TestAdoption:
    @pytest.mark.parametrize("kills", [1, 2])
    def test_the_others_go_before_what_killed_a_worker(self, kills: int) -> None:
        run = adopted(kills=kills)
        wait = kills * 0.5
        assert next_step(run, NOW + wait - 0.01) is None
        assert run.log_clock == NOW + wait
        assert next_step(run, NOW + wait) is Need.OBSERVE
        assert run.log is LogStage.NONE

    def test_what_killed_none_is_not_held_up(self) -> None:
        assert next_step(adopted(kills=0), NOW) is Need.OBSERVE

    @pytest.mark.parametrize("kills", [3, 4])
    def test_after_three_its_log_is_not_read_any_more(self, kills: int) -> None:
        run = adopted(kills=kills)
        assert run.log is LogStage.DONE
        assert "not read any further" in run.logs_note


class TestStopping:
    def test_a_running_one_is_stopped_and_ends_as_what_killed_its_workers(self) -> None:
        run = adopted()
        stopping.stop_due([run], NOW)
        assert run.move is not None
        assert (run.move.kind, run.move.row["stop_reason"]) == ("to_stopping", "poison")
        run.state, run.stop_reason, run.move = S.STOPPING, "poison", None
        stopping.begin(run, NOW)
        assert (run.need, run.signal) == (Need.SIGNAL, "TERM")
        answer(run, "SIGNAL")
        answer(run, "OBSERVE", seen(run, "running"))
        assert run.need is Need.WATCH
        answer(run, "OBSERVE", seen(run, "exited", exit_code=143))
        assert ended(run) == (Need.END, LogStage.DONE, "interrupted", "kills_worker")
        assert run.seen is not None
        assert run.seen.exit_code == 143

    def test_one_found_running_before_its_row_says_so_is_stopped_too(self) -> None:
        run = adopted(S.CREATED)
        answer(run, "OBSERVE", seen(run, "running"))
        assert written(run) == "to_running"
        stopping.stop_due([run], NOW)
        assert run.move is not None
        assert run.move.row["stop_reason"] == "poison"

    def test_one_that_has_exited_by_itself_failed_all_the_same(self) -> None:
        run = adopted()
        answer(run, "OBSERVE", seen(run, "exited", exit_code=0))
        assert ended(run) == (Need.END, LogStage.DONE, "interrupted", "kills_worker")

    def test_one_whose_container_is_gone_failed_too(self) -> None:
        run = adopted()
        answer(run, "OBSERVE", None)
        answer(run, "OBSERVE", None)
        assert ended(run) == (Need.END, LogStage.DONE, "interrupted", "kills_worker")

    def test_one_that_somebody_cancelled_is_cancelled(self) -> None:
        run = adopted(S.STOPPING, stop_reason="cancelled")
        answer(run, "OBSERVE", seen(run, "exited", exit_code=143))
        assert judge_exit(run).outcome is Outcome.CANCELLED


class TestBeforeTheStart:
    @pytest.mark.parametrize("state", [S.CLAIMED, S.PULLING])
    def test_nothing_is_made_for_it(self, state: S) -> None:
        run = adopted(state)
        assert next_step(run, NOW) is Need.WITHDRAW
        answer(run, "WITHDRAW", None)
        assert ended(run) == (Need.END, LogStage.DONE, "rejected", "kills_worker")

    def test_a_container_that_was_made_is_deleted_and_that_proves_that_it_never_ran(self) -> None:
        run = adopted(S.CREATED)
        answer(run, "OBSERVE", seen(run, "created"))
        assert written(run) == "fence"
        assert next_step(run, NOW) is Need.DISCARD
        answer(run, "DISCARD", None)
        assert next_step(run, NOW) is Need.WITHDRAW
        answer(run, "WITHDRAW", None)
        assert ended(run) == (Need.END, LogStage.DONE, "rejected", "kills_worker")

    def test_one_that_runs_after_all_is_looked_at_again(self) -> None:
        run = adopted(S.CREATED)
        answer(run, "OBSERVE", seen(run, "created"))
        assert written(run) == "fence"
        answer(run, "DISCARD", seen(run, "running"))
        assert written(run) == "to_running"
        stopping.stop_due([run], NOW)
        assert run.move is not None
        assert run.move.row["stop_reason"] == "poison"


def test_a_glance_takes_nothing_along_but_whose_it_is_whether_it_runs_and_how_it_ended() -> None:
    run = make_run(S.RUNNING)
    whole = observation(run, "exited", exit_code=3, error="boo", metadata={"x": 1})

    class Engine:
        def observe(self, _ref: str) -> Observation:
            return whole

    glance = steps.glance(steps.Hands(Engine(), None), "c1")  # type: ignore[arg-type]
    assert glance == Observation(
        container_id="c1", name=run.container_name, state="exited", labels=whole.labels, exit_code=3
    )


class TestByName:
    """`poison.by_name`: one batch, and each alone if it crashes."""

    def write(self, runs: Sequence[Run], bad: Sequence[Run], error: type[Exception], crumbs: Breadcrumbs):
        """Write the runs where the bad ones raise; what was written, in batches, and what was raised."""
        batches: list[list[Run]] = []

        def write(some: Sequence[Run]) -> int:
            if any(run in bad for run in some):
                raise error
            batches.append(list(some))
            return len(some)

        try:
            return batches, poison.by_name(write, runs, crumbs.main)
        except error as exc:
            return batches, exc

    def test_what_goes_well_goes_in_one_batch(self, crumbs: Breadcrumbs) -> None:
        runs = [make_run() for _ in range(3)]
        assert self.write(runs, [], DataError, crumbs) == ([runs], [3])
        assert self.write([], [], DataError, crumbs) == ([], [])
        assert crumbs.left() == []

    def test_one_that_crashes_does_so_by_name_after_all_others_were_written(
        self, crumbs: Breadcrumbs
    ) -> None:
        runs = [make_run() for _ in range(3)]
        batches, error = self.write(runs, runs[:1], DataError, crumbs)
        assert batches == [[runs[1]], [runs[2]]]
        assert isinstance(error, DataError)
        assert [(left.attempt_id, left.raised) for left in crumbs.left()] == [(runs[0].attempt_id, True)]

    def test_a_database_that_is_away_stops_all_at_once_and_names_nobody(self, crumbs: Breadcrumbs) -> None:
        runs = [make_run() for _ in range(3)]
        batches, error = self.write(runs, runs[1:2], OperationalError, crumbs)
        assert batches == []
        assert isinstance(error, OperationalError)
        assert crumbs.left() == []
