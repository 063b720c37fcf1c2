"""What an engine's words about a pull mean: final, or to be tried again and who is to blame. Pure."""

from __future__ import annotations

import re
from typing import NamedTuple

from hosts.errors import ContainerExecutionError, DockerConnectionError, EngineError

IMAGE_PULL = "image_pull"
REGISTRY_UNREACHABLE = "registry_unreachable"


class _Meaning(NamedTuple):
    pattern: str
    failure_class: str
    hint: str
    trouble: str = ""  # a sentence about what may be over the next time; without one it is final


_NAME = "Check the name and the tag of docker_image."
_DENIED = "image_denied"
# In the order in which the engine's words are looked through.
_MEANINGS = (
    _Meaning(
        r"toomanyrequests|too many requests|rate limit",
        "rate_limited",
        "Wait, log in (accounts have higher limits), or use a mirror of the registry.",
        "The registry's rate limit is reached",
    ),
    _Meaning(
        r"no space left on device|disk quota exceeded",
        "disk_full",
        "Make room on the host, with `docker system prune` say, or use another host.",
        "The engine's disk is full",
    ),
    _Meaning(
        r"no matching manifest", "image_platform", "The registry has no build of this image for this host."
    ),
    _Meaning(r"manifest unknown|name unknown|not found: manifest", "image_not_found", _NAME),
    _Meaning(r"pull access denied", _DENIED, _NAME),
    _Meaning(r"unauthorized|no basic auth credentials|incorrect username|(^|: )denied\b", _DENIED, ""),
    _Meaning(r"invalid reference format|repository name must", "image_invalid", "Correct docker_image."),
    _Meaning(
        r"no such host|dial tcp|connection refused|connection reset|i/o timeout|tls handshake|network is un"
        r"|client\.timeout|deadline exceeded|server misbehaving|x509|http response to https|: eof"
        r"|status(?: code)?:? 5\d\d|bad gateway|service unavailable",
        REGISTRY_UNREACHABLE,
        "Check the registry's name in docker_image, and whether the host reaches it.",
        "The registry cannot be reached from the host",
    ),
    _Meaning(r": not found", "image_not_found", _NAME),
)


def refusal(image: str, words: str, *, login_hint: str = "") -> EngineError:
    """The error for what the engine says about a pull; `login_hint` is for a registry that lets nobody in."""
    said = words.lower()
    meaning = next((each for each in _MEANINGS if re.search(each.pattern, said)), None)
    if meaning is None:
        return DockerConnectionError(f"The image {image} was not pulled: {words}", failure_class=IMAGE_PULL)
    failure_class, hint = meaning.failure_class, meaning.hint
    if meaning.trouble:
        message = f"{meaning.trouble}; the image {image} was not pulled: {words}"
        return DockerConnectionError(message, failure_class=failure_class, hint=hint)
    if failure_class == _DENIED:
        hint = f"{hint} {login_hint}".strip()
    return ContainerExecutionError(
        f"The image {image} cannot be pulled: {words}", failure_class=failure_class, hint=hint
    )


def given_up(image: str) -> DockerConnectionError:
    """The error for a pull that nobody wants any more."""
    return DockerConnectionError(f"The pull of {image} was given up.", failure_class=IMAGE_PULL)


def no_answer(image: str, seconds: float) -> DockerConnectionError:
    """The error for a registry that lets the engine wait."""
    return DockerConnectionError(
        f"The registry of {image} did not answer the engine within {seconds:g} s, so the pull was given up.",
        failure_class=REGISTRY_UNREACHABLE,
        hint="Check whether the host reaches the registry, or raise pull_connect_timeout of the host.",
    )


def silent(image: str, seconds: float) -> DockerConnectionError:
    """The error for a pull that does not get on."""
    return DockerConnectionError(
        f"The pull of {image} did not get on for {seconds:g} s and was given up.",
        failure_class=IMAGE_PULL,
        hint="Check whether the host reaches the registry, or raise pull_idle_timeout of the host.",
    )


def too_long(image: str, seconds: float) -> DockerConnectionError:
    """The error for a pull that gets on, but would not come to its end."""
    return DockerConnectionError(
        f"The pull of {image} took longer than {seconds:g} s and was given up.",
        failure_class=IMAGE_PULL,
        hint="Raise pull_total_timeout of the host, or bring the image to it by hand.",
    )
