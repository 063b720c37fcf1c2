"""The bench of the process executor's tests; whatever runs on it is killed at the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hosts.errors import EngineError
from tests.hosts.process.support import Bench


@pytest.fixture
def bench(tmp_path: Path, settings: Any) -> Iterator[Bench]:
    settings.TALLYMAN_ALLOW_PROCESS_EXECUTOR = True
    bench = Bench(tmp_path / "process")
    yield bench
    cleaner = bench.another_executor()
    try:
        left = cleaner.list_containers()
    except EngineError:
        return  # The test broke the root on purpose, with nothing running in it.
    for seen in left:
        cleaner.remove(seen.container_id, force=True)
