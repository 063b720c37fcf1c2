"""Claims of jobs that not every host may run: labels, executors, memory and CPUs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from hosts.models import DockerHost, HostLease, HostState
from jobs import claims
from jobs.models import Attempt, ContainerJob, ContainerTemplate, NetworkAssignment
from jobs.states import SLOT_HOLDING, AttemptState
from tests.jobs.attempts import INSTALLATION, WHO, claim, make_attempt, take
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

GPU = {"required_labels": {"gpu": "a100"}}
GIB = 1024**3


def names(attempts: list[Attempt]) -> list[str]:
    return [attempt.job.name for attempt in attempts]


def counted_on(name: str, **fields: Any) -> DockerHost:
    """A host that others see as ready."""
    host = make_host(name, state=HostState.ONLINE, seen_at=Now(), **fields)
    take(host)
    return host


def test_a_job_goes_to_a_host_with_its_labels_and_passes_the_others():
    plain, labelled = make_host("plain"), make_host("labelled", labels={"gpu": "a100", "zone": "eu"})
    make_job(make_template("gpu", **GPU), name="gpu", priority=9)
    make_job(name="any")
    assert names(claim(take(plain), plain)) == ["any"]
    assert names(claim(take(labelled), labelled)) == ["gpu"]


def test_a_required_executor_is_kept_to():
    make_job(make_template(required_executor="process"))
    docker, process = make_host("docker"), make_host("process", executor_type="process")
    assert not claim(take(docker), docker)
    assert claim(take(process), process)


def test_a_job_goes_to_a_host_whose_executor_can_do_what_it_asks_for():
    terminal, joined = make_template("terminal", tty=True), make_template("joined")
    NetworkAssignment.objects.create(template=joined, network_name="db")
    make_job(terminal, name="terminal")
    make_job(joined, name="joined")
    make_job(make_template("plain"), name="plain")
    process, docker = make_host("process", executor_type="process"), make_host("docker")
    lease = take(process)
    assert names(claim(lease, process)) == ["plain"]
    NetworkAssignment.objects.all().delete()
    assert names(claim(lease, process)) == ["joined"], "a change of the template counts at once"
    assert names(claim(take(docker), docker)) == ["terminal"]


def test_a_job_goes_to_a_host_that_allows_its_image_whatever_image_its_template_names():
    make_job(name="any", override_image="busybox:1")
    make_job(name="team", override_image="team/tool")
    choosy, open_to_all = make_host("choosy", policy={"images": ["team/**"]}), make_host("open")
    assert names(claim(take(choosy), choosy)) == ["team"]
    assert names(claim(take(open_to_all), open_to_all)) == ["any"]


def test_a_pinned_job_goes_where_it_is_pinned_whatever_its_template_asks():
    host = make_host()
    make_job(make_template(**GPU), host)
    assert len(claim(take(host), host)) == 1


def test_a_label_that_is_given_later_counts_at_once():
    host = make_host()
    lease = take(host)
    job = make_job(make_template(**GPU))
    assert not claim(lease, host)
    DockerHost.objects.update(labels={"gpu": "a100"})
    assert [attempt.job_id for attempt in claim(lease, host)] == [job.pk]


def test_a_template_that_is_changed_later_counts_for_the_jobs_that_wait():
    host = make_host()
    lease = take(host)
    make_job()
    ContainerTemplate.objects.update(**GPU)
    assert not claim(lease, host)
    ContainerTemplate.objects.update(required_labels={})
    assert claim(lease, host)


@pytest.mark.parametrize("broken", [["gpu"], "gpu", 7, {"gpu": {}}, {"gpu": 1}])
def test_labels_that_are_none_keep_only_their_own_jobs_back(broken):
    host = make_host(labels=["what", "is", "this"])
    make_job(make_template("broken", required_labels=broken, preferred_labels=broken))
    make_job(make_template("prefers", preferred_labels=broken), name="prefers")
    make_job(name="plain")
    assert sorted(names(claim(take(host), host))) == ["plain", "prefers"]


def test_a_row_of_plain_sql_is_placed_too():
    host = make_host(labels={"gpu": "a100"})
    template, other = make_template(**GPU), make_template("other", required_labels={"gpu": "h100"})
    with connection.cursor() as cursor:
        for number, one in enumerate((template, other)):
            cursor.execute(
                "INSERT INTO jobs_containerjob (id, template_id) VALUES (%s, %s)",
                [f"00000000-0000-7000-8000-00000000000{number}", str(one.pk)],
            )
    assert [attempt.job.template_id for attempt in claim(take(host), host)] == [template.pk]


def test_kinds_are_taken_in_one_order_and_every_so_often_by_age():
    host = make_host(labels={"gpu": "a100"})
    gpu, plain = make_template("gpu", **GPU), make_template()
    for number, (template, priority) in enumerate([(plain, 0), (gpu, 5), (plain, 5), (gpu, 9), (gpu, 0)]):
        job = make_job(template, name=str(number), priority=priority)
        ContainerJob.objects.filter(pk=job.pk).update(created_at=Now() - timedelta(minutes=9 - number))
    lease = take(host)
    assert names(claim(lease, host, 2)) == ["3", "1"]
    assert names(claim(lease, host, 1, oldest_first=True)) == ["0"]
    assert names(claim(lease, host)) == ["2", "4"]


def test_pinned_jobs_go_before_shared_ones_and_those_of_others_are_left():
    host, other = make_host(labels={"gpu": "a100"}), make_host("other")
    template = make_template(**GPU)
    make_job(template, name="shared", priority=9)
    make_job(template, host, name="pinned")
    make_job(template, other, name="other's", priority=9)
    lease = take(host)
    assert names(claim(lease, host, 1)) == ["pinned"]
    assert names(claim(lease, host)) == ["shared"]


def test_jobs_that_are_not_due_or_held_are_left():
    host = make_host(labels={"gpu": "a100"})
    template = make_template(**GPU)
    make_job(template, not_before_at=Now() + timedelta(minutes=1))
    make_job(template, hold="stopped")
    make_job(template, name="due", not_before_at=Now() - timedelta(minutes=1))
    assert names(claim(take(host), host)) == ["due"]


# ── which of several ──────────────────────────────────────────────────────────────────────────────────────


def claim_beside(host: DockerHost, **fields: Any) -> tuple[list[str], bool]:
    """What a host claims, and whether it is to look again."""
    again: list[bool] = []
    wanted = claims.Wanted(room=5, look_again=lambda: again.append(True), **fields)
    HostLease.objects.filter(host=host).delete()
    attempts = claims.claim(take(host), host, wanted, installation=INSTALLATION, who=WHO)
    return names(attempts), bool(again)


def test_a_host_leaves_a_job_to_a_better_one_that_may_run_it_and_only_for_a_while():
    light = make_host("light", labels={"gpu": "a100"}, weight=10)
    counted_on("heavy", labels={"gpu": "a100"}, weight=500)
    job = make_job(make_template(**GPU), name="gpu")
    assert claim_beside(light) == ([], True)
    ContainerJob.objects.filter(pk=job.pk).update(created_at=Now() - timedelta(seconds=3))
    assert claim_beside(light) == (["gpu"], True)


@pytest.mark.parametrize(
    "heavy",
    [
        {"labels": {}},
        {"labels": {"gpu": "a100"}, "availability": "cordoned"},
        {"labels": {"gpu": "a100"}, "engine_memory_bytes": GIB},
        {"labels": {"gpu": "a100"}, "max_concurrent_jobs": 1},
    ],
    ids=["unlabelled", "cordoned", "too small", "full"],
)
def test_a_heavier_host_that_cannot_run_it_is_not_waited_for(heavy):
    light = make_host("light", labels={"gpu": "a100"}, weight=10)
    other = counted_on("heavy", weight=500, **heavy)
    make_attempt(host=other)
    make_job(make_template("gpu", memory_limit=2048, **GPU), name="gpu")
    assert claim_beside(light) == (["gpu"], False)


def test_a_preferred_label_goes_before_weight():
    near, far = counted_on("near", labels={"zone": "eu"}, weight=1), counted_on("far", weight=500)
    make_job(make_template(preferred_labels={"zone": "eu"}), name="eu")
    assert claim_beside(far) == ([], True)
    assert claim_beside(near) == (["eu"], False)


def test_the_freer_of_two_equal_hosts_takes_it():
    one, two = counted_on("one", max_concurrent_jobs=2), counted_on("two", max_concurrent_jobs=3)
    make_job(make_template(memory_limit=64), name="job")
    assert claim_beside(one, free=2) == ([], True)
    assert claim_beside(two, free=3) == (["job"], False)


# ── memory and CPUs ───────────────────────────────────────────────────────────────────────────────────────


def test_a_host_is_not_given_more_memory_than_it_says_it_has():
    host = make_host(engine_memory_bytes=4 * GIB)
    template = make_template(memory_limit=1536)
    for _ in range(4):
        make_job(template)
    lease = take(host)
    first = claim(lease, host)
    assert len(first) == 2
    assert not claim(lease, host)
    make_job(make_template("no limits"), name="counts as nothing")
    assert names(claim(lease, host)) == ["counts as nothing"]
    Attempt.objects.filter(pk=first[0].pk).update(state=AttemptState.EXITED)
    assert len(claim(lease, host)) == 1


def test_nor_more_cpus_pinned_jobs_included():
    host = make_host(engine_cpus=2)
    template = make_template(cpu_limit="0.75")
    for _ in range(4):
        make_job(template, host)
    assert len(claim(take(host), host)) == 2


def test_what_was_given_is_what_was_frozen():
    host = make_host(engine_memory_bytes=2 * GIB)
    template = make_template(memory_limit=1024)
    lease = take(host)
    make_job(template)
    assert len(claim(lease, host)) == 1
    ContainerTemplate.objects.update(memory_limit=2048)
    make_job(template)
    assert not claim(lease, host), "one GiB is left"


@pytest.mark.parametrize(("percent", "fit"), [(100, 2), (200, 4), (50, 1), (40, 0)])
def test_a_part_may_be_kept_back_or_lent_twice(percent, fit):
    host = make_host(engine_memory_bytes=2 * GIB, engine_cpus=2, memory_percent=percent, cpu_percent=percent)
    template = make_template(memory_limit=1024, cpu_limit="1.00")
    for _ in range(5):
        make_job(template)
    assert len(claim(take(host), host)) == fit


def test_a_host_that_does_not_say_what_it_has_takes_what_has_room():
    host = make_host()
    template = make_template(memory_limit=900_000, cpu_limit=32)
    for _ in range(3):
        make_job(template)
    assert len(claim(take(host), host)) == 3


@pytest.mark.parametrize("state", AttemptState)
def test_memory_is_held_as_long_as_the_slot(state):
    host = make_host(engine_memory_bytes=GIB)
    template = make_template(memory_limit=1024)
    outcome = "succeeded" if state == AttemptState.ENDED else ""
    make_attempt(state, job=make_job(template), host=host, outcome=outcome)
    ContainerJob.objects.pending().update(hold="stopped")
    make_job(template)
    assert bool(claim(take(host), host)) is (state not in SLOT_HOLDING)


def test_a_large_job_that_has_waited_a_minute_is_not_overtaken_any_more():
    host = make_host(engine_memory_bytes=2 * GIB)
    small, large = make_template("small", memory_limit=512), make_template("large", memory_limit=2048)
    lease = take(host)
    make_job(small)
    assert len(claim(lease, host)) == 1
    waiting = make_job(large)
    make_job(small)
    assert len(claim(lease, host)) == 1, "the small one goes first"
    ContainerJob.objects.filter(pk=waiting.pk).update(created_at=Now() - timedelta(seconds=61))
    make_job(small)
    assert not claim(lease, host), "room is saved up"
    Attempt.objects.update(state=AttemptState.EXITED)
    assert [attempt.job_id for attempt in claim(lease, host)] == [waiting.pk]
