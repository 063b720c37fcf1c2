"""A supervisor where no web process runs: asked by a command beside it, and on a port of its own."""

from __future__ import annotations

import http.client
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hosts.models import DockerHost
from tests.support import supervising
from tests.support.engines import free_port
from tests.support.supervising import ROOT, wait_for_workers
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


def probe(run_dir: Path) -> tuple[int, str]:
    """What `supervise --probe` says beside it, without any database."""
    command = [sys.executable, str(ROOT / "manage.py"), "supervise", "--probe"]
    environment = {"TALLYMAN_RUN_DIR": str(run_dir), "DATABASE_URL": "postgres://nobody@127.0.0.1:1/none"}
    ran = subprocess.run(
        command, env={**os.environ, **environment}, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return ran.returncode, (ran.stdout + ran.stderr).strip()


def ask(port: int, path: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except OSError:
        return 0
    finally:
        connection.close()


def test_a_probe_beside_it_sees_it_live_hang_and_end(
    process_host: DockerHost, database_url: str, tmp_path: Path
) -> None:
    run_dir = tmp_path / "run"
    with supervising.running(
        "supervise", database_url=database_url, TALLYMAN_RUN_DIR=str(run_dir)
    ) as command:
        wait_for_workers(1)
        wait_until(lambda: "here" in probe(run_dir)[1], 15, "the worker to be named")
        code, said = probe(run_dir)
        assert (code, f"pid {command.process.pid}" in said) == (0, True)
        command.signal(signal.SIGSTOP)
        try:
            wait_until(lambda: probe(run_dir)[0] == 1, 30, "the probe to fail")
            assert "no sign of life" in probe(run_dir)[1]
        finally:
            command.signal(signal.SIGCONT)
        wait_until(lambda: probe(run_dir)[0] == 0, 15, "the probe to succeed again")
    assert probe(run_dir)[0] == 1
    assert not list(run_dir.iterdir())


def test_its_port_tells_whether_it_lives_and_whether_its_database_answers(
    process_host: DockerHost, database_url: str
) -> None:
    port = free_port()
    with supervising.running("supervise", f"--probe-port={port}", database_url=database_url):
        wait_until(lambda: ask(port, "/health/ready") == 200, 20, "the supervisor to be ready")
        assert ask(port, "/health/live") == 200
        assert ask(port, "/admin/") == 404


def test_a_supervisor_that_waits_for_its_database_lives_but_is_not_ready() -> None:
    port = free_port()
    nowhere = "postgres://nobody@127.0.0.1:1/none"
    with supervising.running("supervise", f"--probe-port={port}", database_url=nowhere):
        wait_until(lambda: ask(port, "/health/live") == 200, 20, "the port to open")
        assert ask(port, "/health/ready") == 503
