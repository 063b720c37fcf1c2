"""Looking whether the chain is whole: the first row that is not as it was written, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from audit import chain
from audit.models import AuditCheckpoint, AuditEvent, AuditHead

_BATCH = 1000


@dataclass(slots=True)
class Report:
    """`problems` are in the order of the rows; `broken` is the first row that is not as it was written.

    `remarks` is what is to be known, and proves nothing. `head` is the last row, for whoever notes it.
    """

    checked: int = 0
    first: int | None = None
    head: str = ""
    broken: int | None = None
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def note(self, seq: int | None, problem: str) -> None:
        """Write a problem down; `seq` is the row that it is about."""
        self.problems.append(problem)
        self.broken = seq if self.broken is None else self.broken


@dataclass(slots=True)
class _Place:
    seq: int
    hash: str


def verify(expected: tuple[int, str] | None = None) -> Report:
    """Walk the whole chain. `expected` is a row, by number and hash, that was noted elsewhere before."""
    report = Report()
    head = AuditHead.objects.filter(pk=1).first()
    place = _beginning(report)
    last = _walk(report, place, head.seq if head else None, expected)
    if last is not None:
        _compare(report, head, last, expected)
    return report


def _beginning(report: Report) -> _Place:
    """After which row the chain begins: none at all, or the last one below the newest checkpoint."""
    cut = AuditCheckpoint.objects.order_by("-seq").first()
    if cut is None:
        return _Place(0, chain.FIRST)
    report.remarks.append(
        f"The rows up to {cut.seq} were deleted, signed off by {cut.signed_by} "
        f"at {cut.at:%Y-%m-%d %H:%M} UTC: {cut.reason}"
    )
    if not chain.is_sealed(chain.CHECKPOINT, cut.seq, cut.hash, cut.seal):
        report.note(None, f"The checkpoint at row {cut.seq} bears no seal that fits this SECRET_KEY.")
    left = AuditEvent.objects.filter(seq__lte=cut.seq).values_list("seq", flat=True).order_by("seq").first()
    if left is not None:
        report.remarks.append(
            f"Rows from {left} on are there still; `audit prune` goes on with deleting them."
        )
    return _Place(cut.seq, cut.hash)


def _walk(
    report: Report, place: _Place, until: int | None, expected: tuple[int, str] | None
) -> _Place | None:
    """Look at each row after the place; the last one, or None if the chain is broken before."""
    for event in _rows(place.seq, until):
        report.first = report.first or event.seq
        if problem := _problem(event, place, expected):
            report.note(place.seq + 1, problem)
            return None
        if event.verb == chain.RESEALED:
            report.note(
                event.seq, f"Row {event.seq}, {event.at:%Y-%m-%d %H:%M} UTC: {event.said.get('reason')}"
            )
        place = _Place(event.seq, event.hash)
        report.checked += 1
    return place


def _rows(after: int, until: int | None) -> Iterator[AuditEvent]:
    while True:
        rows = AuditEvent.objects.filter(seq__gt=after).order_by("seq")
        batch = list((rows.filter(seq__lte=until) if until is not None else rows)[:_BATCH])
        yield from batch
        if len(batch) < _BATCH:
            return
        after = batch[-1].seq


def _problem(event: AuditEvent, place: _Place, expected: tuple[int, str] | None) -> str:
    if event.seq != place.seq + 1:
        return f"{_range(place.seq + 1, event.seq - 1)} missing before row {event.seq}."
    if event.prev_hash != place.hash:
        return f"Row {event.seq} does not follow the row before it: their hashes do not match."
    if chain.digest(event) != event.hash:
        return f"Row {event.seq} is not as it was written: its hash is another one."
    if expected and event.seq == expected[0] and event.hash != expected[1]:
        return f"Row {event.seq} is another one than the one that was noted: the chain was written anew."
    return ""


def _range(first: int, last: int) -> str:
    return f"Row {first} is" if first == last else f"Rows {first} to {last} are"


def _compare(report: Report, head: AuditHead | None, last: _Place, expected: tuple[int, str] | None) -> None:
    """The end of the rows with what is known of the end elsewhere."""
    report.head = f"{last.seq}:{last.hash}" if last.seq else ""
    if head is None:
        if last.seq:
            report.note(last.seq + 1, "The chain's head is missing, so rows after the last one may be, too.")
    elif head.seq > last.seq:
        report.note(last.seq + 1, f"{_range(last.seq + 1, head.seq)} missing at the end.")
    elif head.hash != last.hash:
        report.note(last.seq, f"Row {last.seq} is not the one that the chain's head knows.")
    elif not chain.is_sealed(chain.HEAD, head.seq, head.hash, head.seal):
        report.note(None, "The chain's head bears no seal that fits this SECRET_KEY: it was not made by us.")
    if expected and expected[0] > last.seq:
        report.note(
            last.seq + 1,
            f"{_range(last.seq + 1, expected[0])} missing at the end: row {expected[0]} was noted.",
        )
    if head and _grew_alone(head.seq):
        report.note(head.seq + 1, f"There are rows after row {head.seq}, where the chain's head is.")


def _grew_alone(seq: int) -> bool:
    """Whether there are rows after the head which are not just being written."""
    beyond = AuditEvent.objects.filter(seq__gt=seq).exists()
    return beyond and AuditHead.objects.filter(pk=1, seq=seq).exists()
