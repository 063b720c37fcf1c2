"""The settings of a swarm's host: those of an engine, and a few of its own. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hosts.executors.config_fields import ConfigField
from hosts.executors.docker import config_fields, endpoint

_OWN = {"constraints", "reserve"}
FIELDS = (
    *config_fields.ENGINE,
    ConfigField(
        name="constraints",
        label="Placement constraints",
        kind="list",
        help="One a line, as in node.labels.disk==ssd; a job's node must meet each.",
    ),
    ConfigField(
        name="reserve",
        label="Reserve what limits say",
        kind="flag",
        default=True,
        help="A node is given no more jobs than its memory and CPUs are enough for.",
    ),
)
_OPERATORS = ("==", "!=")


def problems(base_url: str, config: Mapping[str, Any]) -> list[str]:
    """A sentence for each thing that is wrong; empty when nothing is."""
    return [*endpoint.problems(base_url, _of_the_engine(config)), *_own_problems(config)]


def _of_the_engine(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in _OWN}


def _own_problems(config: Mapping[str, Any]) -> Iterator[str]:
    if not isinstance(config.get("reserve", True), bool):
        yield "reserve must be true or false."
    constraints = config.get("constraints") or []
    if not isinstance(constraints, list) or not all(isinstance(one, str) for one in constraints):
        yield 'constraints must be a list of texts, as in ["node.labels.disk==ssd"].'
        return
    for one in constraints:
        if not any(operator in one for operator in _OPERATORS):
            yield f"constraints: {one!r} must compare by == or !=, as in node.labels.disk==ssd."
