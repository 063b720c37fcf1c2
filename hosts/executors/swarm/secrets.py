"""Secrets of jobs, kept by the swarm as long as their service is there.

A swarm never gives a secret's value out again, encrypts it at rest, and hands it to the nodes that run a
task which names it, in memory.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID

from hosts.errors import ContainerExecutionError
from hosts.executors.contract import LABEL_PREFIX, HostView, JobView, labels_for
from hosts.executors.docker.client import Client
from hosts.executors.docker.readings import moment
from hosts.executors.swarm import spec
from hosts.executors.swarm.names import secret_name

# A secret is made a moment before its service; one that is still alone after this has been left behind.
_LEFT_BEHIND_AFTER = timedelta(minutes=10)


def make(client: Client, host: HostView, job: JobView) -> list[dict[str, Any]]:
    """Keep the job's secrets; references to them, for its service.

    DockerConnectionError leaves some of them behind, which the next call replaces.
    """
    references = []
    for number, (variable, value) in enumerate(spec.secrets_of(job).items(), start=1):
        name = secret_name(job.id, job.attempt, number)
        body = {
            "Name": name,
            "Labels": labels_for(host, job),
            "Data": base64.b64encode(value.encode()).decode(),
        }
        references.append(spec.secret_reference(_make_one(client, host, body), name, variable))
    return references


def _make_one(client: Client, host: HostView, body: Mapping[str, Any]) -> str:
    reply = client.post("/secrets/create", body=body)
    if reply.status == HTTPStatus.CONFLICT:
        # Left behind by a launch that came no further; a swarm changes no secret's value.
        _remove_named(client, host, str(body["Name"]))
        reply = client.post("/secrets/create", body=body)
    if reply.status == HTTPStatus.BAD_REQUEST and reply.message:
        raise ContainerExecutionError(
            f"The swarm does not take a secret: {reply.message}",
            failure_class="create_refused",
            hint="A swarm's secret has 500 KB at most.",
        )
    return str(client.expect(reply)["ID"])


def _remove_named(client: Client, host: HostView, name: str) -> None:
    for secret in _listed(client, {"name": [name]}):
        if secret["Spec"]["Name"] != name:  # the filter takes names that begin so, too
            continue
        labels = secret["Spec"].get("Labels") or {}
        if labels.get(f"{LABEL_PREFIX}installation") != str(host.installation):
            raise ContainerExecutionError(
                f"A secret that is not ours has the name {name} in this swarm.",
                failure_class="name_conflict",
                hint="Find out whose it is, and remove it.",
            )
        client.delete(f"/secrets/{secret['ID']}")


def remove(client: Client, labels: Mapping[str, str]) -> None:
    """Forget the secrets of the attempt whose service, which had these labels, is deleted."""
    keys = [f"{LABEL_PREFIX}{key}" for key in ("installation", "job", "attempt")]
    if not all(labels.get(key) for key in keys):
        return
    for secret in _listed(client, {"label": [f"{key}={labels[key]}" for key in keys]}):
        # One that the swarm will not delete now is found by `sweep`.
        client.delete(f"/secrets/{secret['ID']}")


def sweep(client: Client, installation: UUID, host_id: UUID, jobs_with_service: Iterable[str]) -> None:
    """Forget secrets that a crash has left behind: of this host's jobs, without a service for long."""
    ours = [f"{LABEL_PREFIX}installation={installation}", f"{LABEL_PREFIX}host={host_id}"]
    kept, latest = set(jobs_with_service), datetime.now(UTC) - _LEFT_BEHIND_AFTER
    for secret in _listed(client, {"label": ours}):
        made_at = moment(secret.get("CreatedAt"))
        job = (secret["Spec"].get("Labels") or {}).get(f"{LABEL_PREFIX}job")
        if job not in kept and made_at and made_at < latest:
            client.delete(f"/secrets/{secret['ID']}")


def _listed(client: Client, filters: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.expect(
        client.get("/secrets", params={"filters": json.dumps(filters)})
    )
    return found
