"""The audit after chaos: rows, logs, and the starts that engines and containers counted must agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from django.db.models import Count, Sum

from jobs import logs
from jobs.models import Attempt, ContainerJob, JobEvent, Tally
from jobs.states import Outcome
from tests.faults.mix import Expected

_NEVER_STARTED = {Outcome.INFRA, Outcome.REJECTED}
_MAY_HAVE_STARTED = {Outcome.CANCELLED}

Counts = Mapping[tuple[str, str], int]


def audit(
    jobs: Mapping[ContainerJob, Expected], starts: Counts, runs: Counts, *, engines_lose: bool = False
) -> list[str]:
    """Everything that is wrong, in words. `starts` is counted by engine events, `runs` in the containers.

    `engines_lose`: the engines were restarted under their containers, and then keep only a part of what those
    write; every line that is stored must be theirs, once and in its order.
    """
    wrong = [f"{key} was started {count} times" for key, count in starts.items() if count > 1]
    wrong += [f"{key} ran {count} times" for key, count in runs.items() if count > 1]
    known = {(str(job_id), str(number)) for job_id, number in Attempt.objects.values_list("job_id", "number")}
    wrong += [f"{key} ran, and no row tells of it" for key in (starts.keys() | runs.keys()) - known]
    if open_attempts := Attempt.objects.open().count():
        wrong.append(f"{open_attempts} attempts are still open")
    for job, expected in jobs.items():
        wrong += [
            f"job {job.name} ({job.id}): {words}" for words in _job(job, expected, starts, runs, engines_lose)
        ]
    return wrong + _books()


def _job(
    job: ContainerJob, expected: Expected, starts: Counts, runs: Counts, engines_lose: bool
) -> list[str]:
    job.refresh_from_db()
    wrong = []
    if job.status != expected.status:
        wrong.append(f"is {job.status} ({job.failure_class}: {job.failure_message}), not {expected.status}")
    if expected.exit_code is not None and job.exit_code != expected.exit_code:
        wrong.append(f"has exit code {job.exit_code}, not {expected.exit_code}")
    attempts = list(job.attempts.order_by("number"))
    outcomes = [attempt.outcome for attempt in attempts if attempt.outcome not in _NEVER_STARTED]
    wanted = [Outcome.USER] * (expected.attempts - 1) + [expected.outcome]
    if outcomes != wanted and not (expected.outcome in _MAY_HAVE_STARTED and not outcomes):
        wrong.append(f"had the outcomes {outcomes}, not {[str(one) for one in wanted]}")
    for attempt in attempts:
        key = str(job.id), str(attempt.number)
        wrong += [f"attempt {attempt.number} {words}" for words in _starts(attempt, starts[key], runs[key])]
        if starts[key] and runs[key]:
            wrong += [f"attempt {attempt.number} {words}" for words in _log(attempt, expected, engines_lose)]
    return wrong


def _starts(attempt: Attempt, starts: int, runs: int) -> list[str]:
    if attempt.outcome in _NEVER_STARTED:
        return [f"ended as {attempt.outcome}, and was started"] if starts or runs else []
    if attempt.outcome in _MAY_HAVE_STARTED:
        return []
    return [] if starts == runs == 1 else [f"({attempt.outcome}) was started {starts} times, and ran {runs}"]


def _log(attempt: Attempt, expected: Expected, engines_lose: bool) -> list[str]:
    wrong = [] if attempt.logs_complete else [f"has an incomplete log: {attempt.logs_note}"]
    for stream, name, wanted in zip(
        (1, 2), ("stdout", "stderr"), expected.output(attempt.number), strict=True
    ):
        stored = b"".join(logs.stream_bytes(attempt.id, stream))
        cut_short = attempt.outcome == Outcome.CANCELLED and wanted.startswith(stored)
        part = engines_lose and _is_part(stored, wanted)
        if stored != wanted and not cut_short and not part:
            wrong.append(f"has another {name}: {_difference(stored, wanted)}")
        counted = getattr(attempt, f"{name}_bytes")
        if counted != len(stored):
            wrong.append(f"counts {counted} bytes of {name}, and stores {len(stored)}")
    return wrong


def _is_part(stored: bytes, wanted: bytes) -> bool:
    lines = iter(wanted.splitlines())
    return all(line in lines for line in stored.splitlines())


def _difference(stored: bytes, wanted: bytes) -> str:
    pairs = enumerate(zip(stored, wanted, strict=False))
    place = next((place for place, (a, b) in pairs if a != b), min(len(stored), len(wanted)))
    here = slice(max(0, place - 20), place + 40)
    return (
        f"{len(stored)} bytes instead of {len(wanted)}, from byte {place} on: "
        f"{stored[here]!r} instead of {wanted[here]!r}"
    )


def _books() -> list[str]:
    """What is told about attempts elsewhere: one claim and one end each, and as many in the tally."""
    wrong = []
    told = JobEvent.objects.filter(kind__in=["claimed", "ended"]).values_list(
        "job_id", "attempt_number", "kind"
    )
    events = Counter(told)
    wrong += [f"the timeline says {count} times {key}" for key, count in events.items() if count > 1]
    missing = [
        key
        for job_id, number in Attempt.objects.values_list("job_id", "number")
        for key in ((job_id, number, "claimed"), (job_id, number, "ended"))
        if key not in events
    ]
    wrong += [f"the timeline does not say {key}" for key in missing]
    counted = dict(Tally.objects.values_list("outcome").annotate(Sum("count")))
    attempts = dict(Attempt.objects.order_by().values_list("outcome").annotate(Count("pk")))
    if counted != attempts:
        wrong.append(f"the tally counts {counted}, and the attempts are {attempts}")
    return wrong
