"""When a worker gives way to a fresh process, before what a long life gathers becomes a trouble. Pure.

It costs next to nothing: the worker detaches, its containers run on, and the next one adopts them.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field

_AGE_SPREAD = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Recycling:
    """A worker's limits; 0: none. Made in the worker, so that not all of one age end at the same moment."""

    max_age_seconds: float = 0.0
    max_jobs: int = 0
    share: float = field(default_factory=lambda: 1.0 - _AGE_SPREAD * random.random())

    def why(self, *, age_seconds: float, jobs: int) -> str:
        """Why it is time; empty if it is not."""
        if self.max_age_seconds and age_seconds >= self.max_age_seconds * self.share:
            return f"it is {age_seconds:.0f} s old (TALLYMAN_WORKER_MAX_AGE_SECONDS)"
        if self.max_jobs and jobs >= self.max_jobs:
            return f"it has claimed {jobs} jobs (TALLYMAN_WORKER_MAX_JOBS)"
        return ""
