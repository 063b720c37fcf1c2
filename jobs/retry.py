"""Whether another attempt follows, and when. Pure."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.outcome import KILLS_WORKER
from jobs.states import Outcome

INFRA_DELAYS_SECONDS = (2.0, 8.0, 30.0)  # and 30 s before every further one
_NEVER = {Outcome.SUCCEEDED, Outcome.CANCELLED, Outcome.REJECTED}
_LAST_DOUBLING = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Attempts made (this one included), the infra failures before it, and what the job may still do."""

    attempts: int
    infra_failures: int
    max_attempts: int
    retry_on: Sequence[str]
    delay_seconds: float = 1.0
    max_delay_seconds: float = 300.0
    infra_retries: int = len(INFRA_DELAYS_SECONDS)

    @classmethod
    def of(cls, spec: Mapping[str, Any], *, attempts: int, infra_failures: int) -> Budget:
        """The budget that a complete frozen spec gives."""
        return cls(
            attempts=attempts,
            infra_failures=infra_failures,
            max_attempts=spec["max_attempts"],
            retry_on=spec["retry_on"],
            delay_seconds=spec["retry_delay_seconds"],
            max_delay_seconds=spec["retry_max_delay_seconds"],
            infra_retries=spec["infra_retries"],
        )


def delay_before_next(
    outcome: Outcome, budget: Budget, *, failure_class: str = "", jitter: float | None = None
) -> float | None:
    """Seconds until the next attempt may start; None if this outcome is final.

    `infra` proved that nothing started, so it may always be tried again, out of a budget of its own. Whatever
    started runs again only where its owner says so; that wait doubles with each attempt up to its cap. Both
    vary by 25 % either way, so that jobs that failed together do not come back together. What killed its
    workers is final, whatever its outcome is called: it would kill more of them. `jitter` is 0 to 1, for
    tests; random otherwise.
    """
    share = 0.75 + (random.random() if jitter is None else jitter) / 2
    if outcome is Outcome.INFRA:
        if budget.infra_failures >= budget.infra_retries:
            return None
        return INFRA_DELAYS_SECONDS[min(budget.infra_failures, len(INFRA_DELAYS_SECONDS) - 1)] * share
    if outcome in _NEVER or failure_class == KILLS_WORKER or outcome not in budget.retry_on:
        return None
    own_attempts = budget.attempts - budget.infra_failures
    if own_attempts >= budget.max_attempts:
        return None
    doubled = budget.delay_seconds * 2.0 ** min(own_attempts - 1, _LAST_DOUBLING)
    return min(budget.max_delay_seconds, doubled) * share
