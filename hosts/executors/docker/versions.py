"""Which version of its API an engine is spoken to in. Pure."""

from __future__ import annotations

import re

from hosts.errors import DockerConnectionError

# Docker 20.10, and Podman since 3; before it there are no one-shot readings.
OLDEST = "1.41"
# Docker 25. Nothing newer is needed, and Docker 29 and all before it still speak it.
NEWEST = "1.44"
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})")


def agreed(name: str, newest: str, oldest: str) -> str:
    """The newest version that both sides know, from what the engine `name` says of itself.

    An engine that has forgotten ours is spoken to in the oldest that it knows: what we use of the API seldom
    changes. DockerConnectionError for one that is too old, or says nothing of the kind.
    """
    theirs = _parsed(name, newest)
    if theirs < _parsed(name, OLDEST):
        raise DockerConnectionError(
            f"{name}: the engine's API is {newest}, and the oldest that we speak is {OLDEST}; upgrade "
            "the engine to Docker 20.10 or Podman 3 at least."
        )
    best = min(theirs, _parsed(name, NEWEST))
    return "{}.{}".format(*max(best, _parsed(name, oldest)) if oldest else best)


def _parsed(name: str, text: str) -> tuple[int, int]:
    found = _VERSION.fullmatch(text)
    if not found:
        raise DockerConnectionError(f"{name}: the engine says that its API version is {text!r:.40}.")
    return int(found[1]), int(found[2])
