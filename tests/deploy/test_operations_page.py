"""docs/operations.md leaves nothing out that an operator may meet."""

from __future__ import annotations

import re

import pytest
from django.apps import apps
from django.urls import resolve

from healthcheck import probing
from hosts.models import HostState
from jobs.backlog import READY, Wait
from jobs.blockers import Lack
from jobs.models.job import Hold
from jobs.obstacles import Obstacle
from jobs.states import Outcome, StopReason
from tests.deploy import files
from tests.deploy.failure_classes import failure_classes

_PAGE = (files.ROOT / "docs" / "operations.md").read_text()
_WORDS = set(re.findall(r"`(\w+)`", _PAGE))


def _checks() -> set[str]:
    view = resolve("/health/").func
    return {probing.name_of(check()) for check in view.view_initkwargs["checks"]}


def _tables() -> set[str]:
    return {
        model._meta.db_table
        for label in ("audit", "hosts", "jobs", "supervisor")
        for model in apps.get_app_config(label).get_models()
    }


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(_checks, id="health checks"),
        pytest.param(lambda: set(files.alerts()), id="alerts"),
        pytest.param(lambda: {*map(str, Wait), *map(str, Obstacle), *map(str, Lack), READY}, id="reasons"),
        pytest.param(lambda: set(HostState.values), id="states of hosts"),
        pytest.param(lambda: set(Outcome.values), id="outcomes"),
        pytest.param(lambda: set(StopReason.values), id="stop reasons"),
        pytest.param(failure_classes, id="failure classes"),
        pytest.param(_tables, id="tables"),
        pytest.param(
            lambda: {name for name in files.environment_read() if name.startswith("TALLYMAN_KEEP_")},
            id="settings of retention",
        ),
    ],
)
def test_it_names_all_the(words) -> None:
    expected = words()
    assert expected
    assert not expected - _WORDS


def test_the_search_for_failure_classes_finds_them_wherever_they_stand() -> None:
    found = failure_classes()
    # An argument, a place in a call, a constant, a table of patterns, a default, a dictionary.
    examples = {"oom", "network_missing", "kills_worker", "rate_limited", "engine_trouble", "declared_lost"}
    assert examples <= found


def test_it_names_every_way_to_hold_a_job() -> None:
    assert {hold for hold in Hold.values if hold} == {"stopped", "restart"}
    assert {"held", "restart"} <= _WORDS


def test_its_links_lead_somewhere() -> None:
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", _PAGE)]
    assert links
    assert all((files.ROOT / "docs" / link).exists() for link in links)


def test_variables_that_it_names_are_read() -> None:
    named = set(re.findall(r"\bTALLYMAN_[A-Z_]+[A-Z]\b", _PAGE))
    assert named <= files.environment_read()
