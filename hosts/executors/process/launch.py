"""Start the shim of a job and hear what became of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hosts.errors import ContainerExecutionError, DockerConnectionError
from hosts.executors.process import refusals
from hosts.executors.process.store import Folder, Phase, Spec

_SHIM = Path(__file__).parent / "shim"


def start(folder: Folder, spec: Spec, *, timeout_seconds: float) -> None:
    """Run the job, unless it ran already; return when its program runs.

    ContainerExecutionError if the kernel refused to run it (the same again for a second call).
    """
    answer: Mapping[str, Any] = {"answer": "taken"}
    if folder.phase() is Phase.CREATED:
        answer = _run_shim(folder, spec.id, timeout_seconds=timeout_seconds)
    match answer.get("answer"):
        case "started":
            return
        case "refused":
            raise _refused(answer, spec)
        case "taken":
            _look_who_took_it(folder, spec)
        case _:
            reason = answer.get("text", "the folder went away")
            raise refusals.unusable(f"The start of {spec.name} is in doubt: {reason}.", answer.get("errno"))


def _look_who_took_it(folder: Folder, spec: Spec) -> None:
    """Return if it is running, or ran."""
    phase, end = folder.phase(), folder.end() or {}
    if phase is Phase.REFUSED and "refusal" in end:
        raise _refused(end, spec)
    if phase in {Phase.CREATED, Phase.REVOKED}:
        raise DockerConnectionError(f"{spec.name} is being started or removed by someone else.")


def _refused(answer: Mapping[str, Any], spec: Spec) -> ContainerExecutionError:
    return refusals.as_error(answer["refusal"], command=spec.command, directory=spec.directory)


def _run_shim(folder: Folder, container_id: str, *, timeout_seconds: float) -> dict[str, Any]:
    """The shim's answer; empty if it died without one."""
    try:
        # The first process of the shim forks and leaves at once, so there is nothing to wait for later.
        shim = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_SHIM), str(folder.path), container_id],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={},
            start_new_session=True,
        )
    except OSError as exc:
        raise DockerConnectionError(f"The shim of {folder.name} cannot be started: {exc}.") from exc
    try:
        said, _ = shim.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        shim.poll()
        return {"text": f"no answer within {timeout_seconds:g} s"}
    finally:
        if shim.stdout:
            shim.stdout.close()
    return dict(json.loads(said)) if said else {"text": "the shim died"}
