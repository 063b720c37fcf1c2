"""Whole jobs whose logs are anything but ordinary: what the container wrote is what can be read."""

from __future__ import annotations

import hashlib
import re
import signal
import time

import psutil
import pytest

from hosts.executors.frames import STDERR, STDOUT
from hosts.models import DockerHost
from jobs import logs, operations
from jobs.models import Attempt, ContainerJob, ContainerTemplate
from tests.faults.soak import LOG_MEBIBYTES
from tests.supervisor.working import AnyEngine, shell, work
from tests.support import supervising
from tests.support.supervising import wait_for_status
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.docker, pytest.mark.process, pytest.mark.django_db(transaction=True)]

MEBIBYTE = 1024 * 1024


def attempt_of(job: ContainerJob) -> Attempt:
    return Attempt.objects.get(job=job)


def text(job: ContainerJob, stream: int = STDOUT) -> bytes:
    return b"".join(logs.stream_bytes(attempt_of(job).pk, stream))


def run(*jobs: ContainerJob, database_url: str) -> None:
    code, _ = work("--once", database_url=database_url)
    assert code == 0
    for job in jobs:
        job.refresh_from_db()
        assert job.status == "completed"
        assert attempt_of(job).outcome == "succeeded"


def counted(first: int, last: int) -> bytes:
    return b"".join(b"%d\n" % number for number in range(first, last + 1))


