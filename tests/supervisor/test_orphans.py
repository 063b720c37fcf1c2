"""Containers of ours of which no row tells: reported, and removed only if that is wanted, and late."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from audit.models import AuditEvent
from hosts import installation
from hosts import operations as host_operations
from hosts.executors.contract import LABEL_PREFIX, Observation
from hosts.models import DockerHost, HostRequest
from jobs import operations
from jobs.models import Attempt, ContainerJob, ContainerTemplate, LeftContainer
from supervisor.worker import deleted_jobs
from supervisor.worker.orphans import Orphans, Reap
from tests.jobs.attempts import end, make_attempt
from tests.supervisor.working import AnyEngine, names, shell, work
from tests.support import supervising
from tests.support.factories import make_host, make_job
from tests.support.waiting import wait_until

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
REMOVE = Reap(remove=True, after_seconds=600, grace_seconds=10)
JOB = str(uuid.UUID(int=5))


def orphan(key: str = "a", state="exited", job: str = JOB) -> Observation:
    return Observation(container_id=key, name=f"n-{key}", state=state, labels={LABEL_PREFIX + "job": job})


def after(minutes: float) -> datetime:
    return NOON + timedelta(minutes=minutes)


def ways(orphans: Orphans, now: datetime, *jobs: str) -> dict[str, str]:
    return {removal.seen.container_id: removal.how for removal in orphans.due(jobs, now)}


def test_an_orphan_is_told_of_once_and_remembered_since_when():
    orphans = Orphans([], Reap())
    assert orphans.see([orphan()], NOON) == [orphan()]
    assert orphans.see([orphan(), orphan("b")], after(5)) == [orphan("b")]
    assert [entry["since"] for entry in orphans.stored] == [NOON.isoformat(), after(5).isoformat()]
    assert orphans.see([orphan("b")], after(6)) == []
    assert [entry["id"] for entry in orphans.stored] == ["b"]


def test_by_default_none_is_ever_removed():
    orphans = Orphans([], Reap())
    orphans.see([orphan()], NOON)
    orphans.see([orphan()], after(1_000_000))
    assert ways(orphans, after(1_000_000)) == {}


def test_an_orphan_is_removed_after_the_second_sighting_late_enough():
    orphans = Orphans([], REMOVE)
    for minutes, expected in ((0, {}), (9.9, {}), (10, {"a": "remove"})):
        orphans.see([orphan()], after(minutes))
        assert ways(orphans, after(minutes)) == expected


def test_another_worker_counts_from_the_first_sighting_too():
    first = Orphans([], REMOVE)
    first.see([orphan()], NOON)
    second = Orphans(first.stored, REMOVE)
    second.see([orphan()], after(10))
    assert ways(second, after(10)) == {"a": "remove"}


def test_one_that_was_gone_in_between_counts_anew():
    orphans = Orphans([], REMOVE)
    orphans.see([orphan()], NOON)
    orphans.see([], after(5))
    orphans.see([orphan()], after(10))
    assert ways(orphans, after(10)) == {}


def test_a_running_one_is_asked_first_and_killed_after_its_grace():
    orphans = Orphans([], REMOVE)
    orphans.see([orphan(state="running")], NOON)
    assert orphans.look_again_seconds() is None
    steps = [(10, {"a": "stop"}), (10.1, {}), (10.2, {"a": "kill"})]
    for minutes, expected in steps:
        orphans.see([orphan(state="running")], after(minutes))
        assert ways(orphans, after(minutes)) == expected
        assert orphans.look_again_seconds() == 10
    orphans.see([], after(11))
    assert orphans.look_again_seconds() is None


def test_one_that_stopped_when_asked_is_removed_without_force():
    orphans = Orphans([], REMOVE)
    orphans.see([orphan(state="running")], NOON)
    assert ways(orphans, after(10)) == {"a": "stop"}
    orphans.see([orphan()], after(10.05))
    assert ways(orphans, after(10.05)) == {"a": "remove"}


def test_one_that_a_person_asks_for_goes_at_once_and_no_other():
    orphans = Orphans([], Reap())
    orphans.see([orphan(), orphan("b", state="running", job=str(uuid.UUID(int=6))), orphan("c")], NOON)
    asked = {"a", "b", "not-there"}
    found = orphans.due((), NOON, asked=asked)
    assert {one.seen.container_id: one.how for one in found} == {"a": "remove", "b": "stop"}
    assert orphans.due((JOB,), after(0.1), asked=asked) == [], "there is a row of a, and b has its grace"


def test_a_container_of_a_job_that_has_a_row_is_never_removed():
    orphans = Orphans([], REMOVE)
    orphans.see([orphan(), orphan("b", job=str(uuid.UUID(int=6)))], NOON)
    assert ways(orphans, after(10), JOB) == {"b": "remove"}


# ── on a real engine ──────────────────────────────────────────────────────────────────────────────────────


def plant(engine: AnyEngine, name: str, labels: dict[str, str], command: str = "true") -> str:
    made = engine.api.create_container("busybox:latest", ["sh", "-c", command], name=name, labels=labels)
    engine.api.start(made["Id"])
    return name


@pytest.fixture
def planted(engine: AnyEngine, host: DockerHost) -> Iterator[dict[str, str]]:
    """Containers of ours without a row, and others that only look like it; by what they are."""
    ours = str(installation.current().id)
    label = {"tallyman.installation": ours, "tallyman.host": str(host.pk), "tallyman.attempt": "1"}
    job = str(uuid.uuid4())
    orphaned = label | {"tallyman.job": job}
    waiting = make_job(hold="stopped")
    waits = "trap 'exit 0' TERM; while :; do sleep 0.1; done"
    made = {
        "ended": plant(engine, f"tallyman-{ours}-{job}", orphaned),
        "running": plant(engine, "run-on", label | {"tallyman.job": str(uuid.uuid4())}, waits),
        "deaf": plant(
            engine,
            "deaf",
            label | {"tallyman.job": str(uuid.uuid4())},
            "trap '' TERM; sleep 300 & wait; wait",
        ),
        "of a job": plant(engine, "of-a-job", label | {"tallyman.job": str(waiting.pk)}),
        "other host": plant(engine, "other-host", orphaned | {"tallyman.host": str(uuid.uuid4())}),
        "other installation": plant(
            engine, f"tallyman-{uuid.uuid4()}-{job}", orphaned | {"tallyman.installation": str(uuid.uuid4())}
        ),
        "longer installation": plant(engine, "longer", orphaned | {"tallyman.installation": f"{ours}0"}),
        "no labels": plant(engine, f"tallyman-{ours}-{uuid.uuid4()}", {}),
        "no job": plant(engine, "no-job", {"tallyman.installation": ours, "tallyman.host": str(host.pk)}),
    }
    yield made
    for name in set(made.values()) & names(engine):
        engine.api.remove_container(name, force=True)


@pytest.mark.docker
@pytest.mark.process
@pytest.mark.postgres_only
@pytest.mark.django_db(transaction=True)
def test_orphans_are_reported_and_only_those_that_a_person_names_are_removed(
    engine: AnyEngine,
    host: DockerHost,
    template: ContainerTemplate,
    planted: dict[str, str],
    database_url: str,
) -> None:
    with supervising.running("supervise", database_url=database_url) as command:
        wait_until(lambda: reported(host), 20, "the orphans to be reported")
        mine = {planted[what] for what in ("ended", "running", "deaf", "of a job")}
        ids = {one["name"]: one["id"] for one in reported(host)}
        log = command.log
        assert ids.keys() == mine
        assert (log.count("container without a row"), "reaping" in log) == (4, False)
        assert names(engine) >= set(planted.values()), "nothing is touched unasked"

        going = {planted["ended"], planted["running"]}
        wanted = [ids[name] for name in (*going, planted["of a job"])]
        request = host_operations.request_removal(host.pk, wanted, by="ada")
        wait_until(lambda: not going & names(engine), 20, "the two to be removed")
        wait_until(lambda: HostRequest.objects.get(pk=request.pk).done_at, 20, "the answer")
    request.refresh_from_db()
    assert not request.ok
    assert request.result.startswith("2 removed. Kept, for there is a job of it by now: of-a-job")
    assert names(engine) >= set(planted.values()) - going
    assert {one["name"] for one in reported(host)} == mine - going


@pytest.mark.docker
@pytest.mark.process
@pytest.mark.postgres_only
@pytest.mark.django_db(transaction=True)
def test_orphans_are_removed_where_that_is_wanted_and_nobody_elses_containers_are(
    engine: AnyEngine,
    host: DockerHost,
    template: ContainerTemplate,
    planted: dict[str, str],
    database_url: str,
) -> None:
    going = {planted[what] for what in ("ended", "running", "deaf")}
    wanted = {"TALLYMAN_REAP_AFTER_MINUTES": "0"}
    with supervising.running("supervise", "--reap=remove", database_url=database_url, **wanted) as command:
        wait_until(lambda: not going & names(engine), 40, "the orphans to be removed")
        assert command.log.count("reaping a container without a row") >= 5, "each, two of them asked before"
    assert names(engine) >= set(planted.values()) - going
    assert ContainerJob.objects.get().status == "pending"
    told = AuditEvent.objects.filter(verb="container.reap", door="system", object_key=str(host.pk))
    assert {row.said["says"]["container"] for row in told} == going


@pytest.mark.docker
@pytest.mark.process
@pytest.mark.sqlite_only
@pytest.mark.django_db(transaction=True)
def test_the_kept_container_of_a_job_that_was_deleted_is_removed_and_not_reported(
    engine: AnyEngine, host: DockerHost, template: ContainerTemplate, database_url: str
) -> None:
    stay = {"TALLYMAN_RETENTION_HOURS": "1"}
    deleted, restored, kept = [shell(template, "true") for _ in range(3)]
    assert work("--once", database_url=database_url, **stay)[0] == 0
    mine = {job: Attempt.objects.get(job=job).container_name for job in (deleted, restored, kept)}
    rows = list(ContainerJob.objects.filter(pk=restored.pk))
    for job in (deleted, restored):
        operations.delete(job.pk)
    ContainerJob.objects.bulk_create(rows)  # from a backup, say
    with supervising.running("supervise", database_url=database_url, **stay) as command:
        wait_until(lambda: mine[deleted] not in names(engine), 20, "the removal")
        log = command.log
        wait_until(lambda: len(reported(host)) == 1, 20, "the restored one to be reported")
    assert {mine[restored], mine[kept]} <= names(engine)
    assert reported(host)[0]["name"] == mine[restored]
    assert "removing what a deleted job left" in log


@pytest.mark.django_db
def test_what_is_to_be_removed_is_asked_for_until_it_is_gone() -> None:
    attempt = make_attempt("exited", container_id="c1")
    end(attempt)
    other = make_host("other")
    operations.delete(attempt.job_id)
    seen = orphan(job=str(attempt.job_id))
    assert deleted_jobs.left_by(other.pk, [seen]) == []
    for _ in range(2):
        assert deleted_jobs.left_by(attempt.host_id, [orphan(), seen]) == [seen]
    assert LeftContainer.objects.get().job_id == attempt.job_id
    assert deleted_jobs.left_by(attempt.host_id, [orphan()]) == []
    assert not LeftContainer.objects.exists()


def reported(host: DockerHost) -> list[dict[str, str]]:
    host.refresh_from_db()
    return host.orphans
