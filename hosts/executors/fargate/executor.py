"""FargateExecutor: the order of calls behind each promise of the contract.

ECS has nothing that is made and not started. So `create` registers what is to run and makes the attempt's id,
and `start` is RunTask with that id as its token: however often it is sent, one task comes of it. A start of
which no answer came is looked for among the tasks of the installation, which ECS may show late; so "there is
none" is said once so much time has passed that it would be seen, and the same token is sent anew.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, ClassVar

from hosts.errors import (
    ConfigurationError,
    ContainerBusy,
    DockerConnectionError,
)
from hosts.executors.capabilities import Capabilities
from hosts.executors.config_fields import ConfigField
from hosts.executors.contract import (
    ContainerExecutor,
    EngineFacts,
    Hint,
    HostView,
    JobView,
    Observation,
)
from hosts.executors.fargate import config_fields, configuration, identity, readings, refusals, requests
from hosts.executors.fargate.clients import MISSING, AwsAnswer, Clients, region_of_environment
from hosts.executors.fargate.configuration import Settings
from hosts.executors.fargate.definitions import Definitions
from hosts.executors.fargate.identity import Identity
from hosts.executors.fargate.log_groups import LogGroup
from hosts.executors.fargate.log_reader import LogReader
from hosts.executors.fargate.logs import CloudWatchLog
from hosts.executors.fargate.tasks import Tasks
from hosts.executors.fargate.waiting import Waiting
from hosts.executors.log_source import LogSource, Resume
from hosts.identity import boot_clock

_CONSISTENT_SECONDS = 300.0  # so long, says AWS, what one call did may be hidden from another


class FargateExecutor(ContainerExecutor):
    """Tasks of an ECS cluster on Fargate. The settings are in docs/executors-fargate.md."""

    kind: ClassVar[str] = "fargate"
    label: ClassVar[str] = "AWS Fargate"
    capabilities: ClassVar[Capabilities] = Capabilities(
        hints=True,
        logs=True,
        live_logs=True,
        stop=True,
        lists=True,
        starts_later=True,
        working_directory=True,
        memory_limit=True,
        cpu_limit=True,
    )
    secret_settings: ClassVar[frozenset[str]] = configuration.SECRETS
    config_fields: ClassVar[tuple[ConfigField, ...]] = config_fields.FIELDS

    def __init__(self, host: HostView) -> None:
        super().__init__(host)
        if importlib.util.find_spec("boto3") is None:
            raise ConfigurationError(f"{MISSING}.")
        given = Settings.of(host, region=region_of_environment())
        self._given = given
        self._clients = Clients(host.name, given, host.config)
        self._tasks = Tasks(self._clients, host, given.cluster, given.fresh_seconds)
        self._definitions = Definitions(self._clients, given.tags)
        self._log_group = LogGroup(self._clients, given.log_group)
        self._reader = LogReader(given.log_requests_per_second)
        self._waiting = Waiting(given.settle_seconds)

    @classmethod
    def validate_config(cls, base_url: str, config: Mapping[str, Any]) -> list[str]:
        """Sentences that say what is wrong with a host's settings; empty when nothing is."""
        return configuration.problems(base_url, config)

    @cached_property
    def _settings(self) -> Settings:
        """With the region that boto3 has found, wherever it stood."""
        return replace(self._given, region=self._clients.region)

    def check(self) -> EngineFacts:
        """Ask ECS for the cluster; ConfigurationError if there is none."""
        reply = self._clients.call("ecs", "describe_clusters", clusters=[self._settings.cluster])
        cluster = next(iter(reply.get("clusters") or ()), None)
        if cluster is None or cluster.get("status") != "ACTIVE":
            state = cluster.get("status") if cluster else "missing"
            raise ConfigurationError(
                f"{self.host.name}: the cluster {self._settings.cluster} is {state} in "
                f"{self._settings.region}. Create it, or correct cluster and region of the host."
            )
        return EngineFacts(
            engine_id=cluster["clusterArn"],
            version=f"Fargate {self._settings.platform_version}",
            containers_running=cluster.get("runningTasksCount"),
            operating_system=f"Linux {self._settings.cpu_architecture}",
        )

    def create(self, job: JobView) -> Observation:
        """Register what is to run; nothing runs, and nothing costs, before `start`."""
        taken = self._waiting.of_job(str(job.id)) or self._in_the_way(job)
        if taken is not None:
            return taken
        definition = requests.definition_of(job, self._settings)
        arn = self._definitions.arn_of(definition)
        self._log_group.ensure()
        request = requests.run_of(self.host, job, self._settings, arn)
        job.executor_metadata |= {
            "task_definition": arn.rsplit("/", 1)[-1],
            "cluster": self._settings.cluster.rsplit("/", 1)[-1],
            "launch_type": "FARGATE",
        }
        job.save()
        made = Observation(
            container_id=str(Identity.of(job)),
            name=job.container_name,
            state="created",
            labels=identity.tags_of(self.host, job),
            metadata=dict(job.executor_metadata),
        )
        return self._waiting.hold(made, request) or replace(made, fresh=True)

    def start(self, container_id: str) -> None:
        """Send RunTask, whose token makes a second one harmless."""
        request = self._waiting.request(container_id)
        if request is None:
            raise DockerConnectionError(
                f"{self.host.name}: what {container_id} is to run is not known any more; it is made anew."
            )
        self._waiting.sent(container_id)
        reply = self._run(container_id, request)
        if reply is None:
            return
        failures = reply.get("failures") or ()
        if not reply.get("tasks"):
            self._waiting.drop(container_id)
            raise refusals.refusal(_words_of_failures(failures))
        self._tasks.learn({**reply["tasks"][0], "tags": request["tags"]})
        self._waiting.drop(container_id)

    def observe(self, ref: str) -> Observation | None:
        """The task of an attempt, by its container id, or of a job, by its container's name.

        DockerConnectionError while ECS may not show it yet. State `created`: it was never started, and a
        start sent now, with the same token, would be the only one.
        """
        who = Identity.parse(ref)
        if who is None:
            return self._named(ref)
        if self._waiting.is_gone(ref):
            return None
        return self._waiting.made(ref) or self._started(ref, who)

    def _started(self, ref: str, who: Identity) -> Observation | None:
        """As `observe`, of an attempt whose start this process may have sent, or another one."""
        arn = self._tasks.arn_of(ref)
        if arn is None:
            self._waiting.ask(ref)
            self._tasks.refresh()
            arn = self._tasks.arn_of(ref)
        if arn is None:
            return self._unseen(ref, who)
        if self._tasks.is_removed(arn):
            return None
        task = self._tasks.look(arn)
        if task is not None:
            return readings.observation(self.host, task)
        if self._tasks.known_seconds(arn) < _CONSISTENT_SECONDS:
            raise DockerConnectionError(f"{self.host.name}: ECS does not show the task {arn} yet.")
        return None

    def list_containers(self) -> list[Observation]:
        """Every task of this installation that runs, or has stopped in the last hour."""
        self._tasks.refresh(anew=True)
        started = [readings.observation(self.host, task) for task in self._tasks.ours()]
        return [*self._waiting.unsent(), *started]

    def signal(self, container_id: str, name: str) -> None:
        """Stop the task, whatever the signal: ECS sends TERM, and KILL when its stopTimeout is over."""
        seen = self.observe(container_id)
        if seen is not None and seen.state in ("starting", "running"):
            self._stop(container_id, f"{readings.OUR_STOP}{name}")

    def remove(self, container_id: str, *, force: bool = False) -> None:
        """Stop the task if `force`, and wait for that; a stopped one is left to ECS, which forgets it."""
        if self._waiting.revoke(container_id):
            return
        arn = self._tasks.arn_of(container_id)
        if arn is None:
            self._tasks.refresh()
            arn = self._tasks.arn_of(container_id)
        if arn is None:
            return
        task = self._tasks.look(arn)
        if task is not None and not readings.is_stopped(task):
            if not force:
                raise ContainerBusy(f"{self.host.name}: {container_id} runs, so it was not removed.")
            self._stop(container_id, f"{readings.OUR_STOP}removed")
            self._wait_for_stop(arn)
        self._tasks.set_removed(arn)

    def discard(self, container_id: str) -> Observation | None:
        """None once so much time has passed since a start can have been sent that its task would be seen.

        A start that is sent later has the same token, so it is the only one all the same.
        """
        if self._waiting.revoke(container_id):
            return None
        seen = self.observe(container_id)
        if seen is not None and seen.state != "created":
            return seen
        self._waiting.drop(container_id)
        return None

    def open_log(self, container_id: str, resume: Resume, *, follow: bool) -> LogSource:
        """The log after what is stored; nothing is fetched before this returns."""
        if self._tasks.arn_of(container_id) is None:
            self.observe(container_id)
        arn = self._tasks.arn_of(container_id)
        if arn is None or self._tasks.is_removed(arn):
            raise DockerConnectionError(f"{self.host.name}: there is no task of {container_id} (yet).")
        stream, poll = requests.log_stream(self._settings, arn), self._settings.poll_seconds
        log = CloudWatchLog(
            lambda token, since: self._log_group.page(stream, token, since),
            lambda: self._tasks.stopped_seconds(arn, max_age=poll),
            resume,
            follow=follow,
            settle_seconds=self._settings.log_settle_seconds,
        )
        self._reader.add(log)
        return log

    def watch(self, stop: threading.Event) -> Iterator[Hint]:
        """Look at all tasks every few seconds, a hundred at a time, and tell which of them have ended."""
        self._tasks.poll(max_age=self._settings.poll_seconds)
        told = {task["taskArn"] for task in self._tasks.ours() if readings.is_stopped(task)}
        yield Hint(container_id=None, action="connected")
        while not stop.wait(self._settings.poll_seconds):
            self._tasks.poll(max_age=self._settings.poll_seconds / 2)
            stopped = [task for task in self._tasks.ours() if readings.is_stopped(task)]
            new = [task for task in stopped if task["taskArn"] not in told]
            told = {task["taskArn"] for task in stopped}
            for task in new:
                yield _ended(readings.observation(self.host, task))

    def _in_the_way(self, job: JobView) -> Observation | None:
        """A task of this attempt, or one of the job that has not stopped."""
        self._tasks.refresh()
        mine = str(Identity.of(job))
        arn = self._tasks.arn_of(mine)
        if arn is not None:
            return self.observe(mine)
        return next((seen for seen in self._of_job(str(job.id)) if seen.state != "exited"), None)

    def _named(self, name: str) -> Observation | None:
        job = name.removeprefix(identity.container_name(self.host, ""))
        if made := self._waiting.of_job(job):
            return made
        self._tasks.refresh()
        seen = sorted(self._of_job(job), key=lambda one: (one.state != "exited", one.label("attempt")))
        return seen[-1] if seen else None

    def _of_job(self, job: str) -> list[Observation]:
        every = (readings.observation(self.host, task) for task in self._tasks.ours())
        return [seen for seen in every if seen.label("job") == job]

    def _unseen(self, container_id: str, who: Identity) -> Observation | None:
        """What it means that ECS lists no task of this attempt."""
        if not self._waiting.is_settled(container_id):
            raise DockerConnectionError(
                f"{self.host.name}: ECS shows no task of {container_id}; it may do so a little later."
            )
        born = who.claimed_at()
        is_young = born is not None and datetime.now(UTC) - born < identity.REMEMBERED
        if not (is_young or self._waiting.was_sent_since(container_id, identity.REMEMBERED)):
            return None  # its task, if there was one, has stopped and is forgotten
        return Observation(
            container_id=container_id,
            name=identity.container_name(self.host, str(who.job_id)),
            state="created",
            labels=identity.labels_known(self.host, who),
        )

    def _run(self, container_id: str, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer of RunTask; None: the token has a task already, which is known now."""
        try:
            return self._clients.call("ecs", "run_task", **request)
        except AwsAnswer as exc:
            if exc.code == "ConflictException" and exc.resources:
                self._tasks.learn_arn(container_id, exc.resources[0])
                return None
            refused = refusals.refused_run(exc)
            if refused is None:
                raise
            if "taskdefinition" in exc.said.lower().replace(" ", ""):
                self._definitions.forget(request["taskDefinition"])
            self._waiting.drop(container_id)
            raise refused from exc

    def _stop(self, container_id: str, reason: str) -> None:
        arn = self._tasks.arn_of(container_id)
        self._clients.call("ecs", "stop_task", cluster=self._settings.cluster, task=arn, reason=reason)

    def _wait_for_stop(self, arn: str) -> None:
        until = boot_clock() + self._settings.timeout
        pause = threading.Event()
        while self._tasks.stopped_seconds(arn, max_age=0) is None:
            if boot_clock() > until:
                raise DockerConnectionError(
                    f"{self.host.name}: {arn} was asked to stop, and has not within "
                    f"{self._settings.timeout:g} s."
                )
            pause.wait(self._settings.fresh_seconds)


def _words_of_failures(failures: Any) -> str:
    said = [": ".join(filter(None, (one.get("reason"), one.get("detail")))) for one in failures]
    return "; ".join(said) or "ECS answered RunTask with neither a task nor a reason."


def _ended(seen: Observation) -> Hint:
    return Hint(
        container_id=seen.container_id,
        action="die",
        at=seen.finished_at,
        job=seen.label("job"),
        detail="" if seen.exit_code is None else f"exit code {seen.exit_code}",
    )
