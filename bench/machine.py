"""What the numbers were measured on, and where they are kept."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import psutil

from bench.ground import server_version
from bench.rounds import Result
from tests.support.postgres import PostgresServer

README = Path(__file__).with_name("README.md")


def conditions(server: PostgresServer) -> str:
    """The machine and the versions, in one sentence; nothing that names the machine."""
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    memory = psutil.virtual_memory().total / 2**30
    facts = [
        model[1].strip() if model else platform.machine(),
        f"{os.cpu_count()} cores",
        f"{memory:.1f} GiB",
        f"Linux {platform.release()}",
        _docker(),
        f"PostgreSQL {server_version(server)}",
        f"Python {platform.python_version()}",
    ]
    return (
        f"Measured {datetime.now(UTC):%Y-%m-%d}: {', '.join(facts)}. Load before: {os.getloadavg()[2]:.1f}."
    )


def _docker() -> str:
    done = subprocess.run(["dockerd", "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"version ([^, ]+)", done.stdout)
    return f"Docker {version[1]}" if version else "no Docker"


def record(result: Result, measured: str) -> None:
    """Put the result in the place of the part's last one."""
    begin, end = f"<!-- {result.letter} -->", f"<!-- end of {result.letter} -->"
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(end)
    section = f"{begin}\n\n{result.markdown()}\n\n{measured}\n\n{end}"
    README.write_text(f"{before}{section}{after}", encoding="utf-8")
