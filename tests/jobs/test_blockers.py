"""Why jobs wait that not every host may run: the sentence, the word, and how long."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now

from hosts.models import DockerHost, HostState
from jobs import backlog, obstacles, reasons
from jobs.models import ConcurrencyLimit, ContainerJob
from tests.jobs.attempts import make_attempt, take
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db

GPU = {"required_labels": {"gpu": "a100"}}
GIB = 1024**3


def online(name: str = "berlin", **fields: Any) -> DockerHost:
    host = make_host(name, **{"state": HostState.ONLINE, "seen_at": Now(), **fields})
    take(host)
    return host


def seen(job: ContainerJob) -> tuple[str, str]:
    """The sentence, and the word of the one job that waits."""
    reasons.write()
    job.refresh_from_db()
    ((word, count),) = backlog.depths(list(obstacles.hosts())).items()
    assert count == 1
    return job.pending_reason, word


def test_no_host_has_the_label():
    online()
    online("paris", labels={"gpu": "h100"})
    job = make_job(make_template(**GPU))
    assert seen(job) == ("No host takes it: berlin, paris: lacks the label gpu=a100", "no_fit")


def test_the_host_with_the_label_is_full():
    full = online("full", labels={"gpu": "a100"}, max_concurrent_jobs=1)
    online()
    make_attempt(job=make_job(), host=full)
    text, word = seen(make_job(make_template("gpu", **GPU)))
    assert text == "No host takes it: berlin: lacks the label gpu=a100; full: is full (1 of 1 slots)"
    assert word == "host_full"


def test_too_little_memory_is_left():
    host = online(engine_memory_bytes=2 * GIB)
    make_attempt(job=make_job(make_template("large", memory_limit=1536)), host=host)
    text, word = seen(make_job(make_template(memory_limit=1024)))
    assert text == "No host takes it: berlin: has 512 MiB of memory left, 1.0 GiB needed"
    assert word == "no_resources"


def test_no_host_is_large_enough_and_so_is_the_one_it_is_pinned_to():
    host = online(engine_cpus=2)
    template = make_template(cpu_limit=4)
    job = make_job(template, host)
    assert seen(job) == ("Host berlin has 2 CPUs for jobs, 4 CPUs needed", "no_fit")


@pytest.mark.parametrize(
    ("most", "text"),
    [
        (1, "The limit db is reached (1 of 1 at once)"),
        (0, "The limit db lets no job start (it is 0)"),
    ],
)
def test_a_limit_of_a_key_is_reached(most, text):
    ConcurrencyLimit.objects.create(key="db", max_concurrent=most)
    make_attempt(job=make_job(limit_key="db"), host=online())
    assert seen(make_job(limit_key="db")) == (text, "limit_reached")


def test_a_templates_own_limit_is_reached():
    template = make_template("reports", max_concurrent=1)
    make_attempt(job=make_job(template), host=online())
    text, word = seen(make_job(template))
    assert (text, word) == ("The limit of template reports is reached (1 of 1 at once)", "limit_reached")


def test_one_that_can_be_taken_has_no_reason_and_is_ready():
    online(labels={"gpu": "a100"})
    assert seen(make_job(make_template(**GPU))) == ("", "ready")


def test_each_kind_has_its_own_reason_and_a_change_is_written():
    host = online()
    gpu, plain = make_job(make_template("gpu", **GPU)), make_job()
    pinned = make_job(make_template("huge", memory_limit=4096), host)
    reasons.write()
    told = dict(ContainerJob.objects.values_list("pk", "pending_reason"))
    assert told == {gpu.pk: "No host takes it: berlin: lacks the label gpu=a100", plain.pk: "", pinned.pk: ""}
    DockerHost.objects.update(labels={"gpu": "a100"}, engine_memory_bytes=GIB)
    reasons.write()
    told = dict(ContainerJob.objects.values_list("pk", "pending_reason"))
    assert told[gpu.pk] == ""
    assert told[pinned.pk] == "Host berlin has 1.0 GiB of memory for jobs, 4.0 GiB needed"


def test_only_what_a_host_could_take_counts_as_stuck():
    online()
    old, older = make_job(), make_job(make_template("gpu", **GPU))
    for job, minutes in ((old, 5), (older, 9)):
        ContainerJob.objects.filter(pk=job.pk).update(created_at=Now() - timedelta(minutes=minutes))
    old.refresh_from_db()
    older.refresh_from_db()
    hosts = list(obstacles.hosts())
    assert backlog.oldest_claimable_at(hosts) == old.created_at
    assert backlog.oldest_due_at(hosts) == older.created_at
    assert backlog.depths(hosts) == {"ready": 1, "no_fit": 1}
