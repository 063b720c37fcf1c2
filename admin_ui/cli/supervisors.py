"""The subcommands of `supervisor`: what runs where, and what may be asked of it."""

from __future__ import annotations

import time
from collections.abc import Callable

from admin_ui import processes
from admin_ui.cli import lookup, process_tree
from admin_ui.cli.command import Options, who
from admin_ui.cli.exits import Exit, failure
from admin_ui.cli.output import Output
from admin_ui.waiting import NOBODY
from hosts import operations, pausing
from hosts.models import DockerHost, HostRequest, Installation
from jobs.models import Attempt
from supervisor.processes import is_supervised

_ANSWER_SECONDS = 10.0
_LOOK_EVERY_SECONDS = 0.1


def status(options: Options, out: Output) -> Exit:
    """Every process of every supervisor."""
    tree = processes.tree()
    if options.json:
        out.json(tree)
    else:
        process_tree.show(tree, out)
    return Exit.OK


def restart(options: Options, out: Output) -> Exit:
    """Another worker process for a host."""
    return _ask(options, out, operations.request_restart, stored="")


def pause(options: Options, out: Output) -> Exit:
    """No new jobs, on one host or on all of them."""
    if not options.all:
        return _ask(options, out, operations.pause, stored=" It is marked as paused all the same.")
    fresh = pausing.pause_all(by=who())
    running = Attempt.objects.open().holding_slots().count()
    out.line(f"{'Paused' if fresh else 'Paused already'}: no job is claimed on any host; {running} running.")
    return Exit.OK


def resume(options: Options, out: Output) -> Exit:
    """New jobs again, on one host or on all of them."""
    if not options.all:
        code = _ask(options, out, operations.resume, stored=" It is marked as resumed all the same.")
        if Installation.objects.exclude(paused_at=None).exists():
            out.remark("All claims are paused; end that with: manage.py supervisor resume --all")
        return code
    out.line("Jobs are claimed again." if pausing.resume_all() else "Nothing was paused.")
    if not is_supervised():
        out.remark(NOBODY)
    return Exit.OK


def _ask(options: Options, out: Output, operation: Callable[..., HostRequest], *, stored: str) -> Exit:
    host = lookup.host(options.name)
    if not (is_supervised() or stored):
        raise failure(f"{NOBODY}.", Exit.TRY_LATER)
    request = operation(host.pk, by=who())
    answered = _answered(request) if is_supervised() else None
    if answered is None:
        raise failure(f"{_why_nobody(request, host)}.{stored}", Exit.TRY_LATER)
    if not answered.ok:
        raise failure(f"{host.name}: {answered.result}")
    out.line(f"{host.name}: {answered.result}")
    return Exit.OK


def _answered(request: HostRequest) -> HostRequest | None:
    until = time.monotonic() + _ANSWER_SECONDS
    while time.monotonic() < until:
        found = HostRequest.objects.filter(pk=request.pk).exclude(done_at=None).first()
        if found:
            return found
        time.sleep(_LOOK_EVERY_SECONDS)
    return None


def _why_nobody(request: HostRequest, host: DockerHost) -> str:
    if not is_supervised():
        return NOBODY
    taken = HostRequest.objects.filter(pk=request.pk).exclude(taken_at=None).exists()
    return (
        f"{host.name}: it was taken up, but is not done yet" if taken else f"No worker holds host {host.name}"
    )