def test_every_byte_of_every_kind_of_log_is_there(
    engine: AnyEngine, host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    many = shell(template, "seq 100000; seq 20000 >&2")
    kinds = operations.submit(
        template,
        command='sh -c \'yes "$A" | head -n 3000; printf "a\\rb\\n\\377\\376\\000 x\\n\\303"; '
        'head -c 40000 /dev/zero; printf "\\nlast" >&2\'',
        environment={"A": "\N{SNOWMAN}" * 40},
    )
    run(many, kinds, database_url=database_url)
    assert text(many) == counted(1, 100_000)
    assert text(many, STDERR) == counted(1, 20_000)
    assert (
        text(kinds)
        == ("\N{SNOWMAN}" * 40 + "\n").encode() * 3000 + b"a\rb\n\xff\xfe\x00 x\n\xc3" + b"\0" * 40_000
    )
    assert text(kinds, STDERR) == b"\nlast"
    assert all(attempt.logs_complete for attempt in Attempt.objects.all())


def test_a_worker_that_dies_again_and_again_leaves_neither_gap_nor_repeat(
    engine: AnyEngine, host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    script = (
        "i=0; while [ $i -lt 40 ]; do seq $((i * 500 + 1)) $((i * 500 + 500)); i=$((i + 1)); sleep 0.1; done"
    )
    job = shell(template, f"({script}) & ({script}) >&2; wait")
    for stored in (1, 1_000, 2_000):
        with supervising.running("process_container_jobs", database_url=database_url) as command:
            wait_until(
                lambda least=stored: Attempt.objects.filter(job=job, stdout_lines__gte=least).exists(),
                60,
                "a part of the log to be stored",
            )
            command.signal(signal.SIGKILL)
            command.process.wait(10)
    run(job, database_url=database_url)
    assert text(job) == text(job, STDERR) == counted(1, 20_000)
    assert attempt_of(job).logs_complete


def test_of_a_log_over_its_cap_the_engine_loses_nothing_and_the_gap_is_exact(
    engine: AnyEngine, host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    ContainerTemplate.objects.filter(pk=template.pk).update(max_log_bytes=MEBIBYTE)
    job = shell(template, "seq 300000")
    run(job, database_url=database_url)
    whole, kept, attempt = counted(1, 300_000), text(job), attempt_of(job)
    assert len(kept) <= MEBIBYTE
    assert attempt.log_gap_bytes == len(whole) - len(kept)
    head = next((at for at, pair in enumerate(zip(whole, kept, strict=False)) if pair[0] != pair[1]), 0)
    assert head >= MEBIBYTE // 2
    assert whole.endswith(kept[head:])
    assert (attempt.stdout_bytes, attempt.logs_complete) == (len(whole), True)
    shown = re.fullmatch(
        r"(.*)\n\[\.\.\. (\d+) bytes left out \.\.\.\]\n(.*)", job.execution.stdout, re.DOTALL
    )
    assert shown is not None
    assert len(shown[1]) + int(shown[2]) + len(shown[3]) == len(whole)


def test_an_engine_that_rotates_hangs_nothing_and_is_told_on(
    engine: AnyEngine, host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    DockerHost.objects.filter(pk=host.pk).update(executor_config={"log_max_size": "100k"})
    job = shell(template, "seq 300000; echo the end")
    run(job, database_url=database_url)
    attempt = attempt_of(job)
    assert not attempt.logs_complete
    assert "missing" in attempt.logs_note or "dropped" in attempt.logs_note
    assert text(job).endswith(b"the end\n")


def test_a_terminals_log_is_what_the_terminal_wrote(
    engine: AnyEngine, host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    ContainerTemplate.objects.filter(pk=template.pk).update(tty=True)
    job = shell(
        template,
        'test -t 1 && seq 30000; head -c 50000 /dev/zero | tr "\\000" x; echo; echo err >&2; printf end',
    )
    run(job, database_url=database_url)
    assert text(job) == (counted(1, 30_000) + b"x" * 50_000 + b"\nerr\n").replace(b"\n", b"\r\n") + b"end"
    assert text(job, STDERR) == b""
    assert attempt_of(job).logs_complete


def test_a_process_host_refuses_a_terminal(
    template: ContainerTemplate, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = str(tmp_path_factory.mktemp("root") / "jobs")
    here = DockerHost.objects.create(name="here", executor_type="process", executor_config={"root": root})
    ContainerTemplate.objects.filter(pk=template.pk).update(tty=True)
    job = ContainerJob.objects.create(template=template, docker_host=here)
    work("--once", database_url=database_url)
    job.refresh_from_db()
    assert job.failure_message.endswith("cannot give a container a terminal (tty).")
    assert (job.failure_class, job.attempt_count) == ("not_supported", 1)


def test_the_docker_log_is_the_engines_own_even_after_a_takeover(
    engine: AnyEngine, host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    ContainerTemplate.objects.filter(pk=template.pk).update(stop_grace_seconds=30)
    job = shell(template, 'trap "exit 3" TERM; echo up; while true; do sleep 0.1; done')
    with supervising.running("process_container_jobs", database_url=database_url) as command:
        wait_until(lambda: Attempt.objects.filter(job=job, stdout_lines=1).exists(), 20, "the job to be up")
        command.signal(signal.SIGKILL)
        command.process.wait(10)
    with supervising.running("process_container_jobs", database_url=database_url):
        operations.cancel(job.pk, who="test")
        wait_for_status(job, "cancelled")
    lines = [line.split(" ", 1) for line in job.execution.docker_log.splitlines()]
    actions = [what for _, what in lines]
    assert actions[:3] == ["create", "start", "kill signal 15"]
    assert "die exit code 3" in actions
    assert [at for at, _ in lines] == sorted(at for at, _ in lines)


@pytest.mark.soak
def test_a_gibibyte_of_log_is_stored_whole_in_bounded_memory(
    engine: AnyEngine, host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    ContainerTemplate.objects.filter(pk=template.pk).update(
        max_log_bytes=2 * LOG_MEBIBYTES * MEBIBYTE, timeout_seconds=1000
    )
    line = b"2026-05-01 12:00:00 INFO some.module request handled in 12 ms for user 4711 path /api/v1/items\n"
    count = LOG_MEBIBYTES * MEBIBYTE // len(line)
    job = shell(template, f'yes "{line.decode().strip()}" | head -n {count}')
    peak = base = 0
    with supervising.running("process_container_jobs", database_url=database_url) as command:
        deadline = time.monotonic() + 1000
        while job.status not in ("completed", "failed") and time.monotonic() < deadline:
            resident = psutil.Process(command.process.pid).memory_info().rss
            base, peak = base or resident, max(peak, resident)
            time.sleep(0.2)
            job.refresh_from_db()
    assert job.status == "completed"
    assert peak - base < 200 * MEBIBYTE
    digest, expected = hashlib.sha256(), hashlib.sha256()
    for piece in logs.stream_bytes(attempt_of(job).pk, STDOUT):
        digest.update(piece)
    for _ in range(count):
        expected.update(line)
    assert (attempt_of(job).stdout_bytes, digest.digest()) == (count * len(line), expected.digest())
