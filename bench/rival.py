"""procrastinate doing nothing, in a process of its own: `python -m bench.rival <conninfo> <jobs> <at once>`.

In its best light: the async worker, psycopg's pool as large as it likes it, no notifications (there is
nothing to wait for), nothing logged, its schema warm, the jobs deferred before the clock starts. Prints the
jobs a second.
"""

from __future__ import annotations

import asyncio
import sys
import time

import procrastinate

POOL = 12
WARM_UP = 200


async def measure(conninfo: str, count: int, concurrency: int) -> float:
    """Jobs a second of one worker that works through `count` waiting jobs."""
    connector = procrastinate.PsycopgConnector(conninfo=conninfo, min_size=POOL, max_size=POOL)
    app = procrastinate.App(connector=connector)

    @app.task(name="nothing")
    async def nothing() -> None:
        return

    async with app.open_async():
        if not await app.check_connection_async():
            await app.schema_manager.apply_schema_async()
        await _work(app, nothing, WARM_UP, concurrency)
        return count / await _work(app, nothing, count, concurrency)


async def _work(
    app: procrastinate.App, task: procrastinate.tasks.Task, count: int, concurrency: int
) -> float:
    await task.batch_defer_async(*({} for _ in range(count)))
    began = time.perf_counter()
    await app.run_worker_async(
        concurrency=concurrency, wait=False, listen_notify=False, install_signal_handlers=False
    )
    seconds = time.perf_counter() - began
    left = await app.job_manager.list_jobs_async(status="todo")
    assert not list(left), "the worker ended before its jobs did"
    return seconds


if __name__ == "__main__":
    print(asyncio.run(measure(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))))
