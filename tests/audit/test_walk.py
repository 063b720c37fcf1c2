"""Everything that writes at somebody's word leaves a row: all operations, all commands, all pages.

What is new and stands in no recipe fails here, too.
"""

from __future__ import annotations

import argparse
import inspect
import io
from types import FunctionType

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.core.management import get_commands, load_command_class
from django.test import Client
from django.urls import reverse

from admin_ui import acts as job_acts
from admin_ui.admin.audited import Audited
from admin_ui.admin.bases import ReadOnly
from admin_ui.cli import runs, supervisors
from admin_ui.models import SavedView
from admin_ui.pages import supervisor_acts, template_acts, urls
from admin_ui.pages.hosts import acts as host_acts
from admin_ui.second_factor import devices
from audit.models import AuditEvent
from hosts.errors import DockerConnectionError
from hosts.executors.docker import DockerExecutor
from jobs import shelf
from tests.admin_ui.commands import manage
from tests.admin_ui.test_second_factor import code_of
from tests.audit import recipes
from tests.audit.rows import newest, since
from tests.support import own_executors
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db
OURS = ("admin_ui", "audit", "hosts", "jobs", "supervisor", "healthcheck")


@pytest.fixture(autouse=True)
def _surroundings(settings, monkeypatch):
    settings.TALLYMAN_EXECUTORS = {"mine": f"{own_executors.__name__}.MyCustomExecutor"}

    def refuse(_self):
        raise DockerConnectionError("nothing there")

    monkeypatch.setattr(DockerExecutor, "check", refuse)
    monkeypatch.setattr(supervisors, "_ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(supervisors, "is_supervised", lambda: True)
    monkeypatch.setattr(supervisor_acts, "is_supervised", lambda: True)


ORPHAN = {"id": "c1", "name": "c", "state": "exited", "since": "2026-05-01T12:00:00+00:00"}


def operations() -> dict[str, FunctionType]:
    found = {}
    for module in recipes.MODULES:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if not name.startswith("_") and function.__module__ == module.__name__:
                found[f"{module.__name__}.{name}"] = function
    return found


def test_every_operation_is_known_here():
    assert set(operations()) == recipes.OPERATIONS.keys() | recipes.READING_OPERATIONS


@pytest.mark.parametrize("name", recipes.OPERATIONS)
def test_every_operation_leaves_a_row(name):
    act = recipes.OPERATIONS[name]()
    before = newest()
    act()
    rows = since(before)
    assert [row.outcome for row in rows] == ["done"] * len(rows)
    assert rows, f"{name} left no audit row"
    assert all(row.object_kind for row in rows)


def commands() -> set[str]:
    """Our commands, each subcommand by itself."""
    found = set()
    for name, app in get_commands().items():
        if app not in OURS:
            continue
        parser = load_command_class(app, name).create_parser("manage.py", name)
        parents = [one for one in parser._actions if isinstance(one, argparse._SubParsersAction)]
        found |= {f"{name} {word}" for one in parents for word in one.choices} if parents else {name}
    return found


def test_every_command_is_known_here():
    assert commands() == recipes.COMMANDS.keys() | recipes.READING_COMMANDS


@pytest.mark.parametrize("name", recipes.COMMANDS)
def test_every_command_leaves_a_row_that_says_who_ran_it(name, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("from stdin\n"))
    monkeypatch.setattr(runs, "_run_to_end", lambda *_arguments: 0)
    arguments = recipes.COMMANDS[name]()
    before = newest()
    result = manage(name.partition(" ")[0], *arguments)
    rows = since(before)
    assert rows, f"{name} left no audit row: {result}"
    assert {row.door for row in rows} == {"command"}
    assert all(row.actor and row.machine for row in rows)


def pages() -> set[str]:
    return {str(one.name) for one in urls.patterns()}


def acts_of_pages() -> list[tuple[str, str]]:
    """Each page that writes, once for each verb that it knows."""
    return [
        *(("job_act", verb) for verb in job_acts.VERBS),
        *(("host_act", verb) for verb in host_acts.ACTS),
        *(("supervisor_act", verb) for verb in (*supervisor_acts.ACTS, "pause-all", "resume-all")),
        *(("template_act", verb) for verb in template_acts._NEEDS),
        *((name, "") for name in ("host_new", "host_edit", "host_weight", "host_orphans", "job_new")),
        ("two_factor", ""),
        *((name, "") for name in ("jobs_view_new", "jobs_view", "jobs_view_delete")),
    ]


def test_every_page_is_known_here():
    reading = {
        name for name in pages() if name in recipes.READING_PAGES or name.startswith(recipes.READING_PREFIXES)
    }
    assert pages() == reading | {name for name, _ in acts_of_pages()}


@pytest.mark.parametrize(("name", "verb"), acts_of_pages())
def test_every_page_that_writes_leaves_a_row_that_says_who(
    name, verb, admin_client: Client, admin_user: User
):
    address, sent = POSTS[name](verb, admin_user)
    before = newest()
    response = admin_client.post(address, sent)
    assert response.status_code < 400
    rows = since(before)
    assert rows, f"{name} {verb} left no audit row: {getattr(response, 'context', None)}"
    assert {(row.door, row.actor, row.address) for row in rows} == {("admin", "admin", "127.0.0.1")}
    assert {row.outcome for row in rows} == {"done"}


def _job(verb: str, _user: User) -> tuple[str, dict[str, object]]:
    job = recipes.ended() if verb in ("retry", "delete") else make_job()
    return reverse("admin:job_act", args=[verb]), {"ids": str(job.pk)}


def _host(verb: str, _user: User) -> tuple[str, dict[str, object]]:
    sent = {"then": "wait"} if verb == "drain" else {}
    return f"{reverse('admin:host_act', args=[verb])}?id={make_host().pk}", sent


def _template(verb: str, _user: User) -> tuple[str, dict[str, object]]:
    template = make_template()
    if verb == "unarchive":
        shelf.archive(template.pk)
    return reverse("admin:template_act", args=[template.pk, verb]), {}


def _new_job(_verb: str, _user: User) -> tuple[str, dict[str, object]]:
    rows = {"env-TOTAL_FORMS": 0, "env-INITIAL_FORMS": 0}
    return reverse("admin:job_new"), {"template": str(make_template().pk), "priority": 0, **rows}


def _second_factor(_verb: str, user: User) -> tuple[str, dict[str, object]]:
    devices.app_to_set_up(user)
    return reverse("admin:two_factor"), {"code": code_of(user)}


def _settings(**more: object) -> dict[str, object]:
    sent = {"name": "new", "weight": 7, "max_concurrent_jobs": 10, "labels": "{}", "setting-init": "on"}
    return {**sent, "setting-base_url": "unix:///run/x.sock", **more}


def _view(page: str, user: User, **sent: object) -> tuple[str, dict[str, object]]:
    view = SavedView.objects.create(owner=user, name="mine")
    return reverse(f"admin:{page}", args=[view.pk]), sent


POSTS = {
    "job_act": _job,
    "host_act": _host,
    "supervisor_act": lambda verb, _user: (
        f"{reverse('admin:supervisor_act', args=[verb])}?host={make_host().pk}",
        {},
    ),
    "template_act": _template,
    "job_new": _new_job,
    "host_new": lambda _verb, _user: (f"{reverse('admin:host_new')}?kind=docker", _settings()),
    "host_edit": lambda _verb, _user: (reverse("admin:host_edit", args=[make_host("new").pk]), _settings()),
    "two_factor": _second_factor,
    "host_orphans": lambda _verb, _user: (
        reverse("admin:host_orphans", args=[make_host(orphans=[ORPHAN]).pk]),
        {"containers": ORPHAN["id"]},
    ),
    "host_weight": lambda _verb, _user: (
        reverse("admin:host_weight", args=[make_host().pk]),
        {"weight": 7},
    ),
    "jobs_view_new": lambda _verb, _user: (reverse("admin:jobs_view_new"), {"name": "mine"}),
    "jobs_view": lambda _verb, user: _view("jobs_view", user, name="other"),
    "jobs_view_delete": lambda _verb, user: _view("jobs_view_delete", user),
}


def test_every_table_in_the_admin_is_read_only_or_leaves_rows():
    for model, one in admin.site._registry.items():
        if model in (User, Group):  # heard of by signals, whoever writes them
            continue
        assert isinstance(one, ReadOnly | Audited), f"{model._meta.label} is not audited"


def test_the_models_of_the_audit_are_its_own():
    assert {one.__name__ for one in apps.get_app_config("audit").get_models()} == {
        "AuditEvent",
        "AuditHead",
        "AuditCheckpoint",
    }
    assert not AuditEvent._meta.related_objects
