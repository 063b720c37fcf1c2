from __future__ import annotations

from datetime import timedelta

import pytest

from healthcheck import verdicts
from healthcheck.verdicts import Verdict
from jobs.obstacles import Obstacle

MINUTE = timedelta(minutes=1)


def test_hosts_that_do_what_somebody_wants_of_them_are_in_order() -> None:
    wanted = [("a", None), ("b", Obstacle.FULL), ("c", Obstacle.CORDONED)]
    assert verdicts.of_hosts(wanted) == Verdict()


@pytest.mark.parametrize("broken", [Obstacle.NO_WORKER, Obstacle.PARKED, Obstacle.UNREACHABLE])
def test_one_host_out_of_order_is_a_warning_and_all_are_a_failure(broken: Obstacle) -> None:
    some = verdicts.of_hosts([("a", broken), ("b", None)])
    assert some.warned.startswith("1 of 2 active hosts cannot run jobs (a: ")
    assert not some.failed
    assert verdicts.of_hosts([("a", broken), ("b", broken)]).failed.startswith("no active host can run jobs")


def test_without_an_active_host_there_is_a_warning_that_says_what_to_do() -> None:
    assert "manage_docker_host add" in verdicts.of_hosts([]).warned


def test_of_many_broken_hosts_only_some_are_named() -> None:
    many = verdicts.of_hosts([(f"host-{number}", Obstacle.PARKED) for number in range(100)]).failed
    assert "host-4" in many
    assert "host-5" not in many


def test_workers_that_crash_again_and_again_are_named_with_how() -> None:
    assert verdicts.of_crash_loops([]) == Verdict()
    told = verdicts.of_crash_loops([("a", "killed by SEGV"), (None, "exit code 1")]).warned
    assert told == "processes that crash again and again: a: killed by SEGV; the clerk: exit code 1"


@pytest.mark.parametrize(
    ("waited", "failed", "warned"),
    [(None, False, False), (MINUTE / 2, False, False), (MINUTE, False, True), (4 * MINUTE, True, False)],
)
def test_a_job_that_is_not_claimed_though_there_is_room_warns_then_fails(
    waited: timedelta | None, failed: bool, warned: bool
) -> None:
    verdict = verdicts.of_claims(waited, fail_after=4 * MINUTE)
    assert (bool(verdict.failed), bool(verdict.warned)) == (failed, warned)


def test_a_long_queue_is_only_ever_a_warning() -> None:
    assert verdicts.of_queue(MINUTE, warn_after=2 * MINUTE) == Verdict()
    assert verdicts.of_queue(1000 * MINUTE, warn_after=MINUTE) == Verdict(
        warned="a job waits for 60000 s for a host with room"
    )


@pytest.mark.parametrize(("free", "failed", "warned"), [(11, 0, 0), (9, 0, 1), (1, 1, 0)])
def test_a_disk_that_fills_warns_then_fails(free: int, failed: int, warned: int) -> None:
    verdict = verdicts.of_disk(free, 100, warn_below=0.1, where="x")
    assert (bool(verdict.failed), bool(verdict.warned)) == (failed, warned)
