"""What an engine did with a container: its events where they were heard, our own steps where not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hosts.executors.contract import Hint
from supervisor.worker.engine_log import MOST_LINES, EngineLog

NOON = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def event(action: str, second: float, detail: str = "", container_id: str = "c1") -> Hint:
    return Hint(container_id=container_id, action=action, detail=detail, at=NOON + timedelta(seconds=second))


def what(log: EngineLog) -> list[str]:
    return [line.partition(" ")[2] for line in log.text("c1").splitlines()]


def test_events_stand_in_the_order_of_their_times_each_once() -> None:
    log = EngineLog()
    for hint in [event("start", 1), event("create", 0), event("start", 1), event("die", 2, "exit code 3")]:
        log.hear(hint)
    assert log.text("c1").splitlines() == [
        "2026-05-01T12:00:00.000000Z create",
        "2026-05-01T12:00:01.000000Z start",
        "2026-05-01T12:00:02.000000Z die exit code 3",
    ]


def test_a_step_of_ours_stands_only_where_no_event_tells_of_it() -> None:
    log = EngineLog()
    log.note("create", "c1")
    log.note("start")
    log.note("kill", "TERM")
    log.hear(event("start", 1))
    assert what(log) == ["start", "create c1", "kill TERM"]


def test_events_of_a_container_before_are_not_this_ones() -> None:
    log = EngineLog()
    log.hear(event("die", 0, container_id="c0"))
    log.hear(event("create", 1))
    assert what(log) == ["create"]


def test_a_container_that_is_paused_for_ever_fills_no_memory() -> None:
    log = EngineLog()
    for second in range(1000):
        log.hear(event("pause", second))
    lines = what(log)
    assert len(lines) == MOST_LINES + 1
    assert lines[MOST_LINES // 2] == f"{1000 - MOST_LINES} events left out ...]"
