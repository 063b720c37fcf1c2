"""DockerExecutor: the order of calls behind each promise of the contract."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import quote

from hosts import policy, registries
from hosts.errors import (
    ConfigurationError,
    ContainerBusy,
    ContainerExecutionError,
    DockerConnectionError,
    EngineError,
    ImageMissing,
)
from hosts.executors import cgroups, contract
from hosts.executors.capabilities import Capabilities
from hosts.executors.config_fields import ConfigField
from hosts.executors.container_options import ContainerOptions
from hosts.executors.contract import (
    LABEL_PREFIX,
    ContainerExecutor,
    EngineFacts,
    Hint,
    HostView,
    JobView,
    Observation,
    Usage,
)
from hosts.executors.docker import (
    config_fields,
    endpoint,
    events,
    examining,
    images,
    lifetime,
    logs,
    podman,
    readings,
    refusals,
    secret_files,
    secret_mounts,
    spec,
)
from hosts.executors.docker.client import Client, Reply, understood
from hosts.executors.examining import Step
from hosts.executors.log_source import LogSource, Resume

_UNKNOWN: Any = object()
_MOST_PLACES = 1000  # of containers whose files are known; most of them have ended


class DockerExecutor(ContainerExecutor):
    """Containers on a Docker engine, or one that speaks its API, at a Unix socket or a TCP address.

    Settings beside the specification's: `log_max_size` (four times what is kept of a log, at least 2g: an
    engine that rotates a log loses bytes of it) and `init` (true: a tiny first process buries orphans and
    passes signals on).

    Pulls: `pull_connect_timeout` (60 s until the engine, and through it the registry, has answered),
    `pull_idle_timeout` (180 s without any news of it) and `pull_total_timeout` (3600 s for all of it). What
    is given up is tried again as the job's infra_retries say. `registries` holds the logins that
    `manage_docker_host registry-login` sets; it is a secret setting.
    """

    kind: ClassVar[str] = "docker"
    label: ClassVar[str] = "Docker"
    capabilities: ClassVar[Capabilities] = Capabilities(
        pull=True,
        hints=True,
        logs=True,
        live_logs=True,
        usage=True,
        stop=True,
        lists=True,
        signals=True,
        working_directory=True,
        tty=True,
        memory_limit=True,
        cpu_limit=True,
        networks=True,
        network_aliases=True,
        entrypoint=True,
        user=True,
        swap_limit=True,
        pids_limit=True,
        shm_size=True,
        ulimits=True,
        gpus=True,
        host_network=True,
        extra_hosts=True,
        ports=True,
        mounts=True,
        tmpfs=True,
        labels=True,
        read_only=True,
        linux_capabilities=True,
        privileged=True,
        no_new_privileges=True,
        host_pid=True,
        devices=True,
        init=True,
        secret_files=True,
    )
    secret_settings: ClassVar[frozenset[str]] = frozenset({registries.KEY, endpoint.KEY_TEXT})
    config_fields: ClassVar[tuple[ConfigField, ...]] = config_fields.FIELDS

    def __init__(self, host: HostView) -> None:
        super().__init__(host)
        if wrong := policy.problems(host.policy):
            raise ConfigurationError(f"Host {host.name!r}: {wrong[0]}")
        self._endpoint = endpoint.endpoint_from(host.name, host.base_url, host.config)
        self._client = Client(self._endpoint)
        self._digests: dict[tuple[str, str], str] = {}
        self._ports: dict[str, dict[str, int]] = {}
        self._places: dict[str, cgroups.Place | None] = {}
        self._secret_files: dict[str, secret_mounts.Files] = {}  # of containers that are not started yet

    @classmethod
    def validate_config(cls, base_url: str, config: Mapping[str, Any]) -> list[str]:
        """Sentences that say what is wrong with a host's settings; empty when nothing is."""
        return endpoint.problems(base_url, config)

    @classmethod
    def configured_log_limit(cls, config: Mapping[str, Any]) -> int | None:
        """The setting `log_max_size` in bytes, if there is one."""
        return spec.size_in_bytes(str(config.get("log_max_size") or ""))

    def way_steps(self) -> list[Step]:
        """Socket or name, TCP and TLS, as the address has it."""
        return examining.way_to(self._endpoint)

    def engine_steps(self) -> list[Step]:
        """What it is made of, who else uses it, and whether it lets us create containers."""
        return examining.of_engine(self.host, self._client)

    def check(self) -> EngineFacts:
        """Ask the engine who it is, and which API version it speaks now."""
        with self._client.within(contract.CHECK_SECONDS):
            version = self._client.negotiate()
            info = self._client.expect(self._client.get("/info"))
        with understood(self.host.name):
            return readings.engine_facts(version, info)

    def create(self, job: JobView) -> Observation:
        """Make the container, with all its networks.

        What DockerConnectionError leaves behind may lack some of them: delete it, and create again.
        """
        body = spec.create_body(self.host, job)
        if self._client.is_podman():
            podman.adapt(body)
        if refusal := self._not_allowed(job) or self._run_as_allowed(job, body):
            # One that was made before the policy forbade it may run.
            seen = self.observe(job.container_name)
            if seen is None:
                raise refusal
            return seen
        reply = self._client.post("/containers/create", params={"name": job.container_name}, body=body)
        if reply.status != HTTPStatus.CREATED:
            return self._instead_of(job, reply)
        with understood(self.host.name):
            container_id = readings.text(self._client.expect(reply)["Id"])
        self._join_networks(container_id, job)
        if files := secret_mounts.of_job(self.host, job):
            self._secret_files[container_id] = files
        return Observation(
            container_id=container_id,
            name=job.container_name,
            state="created",
            labels=body["Labels"],
            metadata={"container_name": job.container_name, "container_id": container_id},
            fresh=True,
        )

    def start(self, container_id: str) -> None:
        """Start a container made by `create`; DockerConnectionError unless it is proved whether it did."""
        with self._secrets_in_place(container_id):
            reply = self._client.post(_path(container_id, "/start"))
        if reply.status in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
            return
        inspected = self._inspect(container_id)
        if inspected is None:
            raise DockerConnectionError(f"{self.host.name}: the container was gone before it could start.")
        with understood(self.host.name):
            exit_code = readings.exit_code(inspected["State"].get("ExitCode"))
            seen = readings.observation(inspected, "")
        refusal = refusals.refused_start(reply, seen, exit_code)
        raise refusal or self._client.unexpected(reply)

    @contextlib.contextmanager
    def _secrets_in_place(self, container_id: str) -> Iterator[None]:
        """The container's secret files are there for its start; nothing is done for one that has none."""
        files = self._secret_files.pop(container_id, None)
        if files is None:
            yield
            return
        inspected = self._inspect(container_id)
        if inspected is None:
            raise DockerConnectionError(f"{self.host.name}: the container was gone before it could start.")
        with secret_files.handed_over(self._endpoint, self._client, inspected, files):
            yield

    def observe(self, ref: str) -> Observation | None:
        """The container with this id or name, as it is now."""
        inspected = self._inspect(ref)
        if inspected is None:
            return None
        with understood(self.host.name):
            digest = self._digest(
                readings.text(inspected["Image"]), readings.text(inspected["Config"]["Image"])
            )
            return self._with_ports(readings.observation(inspected, digest))

    def list_containers(self) -> list[Observation]:
        """Every container of this installation: names, labels and states in one call.

        Times, exit codes, errors and metadata are not in it (it would take a call for each container);
        `observe` the ones whose state is news.
        """
        filters = {"label": [f"{LABEL_PREFIX}installation={self.host.installation}"]}
        params = {"all": 1, "filters": json.dumps(filters)}
        entries = self._client.expect(self._client.get("/containers/json", params=params))
        with understood(self.host.name):
            for entry in entries:
                if secret_mounts.left_behind(entry, time.time()):
                    self._client.delete(_path(entry["Id"]), params={"force": 1, "v": 1})
            return [readings.listed(entry) for entry in entries if not secret_mounts.is_helper(entry)]

    def signal(self, container_id: str, name: str) -> None:
        """Send the signal; nothing happens if the container does not run."""
        reply = self._client.post(_path(container_id, "/kill"), params={"signal": f"SIG{name}"})
        if reply.status < HTTPStatus.BAD_REQUEST:
            return
        seen = self.observe(container_id)
        if seen is not None and seen.state == "running":
            raise self._client.unexpected(reply)

    def remove(self, container_id: str, *, force: bool = False) -> None:
        """Delete the container and its anonymous volumes."""
        self._secret_files.pop(container_id, None)
        reply = self._client.delete(_path(container_id), params={"force": int(force), "v": 1})
        if reply.status < HTTPStatus.BAD_REQUEST or "already in progress" in reply.message:
            return
        seen = self.observe(container_id)
        if seen is None:
            return
        # What was running when it was to be deleted may have exited since: it was not deleted all the same.
        was_running = reply.status == HTTPStatus.CONFLICT and "running" in reply.message
        if (seen.state == "running" or was_running) and not force:
            raise ContainerBusy(f"{self.host.name}: {seen.name} runs, so it was not removed.")
        raise self._client.unexpected(reply)

    def discard(self, container_id: str) -> Observation | None:
        """Delete a container that never started, and prove by the engine's events that it never did."""
        mark = self._client.post(_path(container_id, "/update"), body=lifetime.MARK)
        seen = self.observe(container_id)
        if seen is not None:
            if seen.state != "created" or seen.started_at:
                return seen
            try:
                self.remove(container_id)
            except ContainerBusy:
                return self.observe(container_id)
        marked = seen is not None and mark.status == HTTPStatus.OK
        life = lifetime.read(self._endpoint, self._client.version(), container_id, marked=marked)
        if life.never_started:
            return None
        return life.observation(container_id, seen.name if seen else "", seen.labels if seen else {})

    def open_log(self, container_id: str, resume: Resume, *, follow: bool) -> LogSource:
        """The log after what is stored; waits for the connection only, 5 s at most."""
        client = self._client
        opened = logs.open_podman_log if client.is_podman() else logs.open_log
        return opened(self._endpoint, client.version(), container_id, resume, follow=follow)

    def watch(self, stop: threading.Event) -> Generator[Hint, None, None]:
        """Yield hints until `stop` is set; `connected` comes again when the stream was made anew."""
        yield from events.watch(self._endpoint, self._client.version(), self.host.installation, stop)

    def usage(self, container_id: str) -> Usage | None:
        """One reading, or None if the container is not running (any more).

        From the kernel's files where the container is a process of this machine that we can see; else from
        the engine, which takes a second for it.
        """
        if self._endpoint.socket_path:
            runs, place = self._place(container_id)
            if place or not runs:
                return cgroups.read(place) if place else None
        params = {"stream": "false", "one-shot": "true"}
        reply = self._client.get(_path(container_id, "/stats"), params=params)
        if refusals.says_gone(reply.status, reply.message) or reply.status == HTTPStatus.CONFLICT:
            return None
        with understood(self.host.name):
            return readings.usage(self._client.expect(reply))

    def pull(self, image: str, *, progress: Callable[[str], None], cancelled: Callable[[], bool]) -> None:
        """Bring the image to the engine; `cancelled` is asked four times a second."""
        if not policy.image_allowed(self.host.policy, image):
            raise self._forbidden(policy.refusals(self.host.policy, image, ContainerOptions(), ()))
        images.pull(
            self._endpoint,
            self._client.version(),
            image,
            images.PullSettings.of(self.config),
            progress=progress,
            cancelled=cancelled,
        )

    def close(self) -> None:
        """Drop the calling thread's connections."""
        self._client.close()

    def _not_allowed(self, job: JobView) -> ContainerExecutionError | None:
        """The error for a container that the host's policy does not allow."""
        template, networks = job.template, [network.name for network in job.networks]
        wrong = [
            *policy.refusals(
                *(self.host.policy, template.docker_image, template.options, networks),
                socket=self._endpoint.socket_path,
            ),
            *self._volumes_not_allowed(job),
        ]
        return self._forbidden(wrong) if wrong else None

    def _volumes_not_allowed(self, job: JobView) -> Iterator[str]:
        """A sentence for each volume of the engine that is more than a folder of its own."""
        for volume in job.template.options.volumes:
            if volume.is_bind or "volumes" in self.host.policy:
                continue
            reply = self._client.get(f"/volumes/{quote(volume.source, safe='')}")
            if reply.status == HTTPStatus.NOT_FOUND:  # it is made, as a plain folder
                continue
            found = self._client.expect(reply)
            options = found.get("Options") or {}
            yield from filter(
                None,
                [policy.volume_refusal(self.host.policy, volume.source, str(found.get("Driver")), options)],
            )

    def _run_as_allowed(self, job: JobView, body: dict[str, Any]) -> EngineError | None:
        """Have it run as the user that its image names, if that is allowed; the error if it is not.

        The user is written down, so that nobody can move the image's tag in between.
        """
        if job.template.options.user or policy.may_run_as_root(self.host.policy):
            return None
        image = job.template.docker_image
        reply = self._client.get(f"/images/{quote(image)}/json")
        if reply.status == HTTPStatus.NOT_FOUND:
            return ImageMissing(reply.message)
        user = str((self._client.expect(reply).get("Config") or {}).get("User") or "")
        if wrong := policy.user_refusal(self.host.policy, user, image):
            return ContainerExecutionError(
                wrong,
                failure_class="not_allowed",
                hint="Give the template a user by number, as in 1000, or have root allowed by the policy of "
                f"host {self.host.name}.",
            )
        body["User"] = user
        return None

    def _forbidden(self, sentences: Iterable[str]) -> ContainerExecutionError:
        return ContainerExecutionError(
            " ".join(sentences),
            failure_class="not_allowed",
            hint=f"Change the template, or have the policy of host {self.host.name} changed.",
        )

    def _with_ports(self, seen: Observation) -> Observation:
        """With the ports that the container had while it ran: its engine forgets them when it ends."""
        ports = seen.metadata["ports"]
        if ports and seen.state == "running":
            for oldest in list(self._ports)[: -_MOST_PLACES + 1]:
                self._ports.pop(oldest, None)
            self._ports[seen.container_id] = ports
        kept = self._ports.get(seen.container_id, ports)
        return seen if kept == ports else replace(seen, metadata={**seen.metadata, "ports": kept})

    def _instead_of(self, job: JobView, reply: Reply) -> Observation:
        """What has the container's name after a create that made none, or the reason why nothing has."""
        refusal = refusals.refused_create(reply)
        if refusal:
            raise refusal
        # Docker says 409 for a name that is taken, Podman says 500, and a 5xx may have made it all the same.
        seen = self.observe(job.container_name)
        if seen is None:
            raise refusals.disk_full(reply.message) or self._client.unexpected(reply)
        return seen

    def _join_networks(self, container_id: str, job: JobView) -> None:
        for network in job.networks[1:]:
            path = f"/networks/{quote(network.name, safe='')}/connect"
            reply = self._client.post(path, body=spec.connect_body(container_id, network))
            if reply.status >= HTTPStatus.BAD_REQUEST:
                raise self._without_network(container_id, reply)

    def _without_network(self, container_id: str, reply: Reply) -> EngineError:
        refusal = refusals.refused_connect(reply)
        if refusal is None:
            return self._client.unexpected(reply)
        self.remove(container_id)
        return refusal

    def _place(self, container_id: str) -> tuple[bool, cgroups.Place | None]:
        """Whether it runs, and where its files are: asked once, as they and its pid stay while it does."""
        known = self._places.get(container_id, _UNKNOWN)
        if known is _UNKNOWN:
            inspected = self._inspect(container_id)
            with understood(self.host.name):
                pid = int(inspected["State"].get("Pid") or 0) if inspected else 0
                own_network = bool(inspected) and readings.has_own_network(inspected or {})
            if not pid:
                return False, None
            for oldest in list(self._places)[: -_MOST_PLACES + 1]:
                self._places.pop(oldest, None)
            known = cgroups.find(pid, container_id, own_network=own_network)
            self._places[container_id] = known
        return True, known

    def _inspect(self, ref: str) -> dict[str, Any] | None:
        reply = self._client.get(_path(ref, "/json"))
        if refusals.says_gone(reply.status, reply.message):
            return None
        inspected: dict[str, Any] = self._client.expect(reply)
        return inspected

    def _digest(self, image_id: str, reference: str) -> str:
        """The image's digest; asked once, as an image id never means another image."""
        key = image_id, reference
        if key not in self._digests:
            reply = self._client.get(f"/images/{quote(image_id)}/json")
            found = reply.status < HTTPStatus.BAD_REQUEST
            self._digests[key] = images.digest(self._client.expect(reply), reference) if found else image_id
        return self._digests[key]


def _path(ref: str, what: str = "") -> str:
    return f"/containers/{quote(ref, safe='')}{what}"
