"""SwarmExecutor: the order of calls behind each promise of the contract."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Generator, Mapping
from http import HTTPStatus
from typing import Any, ClassVar

from hosts import policy, registries
from hosts.errors import ContainerBusy, DockerConnectionError
from hosts.executors import contract
from hosts.executors.capabilities import Capabilities
from hosts.executors.config_fields import ConfigField
from hosts.executors.contract import (
    ContainerExecutor,
    ContainerState,
    EngineFacts,
    Hint,
    HostView,
    JobView,
    Observation,
    Usage,
)
from hosts.executors.docker import DockerExecutor, endpoint, examining, images, logs
from hosts.executors.docker.client import Client
from hosts.executors.docker.spec import size_in_bytes
from hosts.executors.examining import Step
from hosts.executors.log_source import LogSource, Resume
from hosts.executors.swarm import lifetime, news, refusals, secrets, settings, spec
from hosts.executors.swarm.client import Service, Swarm, labels_of
from hosts.executors.swarm.logs import FarLog
from hosts.executors.swarm.news import News
from hosts.executors.swarm.tasks import Task, observation

_QUICK_SECONDS = 0.8  # `watch` is to return within a second
_LOOK_AGAIN_SECONDS = (0.05, 0.1, 0.1, 0.2)
_START_SECONDS = 1.0
_MEBIBYTE = 1024 * 1024
_RAN = "It was started before it could be discarded, and is gone; how it ended is not known."
_MOST_PLACES = 1000


class SwarmExecutor(ContainerExecutor):
    """Services of an existing Docker Swarm, one with one task for each job, by one of its managers.

    Settings: those of the executor `docker` but for its pulls (nodes pull by themselves), and `constraints`
    (a list of placement constraints for every job) and `reserve` (true: a node is given no more jobs than
    its memory and CPUs are enough for, by the limits of the jobs).

    A container's id is its service's here. What only the engine of its node knows (what it uses, whether it
    ran out of memory, a signal of one's choice) there is for jobs on the node that we talk to.
    """

    kind: ClassVar[str] = "swarm"
    label: ClassVar[str] = "Docker Swarm"
    capabilities: ClassVar[Capabilities] = Capabilities(
        hints=True,
        logs=True,
        live_logs=True,
        usage=True,
        stop=True,
        lists=True,
        starts_later=True,
        signals=True,
        working_directory=True,
        tty=True,
        memory_limit=True,
        cpu_limit=True,
        networks=True,
        network_aliases=True,
        user=True,
        linux_capabilities=True,
        secret_files=True,
    )
    secret_settings: ClassVar[frozenset[str]] = frozenset({registries.KEY, endpoint.KEY_TEXT})
    config_fields: ClassVar[tuple[ConfigField, ...]] = settings.FIELDS

    def __init__(self, host: HostView) -> None:
        super().__init__(host)
        self._endpoint = endpoint.endpoint_from(host.name, host.base_url, host.config)
        self._client = Client(self._endpoint)
        self._quick = Client(dataclasses.replace(self._endpoint, timeout=_QUICK_SECONDS))
        self._swarm = Swarm(host, self._client)
        self._near = DockerExecutor(host)  # the engine of the node that we talk to
        self._news = News()
        self._places: dict[str, str] = {}

    @classmethod
    def validate_config(cls, base_url: str, config: Mapping[str, Any]) -> list[str]:
        """Sentences that say what is wrong with a host's settings; empty when nothing is."""
        return settings.problems(base_url, config)

    @classmethod
    def configured_log_limit(cls, config: Mapping[str, Any]) -> int | None:
        """The setting `log_max_size` in bytes, if there is one."""
        return size_in_bytes(str(config.get("log_max_size") or ""))

    def way_steps(self) -> list[Step]:
        """The way to the manager that the address names."""
        return self._near.way_steps()

    def engine_steps(self) -> list[Step]:
        """The manager's own engine, and whether a node takes tasks."""
        return [examining.system(self._client), examining.nodes(self._swarm.able_nodes)]

    def check(self) -> EngineFacts:
        """Ask the manager for its swarm; ConfigurationError if it is none."""
        with self._client.within(contract.CHECK_SECONDS):
            return self._swarm.facts()

    def create(self, job: JobView) -> Observation:
        """Keep the job's secrets, and make its service, which has no task yet."""
        self._require_a_user(job)
        self._require_a_node_for(job)
        if job.secret_names:
            taken = self._swarm.service(job.container_name)
            if taken is not None:  # it has its secrets, perhaps under the names that ours would have
                return self._observed(taken)
        body = spec.create_body(self.host, job, secrets.make(self._client, self.host, job))
        headers = images.login_headers(job.template.docker_image, self.config)
        reply = self._client.post("/services/create", body=body, headers=headers)
        if reply.status == HTTPStatus.CREATED:
            return Observation(
                container_id=str(self._client.expect(reply)["ID"]),
                name=job.container_name,
                state="created",
                labels=spec.labels_of({"Spec": body}),
                metadata={"service_name": body["Name"], "service_id": reply.data["ID"]},
                fresh=True,
            )
        refusal = refusals.refused_create(reply)
        if refusal:
            secrets.remove(self._client, body["Labels"])
            raise refusal
        # 409 for a name that is taken; what answers with a 5xx may have made it all the same.
        found = self._swarm.service(job.container_name)
        if found is None:
            raise self._client.unexpected(reply)
        return self._observed(found)

    def start(self, container_id: str) -> None:
        """Ask for the service's one task, and wait a moment for it, as most start in no time.

        Once is enough, and twice does nothing: the version of the service decides who comes first.
        """
        service, _ = self._swarm.change(container_id, spec.started)
        if service is None or spec.is_discarded(service):
            raise DockerConnectionError(f"{self.host.name}: the service was gone before it could start.")
        self._wait_for_start(service)

    def observe(self, ref: str) -> Observation | None:
        """The service with this id or name, and its task, as they are now."""
        service = self._swarm.service(ref)
        return None if service is None else self._observed(service)

    def list_containers(self) -> list[Observation]:
        """Every service of this installation in the swarm, and how its task is."""
        services = self._swarm.services()
        task = self._swarm.tasks_by_service()
        near = {one.container_id: one.state for one in self._near.list_containers()}
        seen = [_listed(service, task(service), near) for service in services]
        secrets.sweep(self._client, self.host.installation, self.host.id, labels_of(services, "job"))
        return seen

    def signal(self, container_id: str, name: str) -> None:
        """The signal to a container on our node. Elsewhere, its service is told to stop its task: its node
        sends the job's stop signal, and KILL after the job's grace; KILL comes no sooner."""
        service = self._swarm.service(container_id)
        task = self._swarm.task(service) if service else None
        if service is None or (task is None and not spec.replicas(service)) or (task and task.is_over):
            return
        if task and task.container_id and task.node_id == self._swarm.node_id():
            self._near.signal(task.container_id, name)
        else:
            self._swarm.change(container_id, spec.stopped)

    def remove(self, container_id: str, *, force: bool = False) -> None:
        """Delete the service and its secrets, once nothing of it runs; its node deletes the container."""
        service = self._swarm.service(container_id)
        if service is None:
            return
        if not self._discarded(container_id):
            self._require_over(service, force=force)
        self._delete(service)

    def discard(self, container_id: str) -> Observation | None:
        """Delete a service that never started: first it is marked, unless it was started, so that it cannot
        be any more; what is gone already the manager's events tell of."""
        service = self._swarm.service(container_id)
        if service is None:
            gone = lifetime.never_started(self._endpoint, self._client.version(), container_id)
            return None if gone else _gone(container_id)
        if not self._discarded(container_id):
            return self.observe(container_id) or _gone(container_id)
        self._delete(service)
        return None

    def open_log(self, container_id: str, resume: Resume, *, follow: bool) -> LogSource:
        """The log after what is stored: from the engine of our node, or by the manager from another."""
        service = self._swarm.service(container_id)
        task = self._swarm.task(service) if service else None
        if task is None:
            raise DockerConnectionError(
                f"{self.host.name}: {container_id} has no task whose log could be read."
            )
        if task.container_id and task.node_id == self._swarm.node_id():
            return self._near.open_log(task.container_id, resume, follow=follow)
        source = logs.open_log(
            self._endpoint, self._client.version(), task.id, resume, follow=follow, of="tasks"
        )
        return FarLog(source, lambda: task.id in self._news.over) if follow else source

    def watch(self, stop: threading.Event) -> Generator[Hint, None, None]:
        """Yield hints until `stop` is set."""

        def tasks() -> list[dict[str, Any]]:
            return self._swarm.tasks(self._quick)

        yield from news.watch(
            self._endpoint, self._client.version(), self.host.installation, stop, tasks, self._news
        )

    def usage(self, container_id: str) -> Usage | None:
        """One reading of a container on our node; None of one on another: only its engine could tell."""
        near = self._place(container_id)
        return self._near.usage(near) if near else None

    def close(self) -> None:
        """Drop the calling thread's connections."""
        self._client.close()
        self._quick.close()
        self._near.close()

    def _observed(self, service: Service) -> Observation:
        task = self._swarm.task(service)
        seen = observation(service, task)
        near = self._seen_near(task)
        if task and task.is_over and (refusal := refusals.refused_task(task, near)):
            return dataclasses.replace(seen, refusal=refusal)
        if near is None or near.state == "created":
            return seen
        return dataclasses.replace(
            seen,
            # It ends a moment before its manager knows.
            state=seen.state if seen.state == "exited" else near.state,
            exit_code=near.exit_code if near.state == "exited" else seen.exit_code,
            oom_killed=near.oom_killed,
            started_at=near.started_at,
            finished_at=near.finished_at,
            error=near.error,
            image_digest=near.image_digest,
            log_limit_bytes=near.log_limit_bytes,
            metadata={**near.metadata, **seen.metadata},
        )

    def _seen_near(self, task: Task | None) -> Observation | None:
        """The task's container, if it is on the node that we talk to."""
        if not task or not task.container_id or task.node_id != self._swarm.node_id():
            return None
        return self._near.observe(task.container_id)

    def _wait_for_start(self, service: Service) -> None:
        """Until the task has started, is over, or waits for a node; a second at most."""
        deadline = time.monotonic() + min(_START_SECONDS, self._endpoint.timeout / 2)
        looks = iter(_LOOK_AGAIN_SECONDS)
        while time.monotonic() < deadline:
            task = self._swarm.task(service)
            if task is not None and (not task.is_on_the_way or task.waits_for_a_node):
                return
            time.sleep(next(looks, _LOOK_AGAIN_SECONDS[-1]))

    def _require_a_node_for(self, job: JobView) -> None:
        """Refuse what no node could ever take: it would wait for one until it is over its time."""
        template = job.template
        if not self.config.get("reserve", True) or not (template.memory_limit or template.cpu_limit):
            return
        cpus, memory = self._swarm.largest()
        if template.cpu_limit and cpus and template.cpu_limit > cpus:
            raise refusals.too_large("CPUs", f"{template.cpu_limit:g}", f"{cpus:g}")
        if template.memory_limit and memory and template.memory_limit * _MEBIBYTE > memory:
            wanted, largest = f"{template.memory_limit} MB", f"{memory // _MEBIBYTE} MB"
            raise refusals.too_large("memory", wanted, largest)

    def _require_a_user(self, job: JobView) -> None:
        """Whom an image runs as is known on the nodes that have it only, so the job has to say it."""
        if job.template.options.user or policy.may_run_as_root(self.host.policy):
            return
        if self._swarm.service(job.container_name) is None:
            raise refusals.user_unknown(job.template.docker_image, self.host.name)

    def _discarded(self, container_id: str) -> bool:
        """Mark a service that was not started, so that it cannot be any more; False: it was started."""
        service, is_marked = self._swarm.change(container_id, spec.discarded)
        return is_marked or service is None or spec.is_discarded(service)

    def _require_over(self, service: Service, *, force: bool) -> None:
        """Nothing of the service may run when its name is free again: the next attempt takes it."""
        if self._is_over(service):
            return
        name = service["Spec"]["Name"]
        if not force:
            raise ContainerBusy(f"{self.host.name}: {name} runs, so it was not removed.")
        self.signal(service["ID"], "KILL")
        deadline = time.monotonic() + self._endpoint.timeout
        while not self._is_over(service):
            if time.monotonic() >= deadline:
                raise DockerConnectionError(f"{self.host.name}: {name} was told to stop, and runs on.")
            time.sleep(_LOOK_AGAIN_SECONDS[-1])

    def _is_over(self, service: Service) -> bool:
        """Whether its task has ended, or its container has and the manager does not know yet."""
        task = self._swarm.task(service)
        if task is None or task.is_over:
            return task is not None
        near = self._seen_near(task)
        return near is not None and near.state == "exited"

    def _delete(self, service: Service) -> None:
        self._swarm.delete(service)
        self._places.pop(service["ID"], None)
        secrets.remove(self._client, service["Spec"].get("Labels") or {})

    def _place(self, container_id: str) -> str:
        """The id of a job's container on our node; empty where it is on another, or nowhere yet."""
        if container_id in self._places:
            return self._places[container_id]
        service = self._swarm.service(container_id)
        task = self._swarm.task(service) if service else None
        if task is None or not task.container_id:
            return ""
        near = task.container_id if task.node_id == self._swarm.node_id() else ""
        for oldest in list(self._places)[: -_MOST_PLACES + 1]:
            self._places.pop(oldest, None)
        self._places[container_id] = near
        return near


def _listed(service: Service, task: Task | None, near: Mapping[str, ContainerState]) -> Observation:
    """As `observe` has it: of a container on our node, its engine knows a moment before the manager."""
    seen = observation(service, task)
    state = near.get(task.container_id, "created") if task else "created"
    if seen.state == "exited" or state == "created":
        return seen
    return dataclasses.replace(seen, state=state)


def _gone(container_id: str) -> Observation:
    return Observation(container_id=container_id, name="", state="exited", labels={}, error=_RAN)
