"""The jobs of a chaos run: a seeded mix, each with what must have become of it in the end."""

from __future__ import annotations

import random
import shlex
from collections.abc import Callable
from dataclasses import dataclass

from jobs.models import ContainerJob, ContainerTemplate, NetworkAssignment
from jobs.states import Outcome

_UNENDING = "exec sleep 600"


@dataclass(frozen=True, slots=True)
class Expected:
    """What a job must come to. `attempts` are those that started; `output` is (stdout, stderr) of one."""

    kind: str
    status: str
    outcome: Outcome
    exit_code: int | None = 0
    attempts: int = 1
    output: Callable[[int], tuple[bytes, bytes]] = lambda _attempt: (b"", b"")
    cancel_after_seconds: float | None = None


class Mix:
    """Templates, and jobs in a random order. Every container's first act is to report to `port`."""

    def __init__(self, rng: random.Random, port: int) -> None:
        self._rng = rng
        self._report = f'echo "$TALLYMAN_JOB_ID $TALLYMAN_ATTEMPT" | nc 127.0.0.1 {port}; '
        self._usual = _template("usual", timeout_seconds=600)
        self._retried = _template(
            "retried", timeout_seconds=600, max_attempts=3, retry_on=["user"], retry_delay_seconds=0
        )
        self._short = _template("short", timeout_seconds=2)
        self._small = _template("small", timeout_seconds=600, memory_limit=64)
        self._kinds = {
            self._quick: 5,
            self._long: 4,
            self._failing: 2,
            self._again: 2,
            self._chatty: 3,
            self._cancelled: 2,
            self._late: 1,
            self._hungry: 1,
        }

    def submit(self, number: int) -> tuple[ContainerJob, Expected]:
        """One more job, as a bare row: that is a full submission."""
        (make,) = self._rng.choices(list(self._kinds), weights=list(self._kinds.values()))
        template, script, expected = make(number)
        job = ContainerJob.objects.create(
            template=template,
            name=f"{number} {expected.kind}",
            priority=self._rng.choice((0, 0, 5)),
            override_command=f"sh -c {shlex.quote(self._report + script)}",
        )
        return job, expected

    def _quick(self, number: int) -> tuple[ContainerTemplate, str, Expected]:
        output = _same(f"out {number}\n".encode(), f"err {number}\n".encode())
        expected = Expected("quick", "completed", Outcome.SUCCEEDED, output=output)
        return self._usual, f"echo out {number}; echo err {number} >&2", expected

    def _long(self, number: int) -> tuple[ContainerTemplate, str, Expected]:
        turns = self._rng.randint(6, 60)
        script = f"i=0; while [ $i -lt {turns} ]; do echo turn $i; i=$((i+1)); sleep 0.25; done"
        output = _same("".join(f"turn {turn}\n" for turn in range(turns)).encode())
        return self._usual, script, Expected("long", "completed", Outcome.SUCCEEDED, output=output)

    def _failing(self, number: int) -> tuple[ContainerTemplate, str, Expected]:
        code = self._rng.randint(1, 99)
        output = _same(err=f"failing {number}\n".encode())
        expected = Expected("failing", "failed", Outcome.USER, exit_code=code, output=output)
        return self._usual, f"echo failing {number} >&2; exit {code}", expected

    def _again(self, number: int) -> tuple[ContainerTemplate, str, Expected]:
        """Fails until its second or third attempt. The limit counts failures, so no infra attempt is one."""
        attempts = self._rng.randint(2, 3)
        ends_well = self._rng.random() < 0.7
        last = f"[ $TALLYMAN_ATTEMPT -ge {attempts} ]" if ends_well else "false"
        expected = Expected(
            "retried",
            "completed" if ends_well else "failed",
            Outcome.SUCCEEDED if ends_well else Outcome.USER,
            exit_code=0 if ends_well else 1,
            attempts=attempts if ends_well else 3,
            output=lambda attempt: (f"{number} attempt {attempt}\n".encode(), b""),
        )
        return self._retried, f"echo {number} attempt $TALLYMAN_ATTEMPT; {last}", expected

    def _chatty(self, number: int) -> tuple[ContainerTemplate, str, Expected]:
        """Much on both streams at once, some of it no text, and the last line without an end."""
        blocks, lines = self._rng.randint(3, 8), self._rng.randint(300, 1500)
        count = f"for(i=0;i<{lines};i++) print {number}, b, i"
        script = (
            f"b=0; while [ $b -lt {blocks} ]; do awk -v b=$b 'BEGIN{{{count}}}'; "
            f"awk -v b=$b 'BEGIN{{{count}, \"e\"}}' >&2; b=$((b+1)); sleep 0.2; done; "
            r"printf '\377\000\376 the end'"
        )
        rows = [f"{number} {block} {line}" for block in range(blocks) for line in range(lines)]
        out = "".join(f"{row}\n" for row in rows).encode() + b"\xff\x00\xfe the end"
        err = "".join(f"{row} e\n" for row in rows).encode()
        return self._usual, script, Expected("chatty", "completed", Outcome.SUCCEEDED, output=_same(out, err))

    def _cancelled(self, number: int) -> tuple[ContainerTemplate, str, Expected]:
        expected = Expected(
            "cancelled",
            "cancelled",
            Outcome.CANCELLED,
            exit_code=None,
            output=_same(f"waiting {number}\n".encode()),
            cancel_after_seconds=self._rng.choice(
                (0.0, self._rng.uniform(0.0, 2.0), self._rng.uniform(2, 8))
            ),
        )
        return self._usual, f"echo waiting {number}; {_UNENDING}", expected

    def _late(self, number: int) -> tuple[ContainerTemplate, str, Expected]:
        output = _same(f"slow {number}\n".encode())
        expected = Expected("late", "timeout", Outcome.TIMEOUT, exit_code=None, output=output)
        return self._short, f"echo slow {number}; {_UNENDING}", expected

    def _hungry(self, number: int) -> tuple[ContainerTemplate, str, Expected]:
        output = _same(f"hungry {number}\n".encode())
        expected = Expected("hungry", "failed", Outcome.OOM, exit_code=137, output=output)
        return self._small, f"echo hungry {number}; exec tail /dev/zero", expected


def _same(out: bytes = b"", err: bytes = b"") -> Callable[[int], tuple[bytes, bytes]]:
    return lambda _attempt: (out, err)


def _template(name: str, **fields: object) -> ContainerTemplate:
    template = ContainerTemplate.objects.create(
        name=name, docker_image="busybox:latest", stop_grace_seconds=1, **fields
    )
    # The machine's own network, for the report.
    NetworkAssignment.objects.create(template=template, network_name="host")
    return template
