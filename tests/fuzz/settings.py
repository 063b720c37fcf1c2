"""How much is tried: in the suite a few examples, always the same; in `make soak` others, and many."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

_EXAMPLES = int(os.environ.get("TALLYMAN_FUZZ_EXAMPLES", "0"))
fuzzed = settings(
    max_examples=_EXAMPLES or 5,
    derandomize=not _EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    phases=[Phase.explicit, Phase.generate],
)
