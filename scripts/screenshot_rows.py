"""What the screenshots show: templates, hosts, jobs that really run, and the figures of the days before."""

from __future__ import annotations

import random
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User
from django.urls import reverse
from django.utils import timezone

from hosts.models import DockerHost, HostSample
from jobs import operations
from jobs.models import Attempt, ContainerJob, ContainerTemplate, EnvironmentVariable, Tally
from jobs.states import ENDED_STATUSES, JobStatus
from tests.support.waiting import wait_until

GIB = 1024**3
_SECONDS_OF_READINGS = 30

TALK = r"""i=0; while [ $i -lt 100000 ]; do i=$((i+1)); """ + (
    r"""printf "\033[32mINFO\033[0m  order %05d imported, %d lines\n" $i $((i * 7 % 13 + 1)); """
    r"""[ $((i % 9)) = 4 ] && printf "\033[33mWARN\033[0m  order %05d has no price, the list has\n" $i; """
    r"""[ $((i % 31)) = 12 ] && printf "\033[31mERROR\033[0m customer %d: address not found\n" $i >&2; """
    "sleep 0.25; done"
)
# Name, command, limits, and how often a week it ended well and otherwise.
TEMPLATES: tuple[tuple[str, str, dict[str, Any], int, int], ...] = (
    ("import-orders", f"sh -c '{TALK}'", {"memory_limit": 256, "timeout_seconds": 3600}, 1240, 9),
    ("nightly-report", "sh -c 'echo sums; sleep 2; echo done'", {"timeout_seconds": 900}, 168, 2),
    (
        "send-invoices",
        "sh -c 'echo 214 invoices; sleep 1; echo mail server refuses >&2; exit 3'",
        {},
        460,
        51,
    ),
    ("resize-images", "sh -c 'for n in 1 2 3 4 5 6; do echo picture $n; sleep 0.3; done'", {}, 3600, 12),
    ("train-model", "tail /dev/zero", {"memory_limit": 64}, 40, 11),
    ("clear-sessions", "true", {}, 1008, 0),
)
FINE = ("resize-images", "nightly-report", "clear-sessions", "resize-images", "clear-sessions")


