"""The tab of what an executor said of a job, and of how to look at it by hand."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest

from admin_ui.pages.job import configuration, equivalents, reading
from hosts.masking import mask
from jobs.models import ContainerJob

_DEEPEST = 8
_MOST_CHILDREN = 200


@dataclass(frozen=True, slots=True)
class Node:
    """A place in the tree: a value as text, or what stands below it."""

    name: str
    value: str = ""
    children: list[Node] = field(default_factory=list)
    is_link: bool = False


def body(request: HttpRequest, job: ContainerJob) -> dict[str, Any]:
    """What `job/_metadata.html` shows."""
    attempt = reading.newest(job)
    said = mask(job.executor_metadata)
    frozen = configuration.of_attempt(attempt) if attempt else None
    may_see_host = request.user.has_perm("hosts.view_dockerhost")
    return {
        "attempt": attempt,
        "tree": tree(said).children,
        "as_json": json.dumps(said, indent=2, ensure_ascii=False) if said else "",
        "manage": equivalents.manage(job),
        "docker": equivalents.docker(attempt, frozen, tell_host=may_see_host) if attempt and frozen else [],
    }


def tree(value: Any, name: str = "", depth: int = 0) -> Node:
    """JSON as nodes; what lies deeper than anybody looks stays JSON."""
    if not isinstance(value, dict | list) or not value:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        return Node(name, text, is_link=text.startswith("https://"))
    if depth == _DEEPEST:
        return Node(name, json.dumps(value, ensure_ascii=False))
    children = [tree(one, key, depth + 1) for key, one in _first(_items(value))]
    return Node(name, children=children)


def _items(value: dict[str, Any] | list[Any]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((str(key), one) for key, one in value.items())
    else:
        yield from ((str(place), one) for place, one in enumerate(value))


def _first(items: Iterator[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    for place, item in enumerate(items):
        if place == _MOST_CHILDREN:
            yield "…", "and more, which the JSON has"
            return
        yield item
