"""Whatever dies, it is told what became of the job, and nothing is in the way for ever."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from hosts.errors import ContainerBusy, ContainerExecutionError, DockerConnectionError
from hosts.executors.process import processes
from hosts.identity import start_ticks
from tests.hosts.process.support import FOREVER, Bench, job_view, python, shell
from tests.support.waiting import wait_until

pytestmark = pytest.mark.process

PARENT = """
import os, signal, sys, uuid, django
django.setup()
from pathlib import Path
from tests.hosts.process.support import Bench
bench = Bench(Path(sys.argv[1]), uuid.UUID(sys.argv[2]))
bench.start(sys.argv[3], name="survivor")
os.killpg(0, signal.SIGKILL)
"""


def test_a_job_survives_the_death_of_the_worker(bench: Bench) -> None:
    bench.root.mkdir()
    os.mkfifo(bench.root / "gate")
    script = shell(f"read line < {bench.root}/gate; echo $line; exit 7")
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings", "TALLYMAN_ALLOW_PROCESS_EXECUTOR": "true"}
    parent = subprocess.run(
        [sys.executable, "-c", PARENT, str(bench.root), str(bench.installation), script],
        env=os.environ | environment,
        start_new_session=True,
        check=False,
        timeout=20,
    )
    survivor = bench.executor.observe("survivor")
    assert parent.returncode == -signal.SIGKILL
    assert survivor is not None
    assert survivor.state == "running"

    (bench.root / "gate").write_text("heard\n")
    exited = bench.ended(survivor.container_id)

    assert exited.exit_code == 7
    assert (bench.folder(survivor.container_id).path / "stdout").read_bytes() == b"heard\n"


def test_a_job_does_not_outlive_its_shim(bench: Bench) -> None:
    container_id = bench.start(FOREVER)
    run = bench.processes_of(container_id)
    os.kill(run.shim_pid, signal.SIGKILL)
    seen = bench.ended(container_id)

    assert (seen.state, seen.exit_code, seen.finished_at) == ("exited", None, None)
    assert "how it ended is not known" in seen.error
    assert start_ticks(run.job_pid) is None


def test_what_outlives_the_shim_keeps_the_job_running_until_killed(bench: Bench) -> None:
    container_id = bench.start(shell(f"{FOREVER} & wait"))
    wait_until(lambda: len(processes.members(container_id)) == 2, what="both processes")
    run = bench.processes_of(container_id)
    os.kill(run.shim_pid, signal.SIGKILL)
    wait_until(lambda: len(processes.members(container_id)) == 1, what="the end of the first process")

    assert bench.observe(container_id).state == "running"
    bench.executor.signal(container_id, "KILL")
    assert bench.ended(container_id).exit_code is None


def test_removal_ends_what_outlived_the_shim_unseen(bench: Bench) -> None:
    # Python closes inherited descriptors in its children, the lock among them.
    program = f"import subprocess; subprocess.run({FOREVER.split()})"
    container_id = bench.start(python(program))
    wait_until(lambda: len(processes.members(container_id)) == 2, what="both processes")
    os.kill(bench.processes_of(container_id).shim_pid, signal.SIGKILL)
    bench.ended(container_id)
    assert len(processes.members(container_id)) == 1

    bench.executor.remove(container_id)

    assert processes.members(container_id) == []
    assert bench.executor.observe(container_id) is None


def test_a_restart_of_the_machine_is_told(bench: Bench) -> None:
    container_id = bench.start(FOREVER)
    run_json = bench.folder(container_id).path / "run.json"
    os.kill(bench.processes_of(container_id).shim_pid, signal.SIGKILL)
    bench.ended(container_id)
    run_json.write_text(json.dumps(json.loads(run_json.read_text()) | {"boot_id": "another"}))

    assert "machine was restarted" in bench.observe(container_id).error
    assert bench.observe(container_id).exit_code is None


def test_a_creator_that_died_half_way_is_not_in_the_way(bench: Bench) -> None:
    bench.executor.check()
    (bench.root / "same").mkdir()
    half, young = bench.root / ".new-old", bench.root / ".new-young"
    half.mkdir()
    young.mkdir()
    os.utime(half, (0, 0))

    assert bench.executor.observe("same") is None
    assert bench.executor.create(job_view("true", name="same")).fresh
    assert len(bench.executor.list_containers()) == 1
    assert young.exists()


def test_a_folder_of_someone_else_is_not_touched(bench: Bench) -> None:
    bench.executor.check()
    (bench.root / "same").mkdir()
    (bench.root / "same" / "diary").write_text("dear")

    with pytest.raises(ContainerExecutionError):
        bench.executor.create(job_view("true", name="same"))
    assert bench.executor.list_containers() == []
    assert (bench.root / "same" / "diary").read_text() == "dear"


def test_a_root_that_vanished_is_no_proof_of_absence(bench: Bench) -> None:
    container_id = bench.create(FOREVER)
    bench.root.rename(bench.root.with_name("unmounted"))

    for call in (bench.executor.list_containers, bench.executor.check):
        with pytest.raises(DockerConnectionError):
            call()
    with pytest.raises(DockerConnectionError):
        bench.executor.observe(container_id)
    with pytest.raises(DockerConnectionError):
        bench.executor.create(job_view("true"))


def test_another_root_in_its_place_is_another_engine(bench: Bench) -> None:
    engine_id = bench.executor.check().engine_id
    container_id = bench.create(FOREVER)
    shutil.rmtree(bench.root)
    other = bench.another_executor().check().engine_id

    assert bench.executor.check().engine_id == other != engine_id
    with pytest.raises(DockerConnectionError):
        bench.executor.observe(container_id)


def test_a_damaged_folder_proves_nothing(bench: Bench) -> None:
    container_id = bench.create(FOREVER, name="damaged")
    spec = bench.folder(container_id).path / "spec.json"
    whole = spec.read_text()
    spec.write_text(whole[:20])

    with pytest.raises(DockerConnectionError):
        bench.executor.observe("damaged")
    spec.write_text(whole)


def test_a_folder_written_by_a_newer_version_can_be_read(bench: Bench) -> None:
    container_id = bench.start(FOREVER)
    for name in ("spec.json", "run.json"):
        path = bench.folder(container_id).path / name
        path.write_text(json.dumps(json.loads(path.read_text()) | {"new_in_next_version": 1}))

    assert bench.observe(container_id).state == "running"


def test_removal_of_what_is_gone_is_fine(bench: Bench) -> None:
    container_id = bench.create("true")
    bench.executor.remove(container_id)
    bench.executor.remove(container_id)

    assert bench.executor.observe(container_id) is None
    assert [path.name for path in bench.root.iterdir()] == [".engine.json"]


def test_a_running_job_is_removed_by_force_only(bench: Bench) -> None:
    container_id = bench.start(shell(f"trap '' TERM; {FOREVER} & setsid {FOREVER} & wait"))
    wait_until(lambda: len(processes.members(container_id)) == 3, what="three processes")

    with pytest.raises(ContainerBusy):
        bench.executor.remove(container_id)
    bench.executor.remove(container_id, force=True)

    assert bench.executor.observe(container_id) is None
    assert processes.members(container_id) == []


def test_term_goes_to_the_first_process_and_kill_to_all(bench: Bench) -> None:
    container_id = bench.start(
        shell(f"trap 'echo got it' TERM; {FOREVER} & echo ready; while :; do wait; done")
    )
    bench.said(container_id, b"ready")
    bench.executor.signal(container_id, "TERM")
    bench.said(container_id, b"got it")
    assert len(processes.members(container_id)) == 2

    bench.executor.signal(container_id, "KILL")

    assert bench.ended(container_id).exit_code == 137
    assert processes.members(container_id) == []
    bench.executor.signal(container_id, "TERM")


def test_a_stopped_shim_does_not_save_a_job_from_removal(bench: Bench) -> None:
    container_id = bench.start(FOREVER)
    os.kill(bench.processes_of(container_id).shim_pid, signal.SIGSTOP)

    bench.executor.remove(container_id, force=True)

    assert bench.executor.observe(container_id) is None


def test_a_pid_that_was_used_again_gets_no_signal(bench: Bench, tmp_path: Path) -> None:
    innocent = subprocess.Popen(FOREVER.split())
    run = bench.processes_of(bench.start(FOREVER))
    reused = type(run)(
        **{name: getattr(run, name) for name in run.__slots__}
        | {"job_pid": innocent.pid, "shim_pid": innocent.pid}
    )

    processes.send(reused, signal.SIGTERM)
    processes.kill(reused, "0" * 64)

    assert psutil.Process(innocent.pid).status() != psutil.STATUS_ZOMBIE
    innocent.kill()
    innocent.wait()