class Rows:
    """`before` a supervisor runs, `pages` once one does, `after` the pictures."""

    def __init__(self, folder: Path, address: str) -> None:
        self._folder, self._address = folder, address
        self._random = random.Random(7)
        self.person = User.objects.create_superuser("ada")
        self._running: list[ContainerJob] = []

    def before(self) -> None:
        """Hosts, templates, and the days before."""
        self._make_hosts()
        for name, command, fields, _fine, _failed in TEMPLATES:
            made = ContainerTemplate.objects.create(
                name=name, docker_image="busybox:latest", command=command, **fields
            )
            EnvironmentVariable.objects.create(template=made, key="REGION", value="eu-north")
            EnvironmentVariable.objects.create(template=made, key="API_TOKEN", value="x", is_secret=True)
        self._make_past()

    def _make_hosts(self) -> None:
        if self._address:
            DockerHost.objects.create(
                name="quay-1", connection_string=self._address, weight=200, labels={"zone": "north"}
            )
        names = ("quay-2", "quay-3") if self._address else ("quay-1", "quay-2", "quay-3")
        for name in names:
            root = {"root": str(self._folder / name)}
            DockerHost.objects.create(
                name=name, executor_type="process", executor_config=root, labels={"zone": "south"}
            )
        DockerHost.objects.create(
            name="quay-4", connection_string=f"unix://{self._folder}/nobody.sock", labels={"gpu": "a100"}
        )

    def _make_past(self) -> None:
        now = timezone.now().replace(second=0, microsecond=0)
        for name, _command, _fields, fine, failed in TEMPLATES:
            self._tally(name, "succeeded", fine, now)
            self._tally(name, "oom" if name == "train-model" else "user", failed, now)
        for place, host in enumerate(DockerHost.objects.filter(name__in=("quay-1", "quay-2", "quay-3"))):
            self._sample(host, place, now)

    def _tally(self, template: str, outcome: str, count: int, now: Any) -> None:
        minutes = {self._random.randrange(7 * 1440) for _ in range(count)}
        spans = dict.fromkeys(("within_1s", "within_1m", "within_10m", "within_1h", "beyond_1h"), 0)
        Tally.objects.bulk_create(
            Tally(
                minute=now - timedelta(minutes=minute + 2),
                host_name="quay-1",
                template_name=template,
                outcome=outcome,
                count=self._random.randrange(1, 4),
                seconds=self._random.uniform(4, 40),
                log_bytes=9000,
                **{**spans, self._random.choice(("within_1s", "within_1m", "within_1m")): 1},
                within_10s=1,
            )
            for minute in minutes
        )

    def _sample(self, host: DockerHost, place: int, now: Any) -> None:
        load = 25.0 + 15 * place
        samples = []
        for minute in range(1440, 0, -1):
            load = min(92.0, max(4.0, load + self._random.uniform(-4, 4)))
            samples.append(
                HostSample(
                    host=host,
                    at=now - timedelta(minutes=minute),
                    cpu_percent=load,
                    memory_used_bytes=int((3 + place + load / 50) * GIB),
                    disk_free_bytes=int((210 - minute / 60) * GIB),
                    jobs_running=int(load // 12),
                    slots=10,
                )
            )
        HostSample.objects.bulk_create(samples)

    # ── while a supervisor runs ───────────────────────────────────────────────────────────────────────

    def pages(self) -> dict[str, str]:
        """Run jobs until there is something to see; the screens by name."""
        first = DockerHost.objects.get(name="quay-1")
        self._running = [
            self._submit("import-orders", first, name=name)
            for name in ("orders of the morning", "orders of the web shop", "orders, second try")
        ]
        ended = [self._submit(name, first if place % 2 else None) for place, name in enumerate(FINE * 3)]
        names = {"send-invoices": "invoices of november", "train-model": "forecast"}
        failed = [self._submit(template, first, name=name) for template, name in names.items()]
        waiting = self._waiting()
        self._wait_for(ended + failed)
        time.sleep(_SECONDS_OF_READINGS)  # so that the charts of the running ones have something to draw
        return self._addresses(self._running[0], failed[0], failed[1], waiting, first)

    def _submit(self, template: str, host: DockerHost | None, **fields: Any) -> ContainerJob:
        found = ContainerTemplate.objects.get(name=template)
        return operations.submit(found, host=host, environment={"DAY": "2026-11-23"}, **fields)

    def _waiting(self) -> ContainerJob:
        gpu = ContainerTemplate.objects.create(
            name="render-film",
            docker_image="busybox:latest",
            command="true",
            required_labels={"gpu": "a100"},
        )
        return operations.submit(gpu, name="trailer")

    def _wait_for(self, jobs: list[ContainerJob]) -> None:
        keys = [job.pk for job in jobs]
        ended = ContainerJob.objects.filter(pk__in=keys, status__in=ENDED_STATUSES)
        wait_until(lambda: ended.count() == len(keys), 90, "the jobs to end")
        running = ContainerJob.objects.filter(status=JobStatus.RUNNING)
        wait_until(lambda: running.count() >= len(self._running), 30, "the others to run")

    def _addresses(
        self,
        runs: ContainerJob,
        failed: ContainerJob,
        oom: ContainerJob,
        waits: ContainerJob,
        host: DockerHost,
    ) -> dict[str, str]:
        template = reverse("admin:template", args=[runs.template_id])
        job = {one.pk: reverse("admin:job", args=[one.pk]) for one in (runs, failed, oom, waits)}
        return {
            "dashboard": reverse("admin:index"),
            "jobs": reverse("admin:jobs"),
            "jobs-filtered": f"{reverse('admin:jobs')}?status=failed&template=send-invoices&longer=1s",
            "job-running": job[runs.pk],
            "job-log": reverse("admin:job_log", args=[runs.pk]),
            "job-failed": job[failed.pk],
            "job-oom": job[oom.pk],
            "job-waiting": job[waits.pk],
            **{
                f"job-{tab}": f"{job[runs.pk]}?tab={tab}"
                for tab in ("resources", "configuration", "metadata", "attempts", "events")
            },
            "job-pick": reverse("admin:job_new"),
            "job-new": f"{reverse('admin:job_new')}?template={runs.template_id}",
            "hosts": reverse("admin:hosts"),
            "host": reverse("admin:host", args=[host.pk]),
            "host-kinds": reverse("admin:host_new"),
            "host-new": f"{reverse('admin:host_new')}?kind=docker",
            "templates": reverse("admin:templates"),
            "template": template,
            "template-edit": reverse("admin:jobs_containertemplate_change", args=[runs.template_id]),
            "supervisor": reverse("admin:supervisor"),
            "stop-dialog": f"{reverse('admin:job_act', args=['stop'])}?id={runs.pk}",
            "tables": reverse("admin:tables"),
        }

    def after(self) -> None:
        """Leave nothing running."""
        for job in self._running:
            operations.cancel(job.pk, who="ada", force=True)
        wait_until(lambda: not Attempt.objects.open().exists(), 30, "everything to end")
