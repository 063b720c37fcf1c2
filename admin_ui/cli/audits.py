"""The subcommands of `audit`: read the rows, look whether they are whole, let old ones go."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime
from typing import Any

from django.utils import timezone
from django.utils.dateparse import parse_datetime

from admin_ui import presenters
from admin_ui.cli.command import Options
from admin_ui.cli.exits import Exit, failure
from admin_ui.cli.output import Output
from admin_ui.pages.audit.views import record
from audit import retention, search
from audit.models import AuditHead
from audit.search import Wanted
from audit.verify import Report, verify

_HEADER = ("ROW", "AT", "WHO", "DOOR", "FROM", "VERB", "OBJECT", "OUTCOME")
_NOTED = re.compile(r"(\d{1,18}):([0-9a-f]{64})")


def noted(value: str) -> tuple[int, str]:
    """`ROW:HASH`, as `audit head` prints it; for argparse."""
    found = _NOTED.fullmatch(value.strip())
    if not found:
        raise argparse.ArgumentTypeError(f"{value!r} is not of the form ROW:HASH, as `audit head` prints it")
    return int(found[1]), found[2]


def moment(value: str) -> datetime:
    """A day or a moment, in UTC if it does not say otherwise; for argparse."""
    try:
        at = parse_datetime(value if len(value) > len("2026-01-31") else f"{value}T00:00:00")
    except ValueError:
        at = None
    if at is None:
        raise argparse.ArgumentTypeError(f"{value!r} is no day or moment, such as 2026-01-31")
    return at if timezone.is_aware(at) else at.replace(tzinfo=UTC)


def list_rows(options: Options, out: Output) -> Exit:
    """The newest rows, filtered."""
    wanted = Wanted(
        actor=options.actor,
        verb=options.verb,
        kind=options.kind,
        object=options.object,
        door=options.door,
        outcome=options.outcome,
        since=options.since,
        until=options.until,
    )
    found = search.page(wanted, options.limit).rows
    if options.json:
        out.json([record(event) for event in found])
    elif found:
        out.table(_HEADER, [_row(record(event)) for event in found])
    else:
        out.remark("No rows.")
    return Exit.OK


def _row(said: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(said["seq"]),
        presenters.moment(datetime.fromisoformat(said["at"])),
        said["actor"],
        said["door"],
        said["address"] or said["machine"],
        said["verb"],
        said["object_label"] or said["object_key"],
        said["outcome"],
    )


def head(_options: Options, out: Output) -> Exit:
    """The end of the chain, to be noted elsewhere."""
    found = AuditHead.objects.filter(pk=1).first()
    out.line(str(found) if found else "")
    return Exit.OK


def verify_chain(options: Options, out: Output) -> Exit:
    """Whether all rows are there, as they were written."""
    report = verify(options.expect)
    if options.json:
        out.json(
            {
                "is_whole": not report.problems,
                "checked": report.checked,
                "first_broken": report.broken,
                "problems": report.problems,
                "remarks": report.remarks,
                "head": report.head,
            }
        )
    else:
        _tell(report, out)
    return Exit.FAILED if report.problems else Exit.OK


def _tell(report: Report, out: Output) -> None:
    for remark in report.remarks:
        out.remark(remark)
    for problem in report.problems:
        out.line(f"BROKEN  {problem}")
    if report.problems:
        out.line(f"{report.checked} rows before that are whole.")
    elif report.checked:
        out.line(f"{report.checked} rows are whole, up to {report.head}")
        out.remark(
            "Note that elsewhere: `audit verify --expect` then finds rows that were cut off at the end."
        )
    else:
        out.line("There are no rows.")


def prune(options: Options, out: Output) -> Exit:
    """Let old rows go, on the word of whoever calls this."""
    report = verify()
    if report.problems and not options.even_if_broken:
        _tell(report, out)
        raise failure("Nothing was deleted. If these rows shall go all the same: --even-if-broken")
    try:
        checkpoint = retention.sign_off(options.before, reason=options.sign_off)
    except retention.NothingToPrune as exc:
        cut = retention.delete_below_newest()
        out.line(f"{exc}{f' {cut} rows that were signed off before are deleted.' if cut else ''}")
        return Exit.OK
    count = retention.delete_below(checkpoint.seq)
    out.line(f"{count} rows are deleted; the checkpoint at row {checkpoint.seq} says who signed that off.")
    return Exit.OK
