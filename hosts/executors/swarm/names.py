"""What things of a job are called in a swarm, where no name is longer than 63 characters. Pure."""

from __future__ import annotations

import hashlib
import re
from uuid import UUID

LONGEST_NAME = 63
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_TWO_IDS = re.compile(rf"(.*-)?({_UUID})-({_UUID})")
_INSTALLATION_DIGITS = 20


def service_name(container_name: str) -> str:
    """The service's name for a container's, always the same one.

    `tallyman-<installation>-<job>` keeps the whole job and 80 bits of the installation.
    """
    if len(container_name) <= LONGEST_NAME:
        return container_name
    found = _TWO_IDS.fullmatch(container_name)
    if found:
        installation, job = UUID(found[2]).hex, UUID(found[3]).hex
        return f"tallyman-{installation[:_INSTALLATION_DIGITS]}-{job}"
    return f"tallyman-{hashlib.sha256(container_name.encode()).hexdigest()[:40]}"


def secret_name(job_id: UUID, attempt: int, number: int) -> str:
    """The name of a job's secret; its variable may have a name that a secret cannot have."""
    return f"tallyman-{job_id.hex}-{attempt}-{number}"
