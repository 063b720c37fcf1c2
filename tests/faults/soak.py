"""How long the tests of `make soak` take. Smaller sizes show in minutes that each of them runs at all."""

from __future__ import annotations

import os

CHAOS_JOBS = int(os.environ.get("TALLYMAN_CHAOS_JOBS", "1000"))
CHAOS_SEEDS = int(os.environ.get("TALLYMAN_CHAOS_SEEDS", "3"))
OUTAGE_SECONDS = float(os.environ.get("TALLYMAN_SOAK_OUTAGE_SECONDS", "290"))
LOG_MEBIBYTES = int(os.environ.get("TALLYMAN_SOAK_LOG_MEBIBYTES", "1024"))
RESTARTS = int(os.environ.get("TALLYMAN_SOAK_RESTARTS", "1000"))  # and ten times as many jobs
