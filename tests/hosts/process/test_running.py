"""What a job is given, and what is told of it."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

from hosts.errors import ConfigurationError, ContainerExecutionError
from hosts.executors.contract import Usage
from tests.hosts.process.support import FOREVER, Bench, job_view, python, shell
from tests.support.waiting import wait_until

pytestmark = pytest.mark.process

BYTES = bytes(range(256)) + b"\r\n\xff\xfe\0no newline"


def test_both_streams_are_kept_byte_for_byte(bench: Bench) -> None:
    program = f"import os; b = {BYTES!r}; os.write(1, b); os.write(2, b[::-1])"

    _, stdout, stderr = bench.run(python(program))

    assert (stdout, stderr) == (BYTES, BYTES[::-1])


@pytest.mark.parametrize(
    ("script", "exit_code"),
    [("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -TERM $$", 143), ("kill -KILL $$", 137)],
)
def test_the_exit_code_is_dockers(bench: Bench, script: str, exit_code: int) -> None:
    seen, _, _ = bench.run(shell(script))

    assert seen.exit_code == exit_code


def test_a_job_is_created_then_runs_then_exits(bench: Bench) -> None:
    job = job_view(shell("read line < gate; exit 4"), directory=str(bench.root))
    created = bench.executor.create(job)
    os.mkfifo(bench.root / "gate")
    bench.executor.start(created.container_id)
    running = bench.observe(created.container_id)
    (bench.root / "gate").write_text("go\n")
    exited = bench.ended(created.container_id)

    assert (created.state, created.fresh, created.started_at) == ("created", True, None)
    assert (running.state, running.exit_code, running.finished_at) == ("running", None, None)
    assert (exited.state, exited.exit_code, exited.error) == ("exited", 4, "")
    assert exited.started_at == running.started_at
    assert exited.finished_at is not None
    assert exited.started_at is not None
    assert exited.started_at < exited.finished_at
    assert exited.metadata["max_rss_bytes"] > 0
    assert job.saved_metadata == {"folder": exited.metadata["folder"]}


def test_a_job_is_found_by_name_and_by_id_and_in_the_list(bench: Bench) -> None:
    seen = bench.executor.create(job_view(FOREVER, name="tallyman-a"))

    others = Bench(bench.root)

    assert bench.another_executor().observe("tallyman-a") == bench.observe(seen.container_id)
    assert [one.name for one in bench.executor.list_containers()] == ["tallyman-a"]
    assert bench.executor.observe("tallyman-b") is None
    assert bench.executor.observe("../process/tallyman-a") is None
    assert others.executor.list_containers() == []


def test_nothing_of_the_workers_environment_reaches_a_job(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "hunter2")

    _, stdout, _ = bench.run("env -0", environment={"GIVEN": "a=b\nc", "LANG": "de_DE.UTF-8"})
    environment = dict(entry.split("=", 1) for entry in stdout.decode().split("\0") if entry)

    assert set(environment) == {"PATH", "HOME", "LANG", "GIVEN", "TALLYMAN_CONTAINER_ID"}
    assert (environment["GIVEN"], environment["LANG"]) == ("a=b\nc", "de_DE.UTF-8")


def test_the_environment_does_not_stay_on_the_disk(bench: Bench) -> None:
    container_id = bench.start(FOREVER, environment={"PASSWORD": "hunter2"})

    written = b"".join(path.read_bytes() for path in bench.folder(container_id).path.iterdir())

    assert b"hunter2" not in written
    assert bench.folder(container_id).path.stat().st_mode & 0o077 == 0


def test_a_job_inherits_no_descriptor_but_the_lock(bench: Bench) -> None:
    inherited = os.open(os.devnull, os.O_RDONLY)
    os.set_inheritable(inherited, True)
    script = "for fd in /proc/$$/fd/*; do readlink $fd; done"

    _, stdout, _ = bench.run(shell(script))
    os.close(inherited)

    assert sorted(Path(name).name for name in stdout.decode().split()) == ["lock", "null", "stderr", "stdout"]


def test_no_signal_is_blocked_or_ignored_in_a_job(bench: Bench) -> None:
    job = job_view("grep -E ^Sig(Blk|Ign) /proc/self/status")
    container_id = bench.executor.create(job).container_id

    def start_with_signals_blocked() -> None:
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        bench.executor.start(container_id)

    thread = threading.Thread(target=start_with_signals_blocked)
    thread.start()
    thread.join()
    bench.ended(container_id)

    stdout = (bench.folder(container_id).path / "stdout").read_text()
    # Signals 32 and 33 are the C library's own; its posix_spawn, which make uses, leaves them ignored.
    assert [int(mask, 16) & ~(3 << 31) for mask in stdout.split()[1::2]] == [0, 0]


def test_a_job_is_out_of_reach_of_our_terminal_and_of_our_death(bench: Bench) -> None:
    run = bench.processes_of(bench.start(FOREVER))

    assert len({os.getsid(0), os.getsid(run.shim_pid), os.getsid(run.job_pid)}) == 3
    assert os.getpid() not in [parent.pid for parent in psutil.Process(run.shim_pid).parents()]


def test_it_runs_in_its_working_directory_or_the_projects(bench: Bench, settings: Any) -> None:
    _, there, _ = bench.run("pwd", directory=str(bench.root))
    _, here, _ = bench.run("pwd")

    assert (there.decode().strip(), here.decode().strip()) == (str(bench.root), str(settings.BASE_DIR))


def test_the_limits_hold(bench: Bench) -> None:
    program = "import os; print(len(os.sched_getaffinity(0))); bytearray(200 * 2**20)"

    seen, stdout, stderr = bench.run(python(program), memory_limit=100, cpu_limit=0.5)

    assert (seen.exit_code, stdout) == (1, b"1\n")
    assert b"MemoryError" in stderr


def test_what_a_job_leaves_behind_ends_with_it(bench: Bench) -> None:
    seen, stdout, _ = bench.run(shell(f"{FOREVER} & setsid {FOREVER} & echo $!; exit 5"))

    assert seen.exit_code == 5
    assert not psutil.pid_exists(int(stdout))


@pytest.mark.parametrize(
    ("command", "directory", "failure_class", "exit_code"),
    [
        ("no-such-command", "", "command_not_found", 127),
        ("/no/such/command", "", "command_not_found", 127),
        ("/etc/passwd", "", "command_not_executable", 126),
        ("/", "", "command_not_executable", 126),
        ("true", "/no/such/folder", "start_refused", None),
    ],
)
def test_a_command_that_cannot_run_is_refused_for_good(
    bench: Bench, command: str, directory: str, failure_class: str, exit_code: int | None
) -> None:
    container_id = bench.create(command, directory=directory)

    for _ in range(2):
        with pytest.raises(ContainerExecutionError) as caught:
            bench.executor.start(container_id)
        assert (caught.value.failure_class, caught.value.exit_code) == (failure_class, exit_code)
        assert caught.value.hint

    seen = bench.observe(container_id)
    assert (seen.state, seen.exit_code, seen.started_at) == ("created", exit_code, None)
    assert seen.error == str(caught.value)


def test_a_job_without_a_command_is_refused(bench: Bench) -> None:
    with pytest.raises(ContainerExecutionError) as caught:
        bench.executor.create(job_view(""))

    assert caught.value.failure_class == "no_command"


def test_without_the_setting_no_process_runs(bench: Bench, settings: Any) -> None:
    settings.TALLYMAN_ALLOW_PROCESS_EXECUTOR = False

    with pytest.raises(ConfigurationError):
        bench.executor.check()
    with pytest.raises(ConfigurationError):
        bench.executor.create(job_view("true"))


def test_usage_counts_every_process_of_the_job(bench: Bench) -> None:
    busy = "b = bytearray(30 * 2**20)\nwhile True: pass"
    container_id = bench.start(shell(f"{python(busy)} & {FOREVER}"))

    def busy_usage() -> Usage | None:
        usage = bench.executor.usage(container_id)
        return usage if usage and (usage.cpu_seconds or 0) > 0.1 else None

    usage = wait_until(busy_usage, what="CPU time")
    bench.executor.signal(container_id, "KILL")
    bench.ended(container_id)

    assert usage is not None
    assert usage.pids == 3
    assert (usage.memory_bytes or 0) > 30 * 2**20
    assert bench.executor.usage(container_id) is None


def test_the_engine_says_who_it_is(bench: Bench, tmp_path: Path) -> None:
    bench.start(FOREVER)
    facts = bench.executor.check()

    assert facts.engine_id == bench.another_executor().check().engine_id
    assert facts.engine_id != Bench(tmp_path / "other").executor.check().engine_id
    assert (facts.containers_running, facts.version.split(".")[0]) == (1, "3")
    assert facts.memory_bytes
    assert facts.cpus
