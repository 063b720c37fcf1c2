"""Whether hosts allow what a template or a job asks for, when it is saved; launches ask once more.

Asked of rows as they are now, so a policy that is changed later may still forbid what was saved, and an image
or a volume that only the engine knows may be refused when it is launched (`hosts.policy`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from hosts import policy
from hosts.executors import option_reader
from hosts.executors.container_options import ContainerOptions
from hosts.executors.option_reader import OptionError
from hosts.models import DockerHost

if TYPE_CHECKING:
    from jobs.models import ContainerTemplate

_MOST_NAMED = 3


def refusals(host: DockerHost, template: ContainerTemplate, *, image: str = "") -> list[str]:
    """A sentence for each thing that the host does not allow; an empty image is the template's."""
    try:
        options = option_reader.read({name: getattr(template, name) for name in option_reader.FIELDS})
    except OptionError:  # which is said where it is written
        return []
    networks = () if template._state.adding else _networks(template)
    return _refusals(host, image or template.docker_image, options, networks)


def by_no_host(template: ContainerTemplate, *, image: str = "") -> str:
    """Why none of the hosts in use allows it; empty if one does, or there is none to ask."""
    return _by_none(_hosts(template), lambda host: refusals(host, template, image=image))


def network_by_no_host(template: ContainerTemplate, network: str) -> str:
    """As `by_no_host`, for one network of the template beside its image."""
    image, alone = template.docker_image, ContainerOptions()
    return _by_none(_hosts(template), lambda host: _refusals(host, image, alone, [network]))


def _by_none(hosts: Sequence[DockerHost], ask: Callable[[DockerHost], list[str]]) -> str:
    against: dict[str, str] = {}
    for host in hosts:
        against[host.name] = " ".join(ask(host))
        if not against[host.name]:
            return ""
    few = list(against.items())[:_MOST_NAMED]
    left = len(against) - len(few)
    more = f" {left} more hosts forbid it, too." if left else ""
    return (
        ""
        if not against
        else f"No host allows it. {' '.join(f'{name}: {words}' for name, words in few)}{more}"
    )


def _refusals(host: DockerHost, image: str, options: ContainerOptions, networks: Iterable[str]) -> list[str]:
    socket = policy.socket_of(host.base_url)
    return list(policy.refusals(host.policy, image, options, networks, socket=socket))


def _networks(template: ContainerTemplate) -> list[str]:
    return [one.network_name for one in template.network_assignments.all()]


def _hosts(template: ContainerTemplate) -> list[DockerHost]:
    wanted = {"executor_type": template.required_executor} if template.required_executor else {}
    hosts = DockerHost.objects.active().filter(**wanted).order_by("name")
    return list(hosts.only("name", "policy", "connection_string", "executor_config"))
