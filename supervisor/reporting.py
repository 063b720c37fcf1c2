"""What the master tells of its processes: a row each, for the clerk to write and for the log. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hosts import identity
from hosts.identity import boot_clock
from supervisor.child import CLERK, Child
from supervisor.children import Children
from supervisor.models import RUNNING, STARTING, Down, Role
from supervisor.restarts import RestartPolicy


def process_rows(children: Children, wanted: Iterable[str], *, state: str) -> list[dict[str, Any]]:
    """The master itself, its children, and the workers that are down, with what is known of their ends."""
    me, now = identity.current(), boot_clock()
    rows = [_row(Role.MASTER, me.pid, me.start_ticks, state)]
    for child in children.running.values():
        if child.request:  # it is over before anybody would look at its row
            continue
        rows.append(_row_of(child, children.policy(child.key), now))
    for key in wanted:
        policy = children.policies.get(key)
        if key not in children.running and policy and policy.last_pid:
            rows.append(_row_of_the_dead(key, policy))
    return rows


def _row(role: Role, pid: int, start_ticks: int, state: str, **more: Any) -> dict[str, Any]:
    return {"role": role.value, "pid": pid, "start_ticks": start_ticks, "state": state, **more}


def _row_of(child: Child, policy: RestartPolicy, now: float) -> dict[str, Any]:
    role = Role.CLERK if child.key == CLERK else Role.WORKER
    ready_seconds = now - child.ready_clock if child.ready_clock is not None else 0.0
    history = _history(child.key, policy)
    if policy.is_forgiven(ready_seconds):
        history |= {"failing_clock": None, "is_crash_looping": False}
    state = STARTING if child.ready_clock is None else RUNNING
    return _row(role, child.pid, child.start_ticks, state, **history)


def _row_of_the_dead(key: str, policy: RestartPolicy) -> dict[str, Any]:
    looping = Down.CRASH_LOOPING if policy.is_crash_looping else Down.WAITING
    state = Down.PARKED if policy.parked_key else looping
    return _row(
        Role.CLERK if key == CLERK else Role.WORKER,
        policy.last_pid or 0,
        policy.last_start_ticks,
        state.value,
        **_history(key, policy),
    )


def _history(key: str, policy: RestartPolicy) -> dict[str, Any]:
    return {
        "host_id": None if key == CLERK else key,
        "restarts": policy.restarts,
        "last_exit": policy.last_words,
        "exit_clock": policy.exit_clock,
        "failing_clock": policy.failing_clock,
        "is_crash_looping": policy.is_crash_looping,
    }
