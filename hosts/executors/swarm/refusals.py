"""What a swarm's refusals mean: of a service, and of a task that never started. Pure."""

from __future__ import annotations

from http import HTTPStatus

from hosts.errors import ContainerExecutionError, EngineError, LaunchFailed
from hosts.executors.contract import Observation
from hosts.executors.docker import refusals as engine
from hosts.executors.docker.client import Reply
from hosts.executors.swarm.tasks import Task

NO_MANAGER = (
    "it is not a manager of a swarm. Run `docker swarm init` there, or give the address of a manager "
    "(`docker node ls` on one of its nodes tells them)."
)
_PREFIX = "starting container failed: "
_OCI = "oci runtime"
_OUT_OF_SEQUENCE = "update out of sequence"
_DESC = "desc = "


def says_gone(reply: Reply) -> bool:
    """Whether a manager says that there is no such service; what a proxy says proves nothing."""
    return reply.status == HTTPStatus.NOT_FOUND and "service" in reply.message.lower()


def is_out_of_sequence(reply: Reply) -> bool:
    """Whether an update was refused because the service was changed since it was looked at."""
    return _OUT_OF_SEQUENCE in reply.message


def refused_create(reply: Reply) -> EngineError | None:
    """The error for an answer that made no service for good; None where nothing is proved."""
    words = reply.message.rpartition(_DESC)[2]
    lower = words.lower()
    if "network" in lower and "not found" in lower:
        return engine.network_missing(words)
    if "cannot be used with services" in lower or "attachable" in lower:
        return _final(words, "Of the networks of a host, services can join overlay networks only.")
    if "invalidargument" in reply.message.lower() or (reply.status == HTTPStatus.BAD_REQUEST and words):
        return _final(words, "Correct the template of the job, or the settings of the host.")
    return None


def refused_task(task: Task, seen_on_node: Observation | None) -> ContainerExecutionError | None:
    """The error for a task that is proved to have started nothing; None where it is not."""
    words = task.error.removeprefix(_PREFIX)
    if task.state == "rejected":
        return _image_missing(words) or _refused(words, None)
    never_ran = seen_on_node is not None and seen_on_node.state == "created" and not seen_on_node.started_at
    if task.state == "failed" and not task.has_started and (never_ran or _OCI in words.lower()):
        return _refused(words, task.exit_code)
    return None


def _refused(words: str, exit_code: int | None) -> ContainerExecutionError | None:
    unstarted = Observation(container_id="", name="", state="created", labels={}, error=words or "rejected")
    return engine.refused_start(
        Reply(HTTPStatus.BAD_REQUEST, None, words or "rejected"), unstarted, exit_code
    )


def _image_missing(words: str) -> LaunchFailed | None:
    if "no such image" not in words.lower():
        return None
    return LaunchFailed(
        f"Its node could not get the image: {words}",
        failure_class="image_missing",
        hint="Check docker_image, and that every node of the swarm can pull it: a swarm does not tell why "
        "one could not. For a registry with a password: manage_docker_host registry-login.",
    )


def too_large(what: str, wanted: str, largest: str) -> ContainerExecutionError:
    """The error for a job that no node of the swarm could ever take."""
    return ContainerExecutionError(
        f"It wants {wanted} of {what}, and no node of the swarm has more than {largest}.",
        failure_class="create_refused",
        hint="Lower the limit in the template, or send it to another host.",
    )


def _final(words: str, hint: str) -> ContainerExecutionError:
    return ContainerExecutionError(words, failure_class="create_refused", hint=hint)


def user_unknown(image: str, host: str) -> ContainerExecutionError:
    """The error for a job that may run as root, on a host that does not allow it."""
    return ContainerExecutionError(
        f"A swarm does not tell whom the image {image} runs as; root is not allowed.",
        failure_class="not_allowed",
        hint="Give the template a user by number, as in 1000, or have root allowed by the policy of "
        f"host {host}.",
    )
