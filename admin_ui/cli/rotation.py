"""What rotate_secrets says. No secret is in it, only which rows hold one."""

from __future__ import annotations

from admin_ui.cli.exits import Exit
from admin_ui.cli.output import Output
from audit import actors, acts
from audit.entries import Entry
from hosts import fields, rotation
from hosts.rotation import Rotated, Survey


def check(out: Output, *, as_json: bool) -> Exit:
    """Say for each encrypted column how many rows are under which key, and which rows are not under the
    first; as successful as all are."""
    count = fields.key_count()
    found = [rotation.survey(column) for column in rotation.columns()]
    if as_json:
        out.json({"keys": count, "columns": [_record(one) for one in found]})
    else:
        out.line(f"Keys: {count}, of which the first one encrypts.")
        for one in found:
            _tell(one, out)
    return Exit.FAILED if any(one.old or one.unreadable for one in found) else Exit.OK


def _record(one: Survey) -> dict[str, object]:
    return {
        "column": str(one.column),
        "by_key": {str(position + 1): n for position, n in one.counts.items() if position is not None},
        "unreadable": one.unreadable,
        "rows": {_key(position): rows for position, rows in one.rows.items() if rows},
    }


def _key(position: int | None) -> str:
    return "none" if position is None else str(position + 1)


def _tell(one: Survey, out: Output) -> None:
    parts = [f"{n} under key {_key(position)}" for position, n in _ordered(one) if position is not None]
    if one.unreadable:
        parts.append(f"{one.unreadable} under no key of these")
    out.line(f"{one.column}: {', '.join(parts) or 'no secrets'}")
    for position, n in _ordered(one):
        if position != 0:
            rows = one.rows[position]
            more = f" and {n - len(rows)} more" if n > len(rows) else ""
            out.line(
                f"  {'no key' if position is None else f'key {_key(position)}'}: {', '.join(rows)}{more}"
            )


def _ordered(one: Survey) -> list[tuple[int | None, int]]:
    return sorted(one.counts.items(), key=lambda item: (item[0] is None, item[0] or 0))


def rotate(out: Output, *, batch: int, as_json: bool) -> Exit:
    """Encrypt anew what is under older keys, and say what was done; Exit.FAILED if rows were left over."""
    fields.key_count()
    done = []
    for column in rotation.columns():
        told = [0]

        def tell(so_far: Rotated, told: list[int] = told) -> None:
            if so_far.renewed > told[0]:
                told[0] = so_far.renewed
                out.remark(f"{so_far.column}: {so_far.renewed} encrypted anew")

        done.append(rotation.rotate(column, batch=batch, tell=tell))
    says = {str(one.column): one.renewed for one in done}
    acts.record(Entry(verb="secrets.rotate", says=says, actor=actors.command()))
    if as_json:
        out.json([_done_record(one) for one in done])
    else:
        for one in done:
            _tell_done(one, out)
    left = any(one.unreadable or one.changed_meanwhile for one in done)
    if left:
        out.remark("Not all are under the first key: see above, keep the older keys, and run this again.")
    elif not as_json:
        out.line("All secrets are under the first key; older ones may be taken out of TALLYMAN_SECRET_KEYS.")
    return Exit.FAILED if left else Exit.OK


def _done_record(one: Rotated) -> dict[str, object]:
    return {
        "column": str(one.column),
        "renewed": one.renewed,
        "already_current": one.current,
        "changed_meanwhile": one.changed_meanwhile,
        "unreadable": one.unreadable,
    }


def _tell_done(one: Rotated, out: Output) -> None:
    line = f"{one.column}: {one.renewed} encrypted anew, {one.current} were under the first key"
    if one.changed_meanwhile:
        line += f", {one.changed_meanwhile} changed meanwhile"
    out.line(line)
    if one.unreadable:
        named = ", ".join(one.unreadable[: rotation.MOST_NAMED])
        more = len(one.unreadable) - rotation.MOST_NAMED
        out.line(f"  no key decrypts: {named}{f' and {more} more' if more > 0 else ''}")
