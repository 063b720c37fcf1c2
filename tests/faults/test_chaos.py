"""Whatever is killed and frozen, every job runs as often as it should, and its log is all there."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.faults.chaos import Chaos, Plan
from tests.faults.soak import CHAOS_JOBS, CHAOS_SEEDS
from tests.support.engines import Engine, running_engine

pytestmark = [
    pytest.mark.docker,
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.postgres_only,
    pytest.mark.django_db(transaction=True),
]

SEED = int(os.environ.get("TALLYMAN_CHAOS_SEED", "1"))


def account_for(plan: Plan, engines: tuple[Engine, Engine], database_url: str, folder: Path) -> None:
    chaos = Chaos(plan, engines, database_url, folder)
    wrong = chaos.run()
    print(f"seed {plan.seed} (TALLYMAN_CHAOS_SEED), {plan.jobs} jobs, acts: {chaos.acts}")
    assert not wrong, "\n".join([f"seed {plan.seed}; logs and diary are in {folder}", *wrong])


def test_sixty_jobs_are_accounted_for_whatever_dies(
    two_engines: tuple[Engine, Engine], database_url: str, tmp_path: Path
) -> None:
    account_for(Plan(seed=SEED, jobs=60, seconds=42), two_engines, database_url, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("number", range(CHAOS_SEEDS))
def test_a_thousand_jobs_are_accounted_for_whatever_dies(
    two_engines: tuple[Engine, Engine], database_url: str, tmp_path: Path, number: int
) -> None:
    seed = SEED + number if "TALLYMAN_CHAOS_SEED" in os.environ else random.randrange(1 << 32)
    seconds = max(60.0, CHAOS_JOBS / 2.5)
    plan = Plan(seed=seed, jobs=CHAOS_JOBS, seconds=seconds, long_freezes=max(1, int(seconds // 80)))
    account_for(plan, two_engines, database_url, tmp_path)


@pytest.mark.soak
def test_a_thousand_jobs_are_accounted_for_on_engines_that_restart(database_url: str, tmp_path: Path) -> None:
    seconds = max(60.0, CHAOS_JOBS / 2.5)
    with running_engine("--live-restore") as one, running_engine("--live-restore") as other:
        plan = Plan(seed=SEED, jobs=CHAOS_JOBS, seconds=seconds, engines_restart=True)
        account_for(plan, (one, other), database_url, tmp_path)
