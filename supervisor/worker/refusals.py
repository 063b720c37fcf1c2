"""Why a worker itself refuses to start a run, for people. Pure."""

from __future__ import annotations

from hosts.errors import ContainerExecutionError
from hosts.executors.contract import Observation
from jobs.models import Attempt
from supervisor.worker.run import Run

LONGEST_ID = Attempt._meta.get_field("container_id").max_length or 0


def never_pulled(run: Run) -> ContainerExecutionError:
    """Its image is not there, and may not be fetched."""
    return ContainerExecutionError(
        f"The image {run.spec['docker_image']} is not on the engine, and its pull policy is never.",
        failure_class="image_missing",
        hint="Bring the image to the host, or set pull_policy of the template to if-not-present.",
    )


def id_too_long(seen: Observation) -> ContainerExecutionError:
    """Its container cannot be told from others for sure."""
    return ContainerExecutionError(
        f"The engine gave the container {seen.name} an id of {len(seen.container_id)} characters; "
        f"{LONGEST_ID} can be stored, and a shortened id could be another container's.",
        failure_class="create_refused",
        hint="It was not started. Look at what answers at the host's address: Docker's ids have 64.",
    )


def name_conflict(seen: Observation) -> ContainerExecutionError:
    """Somebody else's container has its name."""
    return ContainerExecutionError(
        f"A container that this job knows nothing of has the name {seen.name} on this engine.",
        failure_class="name_conflict",
        hint="Find out whose it is (or whether the database was restored), and remove or rename it.",
    )
