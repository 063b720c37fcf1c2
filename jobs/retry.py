"""Whether another attempt follows, and when. Pure."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from jobs.states import Outcome

INFRA_DELAYS_SECONDS = (2.0, 8.0, 30.0)
_MAX_DELAY_SECONDS = 300.0
_NEVER = {Outcome.SUCCEEDED, Outcome.CANCELLED, Outcome.REJECTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Attempts made (this one included), earlier infra failures among them, and what the template allows."""

    attempts: int
    infra_failures: int
    max_attempts: int
    retry_on: Sequence[str]


def delay_before_next(outcome: Outcome, budget: Budget, *, jitter: float | None = None) -> float | None:
    """Seconds until the next attempt may start; None if this outcome is final.

    `infra` proved that nothing started, so it may always be tried again, out of a budget of its own. Whatever
    started runs again only where the template says so. `jitter` is 0 to 1, for tests; random otherwise.
    """
    share = 0.75 + (random.random() if jitter is None else jitter) / 2
    if outcome is Outcome.INFRA:
        if budget.infra_failures >= len(INFRA_DELAYS_SECONDS):
            return None
        return INFRA_DELAYS_SECONDS[budget.infra_failures] * share
    if outcome in _NEVER or outcome not in budget.retry_on:
        return None
    own_attempts = budget.attempts - budget.infra_failures
    if own_attempts >= budget.max_attempts:
        return None
    return min(_MAX_DELAY_SECONDS, float(2 ** min(own_attempts - 1, 10))) * share
