"""Whether an engine that answers is in good condition: a degraded host takes jobs, but asks for a look."""

from __future__ import annotations

from hosts.executors.contract import EngineFacts

SLOW_SECONDS = 5.0
_LEAST_FREE = 0.05
_MOST_SKEW_SECONDS = 10.0


def trouble(facts: EngineFacts) -> str:
    """What is wrong with it, in words that stay the same while it is; empty when nothing is.

    What the engine does not tell is taken to be well.
    """
    found = []
    if (facts.answer_seconds or 0.0) >= SLOW_SECONDS:
        found.append(f"it takes more than {SLOW_SECONDS:g} s to answer")
    if facts.disk_total_bytes and facts.disk_free_bytes is not None:
        free = facts.disk_free_bytes / facts.disk_total_bytes
        if free < _LEAST_FREE:
            found.append(f"less than {_LEAST_FREE:.0%} of its disk is free")
    if (facts.clock_skew_seconds or 0.0) > _MOST_SKEW_SECONDS:
        found.append(f"its clock differs from ours by more than {_MOST_SKEW_SECONDS:g} s")
    return "; ".join(found)
