"""(a) Jobs a second through the whole system, beside the bare Docker API doing the same."""

from __future__ import annotations

import queue
import threading
import time
from functools import partial
from typing import Any

from bench import engine as engines
from bench import ground, work
from bench.rounds import Result, in_turn
from tests.support import busybox
from tests.support.engines import Engine
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

JOBS = 32
AT_ONCE = (4, 8)
TARGET = 0.95
COMMAND = "echo done"


def measure(server: PostgresServer) -> Result:
    """Both sides in turn at each concurrency, on one engine."""
    from hosts.models import DockerHost
    from jobs.models import ContainerTemplate

    result = Result("a", "Jobs on a real engine", ["at once", "jobs/s", "bare Docker API", "ratio"])
    with engines.started() as engine:
        host = DockerHost.objects.create(name="docker", connection_string=engine.url, policy={"root": True})
        template = ContainerTemplate.objects.create(name="short", docker_image=busybox.IMAGE, command=COMMAND)
        with ground.supervisor():
            for at_once in AT_ONCE:
                whole = partial(_whole, host, template, engine, at_once)
                bare = partial(_bare, engine, at_once)
                whole(2 * at_once)
                bare(2 * at_once)
                sides = in_turn(
                    {
                        f"tallyman at {at_once}": partial(whole, JOBS),
                        f"bare at {at_once}": partial(bare, JOBS),
                    }
                )
                ours, theirs = sides.values()
                ratio = ours.over(theirs)
                result.rows.append([str(at_once), str(ours), str(theirs), str(ratio)])
                result.at_least(f"ratio at {at_once}", ratio.median, TARGET)
    result.notes.append(
        f"{JOBS} containers a round that say one line. Ours: from the jobs' INSERT until all have "
        "ended and the engine has none of their containers any more. Bare: one thread and one kept "
        "connection for each at once, create, start, wait, read the log, remove, with the same "
        "image, log driver (local), init, network and limits."
    )
    return result


def _whole(host: Any, template: Any, engine: Engine, at_once: int, count: int) -> float:
    type(host).objects.filter(pk=host.pk).update(max_concurrent_jobs=at_once)
    began = time.perf_counter()
    work.wait_for(work.submit(host, template, count))
    wait_until(
        lambda: not engine.api.containers(all=True, quiet=True), timeout_seconds=30, what="an empty engine"
    )
    return count / (time.perf_counter() - began)


def _bare(engine: Engine, at_once: int, count: int) -> float:
    todo: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in range(count):
        todo.put(number)
    done: list[bytes] = []
    threads = [threading.Thread(target=_launch, args=(engine, todo, done)) for _ in range(at_once)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    assert done == [b"done\n"] * count, "the bare side lost a container"
    return count / seconds


def _launch(engine: Engine, todo: queue.SimpleQueue[int], done: list[bytes]) -> None:
    api = engines.client(engine)
    body = engines.container(busybox.IMAGE, COMMAND.split())
    while True:
        try:
            todo.get_nowait()
        except queue.Empty:
            break
        made = api.create_container_from_config(body)["Id"]
        api.start(made)
        api.wait(made)
        done.append(api.logs(made))
        api.remove_container(made, v=True)
    api.close()
