"""The subcommands of manage_docker_host."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.utils import timezone

from admin_ui import presenters, recording
from admin_ui.cli import lookup
from admin_ui.cli.command import Options, who
from admin_ui.cli.exits import Exit, failure
from admin_ui.cli.output import Output
from admin_ui.load import with_running_count
from audit import acts
from hosts import installation, operations, registries, wakeups
from hosts.errors import EngineError
from hosts.executors.registry import check_engine, executor_class, limits
from hosts.models import Availability, DockerHost, DrainThen
from hosts.secret_marks import marked
from jobs import host_removal, log_cap
from jobs.declare_lost import declare_lost as declare_host_lost

_TEST_TIMEOUT_SECONDS = 10
_LIST_HEADER = ("NAME", "KIND", "STATE", "WANTED", "JOBS", "WEIGHT", "CPUS", "MEMORY", "URL")


def add(options: Options, out: Output) -> Exit:
    """Register an engine."""
    existing = DockerHost.objects.filter(name=options.name).first()
    if existing is not None:
        return _add_again(existing, options, out)
    host = DockerHost(name=options.name, **{"connection_string": "", **_given(options)})
    host.secret_config = _secrets(host.executor_type, options)
    host.secret_marks = marked({}, {}, host.secret_config, by=who(), at=timezone.now())
    with recording.added(host):
        host.full_clean()
        host.save(force_insert=True)
        wakeups.notify(None)
    _warn_of_log_limit(host, out)
    out.line(f"Added host {host.name}. See whether it answers: manage.py manage_docker_host test {host.name}")
    return Exit.OK


def _secrets(kind: str, options: Options) -> dict[str, str]:
    secrets = dict(options.secret)
    if unknown := sorted(secrets.keys() - operations.secret_keys(kind)):
        known = ", ".join(sorted(operations.secret_keys(kind))) or "none"
        raise failure(
            f"{unknown[0]} is no secret setting of the executor {kind}; it has: {known}.", Exit.USAGE
        )
    return secrets


def _given(options: Options) -> dict[str, Any]:
    given = {
        "executor_type": options.executor,
        "connection_string": options.url,
        "weight": options.weight,
        "max_concurrent_jobs": options.max_jobs,
        "labels": dict(options.label) or None,
        "executor_config": options.config,
        "policy": options.policy,
    }
    return {name: value for name, value in given.items() if value is not None}


def _add_again(host: DockerHost, options: Options, out: Output) -> Exit:
    given = _given(options)
    if options.secret:
        raise failure(
            f"There is a host {host.name} already. Set its secrets with: manage.py manage_docker_host secret "
            f"{host.name} KEY --file FILE"
        )
    if given.get("connection_string") == host.base_url:
        given.pop("connection_string")
    differing = [name for name, value in given.items() if getattr(host, name) != value]
    if differing:
        what = ", ".join(name.replace("_", " ") for name in differing)
        raise failure(f"There is a host {host.name} already, with another {what}. Change it in the admin.")
    if host.archived_at is None:
        out.line(f"Host {host.name} is there already, with the same settings.")
        return Exit.OK
    with acts.act("host.take_back", kind="host", key=host.pk, label=host.name):
        DockerHost.objects.filter(pk=host.pk).update(archived_at=None, is_active=True)
        wakeups.notify(None)
    out.line(f"Host {host.name} was removed once, and is back.")
    return Exit.OK


def list_hosts(options: Options, out: Output) -> Exit:
    """Every host that was not removed."""
    found = [_record(host) for host in with_running_count(DockerHost.objects.filter(archived_at=None))]
    if options.json:
        out.json(found)
    elif found:
        out.table(_LIST_HEADER, [_row(record) for record in found])
        for record in found:
            for one in record["orphans"]:
                out.remark(
                    f"{record['name']}: {one['name']} ({one['state']}) has no row since {one['since']}."
                )
    else:
        out.remark("No hosts. Add one: manage.py manage_docker_host add NAME --url URL")
    return Exit.OK


def _record(host: DockerHost) -> dict[str, Any]:
    return {
        "name": host.name,
        "executor": host.executor_type,
        "url": host.base_url,
        "state": host.state,
        "state_since_at": host.state_since_at,
        "state_reason": host.state_reason or None,
        "availability": host.availability,
        "drain_deadline_at": host.drain_deadline_at,
        "drain_then": host.drain_then if host.availability == Availability.DRAINING else None,
        "is_active": host.is_active,
        "weight": host.weight,
        "max_concurrent_jobs": host.max_concurrent_jobs,
        "labels": host.labels,
        "memory_percent": host.memory_percent,
        "cpu_percent": host.cpu_percent,
        "running_jobs": host.running_count,  # type: ignore[attr-defined]  # annotated
        "engine_version": host.engine_version or None,
        "engine_cpus": host.engine_cpus,
        "engine_memory_bytes": host.engine_memory_bytes,
        "seen_at": host.seen_at,
        "policy": host.policy,
        "registries": registries.usernames(host.secret_config),
        "secrets_set": sorted(host.secret_config.keys() - {registries.KEY}),
        "orphans": host.orphans,
    }


def _row(record: dict[str, Any]) -> tuple[str, ...]:
    return (
        record["name"],
        record["executor"],
        record["state"],
        _wanted(record) if record["is_active"] else "off",
        f"{record['running_jobs']}/{record['max_concurrent_jobs']}",
        str(record["weight"]),
        str(record["engine_cpus"] or ""),
        presenters.size(record["engine_memory_bytes"]),
        record["url"],
    )


def _wanted(record: dict[str, Any]) -> str:
    deadline = record["drain_deadline_at"]
    if deadline is None:
        return str(record["availability"])
    return f"{record['availability']} until {presenters.moment(deadline)}, then {record['drain_then']}"


def test(options: Options, out: Output) -> Exit:
    """Ask the engine itself, from here."""
    host = lookup.host(options.name)
    try:
        facts = check_engine(host.view(installation.current().id), _TEST_TIMEOUT_SECONDS)
    except EngineError as exc:
        reason = str(exc).removeprefix(f"{host.name}: ")
        raise failure(f"{host.name} does not answer: {reason}") from exc
    if host.engine_id and facts.engine_id != host.engine_id:
        raise failure(
            f"{host.name} answers, but it is another engine ({facts.engine_id}) "
            f"than the one that was seen there before ({host.engine_id})."
        )
    label = executor_class(host.executor_type).label
    cpus = f"{facts.cpus} CPUs" if facts.cpus else "CPUs not told"
    memory = f"{presenters.size(facts.memory_bytes)} memory" if facts.memory_bytes else "memory not told"
    out.line(f"{host.name} answers: {label}, version {facts.version}, {cpus}, {memory}.")
    if missing := limits(host.executor_type):
        out.remark(f"Its executor cannot: {'; '.join(missing)}.")
    _warn_of_log_limit(host, out)
    return Exit.OK


def _warn_of_log_limit(host: DockerHost, out: Output) -> None:
    if warning := log_cap.warning_for(host):
        out.remark(warning)


def wish(operation: Callable[[UUID], None], result: str) -> Callable[[Options, Output], Exit]:
    """A subcommand that wants one thing of one host, and says `result`."""

    def run(options: Options, out: Output) -> Exit:
        host = lookup.host(options.name)
        operation(host.pk)
        out.line(result.format(host=host.name))
        return Exit.OK

    return run


cordon = wish(operations.cordon, "Host {host} takes no new jobs; the running ones go on.")
activate = wish(operations.activate, "Host {host} takes jobs.")


def drain(options: Options, out: Output) -> Exit:
    """No new jobs; what still runs at the deadline, if there is one, is stopped or waited for."""
    host, seconds, then = lookup.host(options.name), options.deadline, DrainThen(options.then)
    operations.drain(host.pk, deadline_seconds=seconds, then=then)
    until = "waits for the running ones to end"
    if seconds is not None and then is DrainThen.STOP:
        until = f"stops those that still run in {presenters.duration(seconds)}"
    out.line(f"Host {host.name} takes no new jobs, and {until}.")
    return Exit.OK


def policy(options: Options, out: Output) -> Exit:
    """Print the policy of a host as JSON, after replacing it if a new one is given."""
    host = lookup.host(options.name)
    if options.policy is not None:
        operations.set_policy(host.pk, options.policy)
        out.remark(f"Host {host.name} has a new policy; what runs there goes on as it is.")
    out.json(host.policy if options.policy is None else options.policy)
    return Exit.OK


def remove(options: Options, out: Output) -> Exit:
    """Delete a host without history, archive one with."""
    host = lookup.host(options.name)
    if host_removal.remove(host.pk):
        out.line(f"Host {host.name} is deleted: it never had a job.")
    else:
        out.line(f"Host {host.name} is removed; its jobs and their logs stay.")
    return Exit.OK


def declare_lost(options: Options, out: Output) -> Exit:
    """Call everything on a host lost, after its name was typed."""
    host = lookup.host(options.name)
    typed = _ask(host) if options.yes_i_mean is None else options.yes_i_mean
    if typed != host.name:
        raise failure(f"That is not {host.name!r}; nothing was changed.", Exit.USAGE)
    count = declare_host_lost(host.pk, who=who())
    out.line(f"Host {host.name} is declared lost and switched off; {count} open job(s) on it ended as lost.")
    return Exit.OK


def _ask(host: DockerHost) -> str:
    try:
        return input(
            f"Every open job on {host.name} will be called lost, though its container may still run.\n"
            "Type the name of the host to go on: "
        ).strip()
    except EOFError:
        message = f"Nobody is there to be asked. If you are sure: --yes-i-mean {host.name}"
        raise failure(message, Exit.USAGE) from None
