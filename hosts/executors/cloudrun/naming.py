"""What a container is called on Cloud Run, which knows shorter names than Docker. Pure.

A container is a Job and its one Execution. The Job's name follows from the container's name alone: there
can be one such Job only, which makes Cloud Run the mutex. The Execution's name, which is our container id,
follows from the Job's uid: one that is deleted and made anew has another, so no late start or log is taken
for its.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from uuid import UUID

from hosts.executors.contract import LABEL_PREFIX

LONGEST_JOB_NAME = 49
_UUID_CHARS = 36
_TOKEN_HEX = 11
_PREFIX = "tallyman-"
# No uid begins with an x, so no name of a container is mistaken for an id.
_ID = re.compile(rf"(?P<job>[a-z][a-z0-9-]{{0,{LONGEST_JOB_NAME - 1}}})-(?P<token>x[0-9a-f]{{{_TOKEN_HEX}}})")
# Google's labels know no dots.
_LABEL_PREFIX = "tallyman-"
NAME_ANNOTATION, NONCE_ANNOTATION = "tallyman-container-name", "tallyman-nonce"


def job_name(container_name: str) -> str:
    """The name of the Job for a container: lower case letters, digits and dashes, 49 at most."""
    digest = hashlib.sha256(container_name.encode()).hexdigest()
    try:
        uid = UUID(container_name[-_UUID_CHARS:]).hex
    except ValueError:
        return _PREFIX + digest[: LONGEST_JOB_NAME - len(_PREFIX)]
    return f"{_PREFIX}{uid}-{digest}"[:LONGEST_JOB_NAME]


def token(uid: str) -> str:
    """The start token of the Job with this uid. With the longest name it has less than 63 characters."""
    return "x" + uid.replace("-", "")[:_TOKEN_HEX]


def container_id(name: str, uid: str) -> str:
    """The id of the container that a Job is: the name that its Execution has, or will have."""
    return f"{name}-{token(uid)}"


def split_id(ref: str) -> tuple[str, str] | None:
    """The Job's name and the start token in an id; None if this is no id, but the name of a container."""
    found = _ID.fullmatch(ref)
    return (found["job"], found["token"]) if found else None


def last_part(resource: str) -> str:
    """The name at the end of a full one: projects/p/locations/r/jobs/NAME."""
    return resource.rpartition("/")[2]


def labels_there(labels: Mapping[str, str]) -> dict[str, str]:
    """Our labels as Google takes them."""
    return {key.replace(LABEL_PREFIX, _LABEL_PREFIX, 1): value for key, value in labels.items()}


def labels_here(labels: Mapping[str, str]) -> dict[str, str]:
    """What `labels_there` made, and whatever else a Job carries, as they are called here."""
    return {key.replace(_LABEL_PREFIX, LABEL_PREFIX, 1): value for key, value in labels.items()}
