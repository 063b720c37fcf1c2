"""The page of the audit: filters, pages by the rows' numbers, files; for those with the right."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit import actors, search
from audit.actors import Actor
from audit.models import AuditEvent
from audit.words import Door, Outcome
from tests.admin_ui.people import client_of
from tests.audit.rows import leave, tamper
from tests.support.factories import make_host, make_job, make_template

pytestmark = pytest.mark.django_db
VIEW = "audit.view_auditevent"


@pytest.fixture
def viewer() -> Client:
    return client_of(VIEW)


def shown(client: Client, **filters: object) -> list[int]:
    response = client.get(reverse("admin:audit"), filters)
    assert response.status_code == 200
    return [row.event.seq for row in response.context["rows"]]


def download(client: Client, form: str, **filters: object) -> bytes:
    response = client.get(reverse("admin:audit_export", args=[form]), filters)
    assert response.status_code == 200
    return b"".join(response)


@pytest.mark.parametrize(
    ("filters", "fields"),
    [
        ({"verb": "host.cordon"}, {"verb": "host.cordon"}),
        ({"kind": "host"}, {"kind": "host"}),
        ({"object": "berlin"}, {"label": "berlin"}),
        ({"object": "0190-key"}, {"key": "0190-key"}),
        ({"outcome": "refused"}, {"outcome": Outcome.REFUSED}),
        ({"door": "api"}, {"actor": Actor(door=Door.API)}),
        ({"actor": "ci"}, {"actor": Actor(door=Door.API, name="ci")}),
        ({"address": "203.0.113.7"}, {"actor": Actor(door=Door.API, address="203.0.113.7")}),
    ],
)
def test_each_filter_finds_its_rows(viewer, filters, fields):
    leave(2)
    wanted = leave(1, **fields)[0]
    assert shown(viewer, **filters) == [wanted.seq]


def test_rows_of_a_time_and_of_one_act(viewer):
    one, two, three = leave(3)
    for number, row in enumerate((one, two, three)):
        tamper(row.seq, at=row.at - timedelta(days=3 - number))
    middle = AuditEvent.objects.get(seq=two.seq).at
    around = {"since": middle - timedelta(hours=1), "until": middle + timedelta(hours=1)}
    assert shown(viewer, **{name: f"{at:%Y-%m-%dT%H:%M:%S}" for name, at in around.items()}) == [two.seq]
    with actors.acting(actors.system("x")):
        same = leave(2)
    assert shown(viewer, act=str(same[0].act_id)) == [same[1].seq, same[0].seq]


def test_what_cannot_be_understood_is_said_and_lists_nothing(viewer):
    leave(1)
    assert shown(viewer, door="window") == []
    assert shown(viewer, act="x") == []
    assert shown(viewer, address="everywhere") == []
    assert viewer.get(reverse("admin:audit_export", args=["csv"]), {"act": "x"}).status_code == 400


def test_pages_follow_each_other_and_nothing_is_counted(viewer, monkeypatch):
    monkeypatch.setattr("admin_ui.pages.audit.views.PAGE", 3)
    newest = leave(8, kind="page")[-1].seq
    rows = list(range(newest, newest - 8, -1))
    with CaptureQueriesContext(connection) as queries:
        assert shown(viewer, kind="page") == rows[:3]
    assert not any("COUNT(" in query["sql"] for query in queries if "audit_" in query["sql"])
    assert shown(viewer, kind="page", after=rows[2]) == rows[3:6]
    assert shown(viewer, kind="page", after=rows[5]) == rows[6:]
    assert shown(viewer, kind="page", before=rows[6]) == rows[3:6]
    assert shown(viewer, kind="page", before=rows[3]) == rows[:3]
    response = viewer.get(reverse("admin:audit"), {"kind": "page", "after": rows[5]})
    assert (response.context["page"].newer, response.context["page"].older) == (rows[6], None)
    assert shown(viewer, after="x") == shown(viewer)


def test_a_row_is_shown_with_its_change_and_nothing_in_it_is_html(viewer):
    leave(1, label="<script>alert(1)</script>", before={"a": "<b>"}, after={"a": "new"}, reason="<i>why")
    text = viewer.get(reverse("admin:audit")).content.decode()
    assert "<script>alert" not in text
    assert "&lt;b&gt;" in text
    assert "&lt;i&gt;why" in text


def test_both_files_hold_the_filtered_rows_and_no_formula(viewer, monkeypatch):
    monkeypatch.setattr(search, "BATCH", 2)
    leave(2)
    wanted = leave(5, label="=1+1", after={"a": 1}, kind="file")
    table = list(csv.DictReader(io.StringIO(download(viewer, "csv", kind="file").decode(), newline="")))
    assert [int(row["seq"]) for row in table] == [row.seq for row in reversed(wanted)]
    assert table[0]["object_label"] == "'=1+1"
    found = json.loads(download(viewer, "json", kind="file"))
    assert [row["seq"] for row in found] == [row.seq for row in reversed(wanted)]
    assert found[0]["details"] == {"after": {"a": 1}}
    assert found[0]["hash"] == wanted[-1].hash
    assert json.loads(download(viewer, "json", kind="nothing")) == []


def test_it_is_for_those_with_the_right(client):
    for name, arguments in (("admin:audit", ()), ("admin:audit_export", ("csv",))):
        address = reverse(name, args=arguments)
        assert client.get(address).status_code == 302
        other = client_of("hosts.view_dockerhost", name=f"viewer{len(arguments)}")
        assert other.get(address).status_code == 403


def test_the_menu_and_the_pages_of_objects_lead_there_for_those_with_the_right():
    host, template, job = make_host(), make_template(), make_job()
    seen = ("hosts.view_dockerhost", "jobs.view_containertemplate", "jobs.view_containerjob")
    pages = (("admin:host", host), ("admin:template", template), ("admin:job", job))
    may, may_not = client_of(*seen, VIEW, name="may"), client_of(*seen, name="may not")
    for name, one in pages:
        address = reverse(name, args=[one.pk])
        link = f"{reverse('admin:audit')}?object={one.pk}"
        assert link in may.get(address).content.decode()
        assert reverse("admin:audit") not in may_not.get(address).content.decode()
    assert reverse("admin:audit") in may.get(reverse("admin:hosts")).content.decode()


def test_the_verbs_that_there_are_rows_of_are_offered_each_once(viewer):
    for verb in ("b.do", "a.do", "b.do"):
        leave(1, verb=verb)
    offered = viewer.get(reverse("admin:audit")).context["verbs"]
    assert [verb for verb in offered if verb.endswith(".do")] == ["a.do", "b.do"]
    assert offered == sorted(set(offered))


@pytest.mark.sqlite_only
def test_rows_are_found_by_an_index_however_many_there_are():
    """The planner of SQLite knows no figures here: it takes an index because there is one."""
    wanted = (
        {"actor": "ann"},
        {"verb": "host.cordon"},
        {"door": "api"},
        {"outcome": "refused"},
        {"address": "10.0.0.1"},
        {"object": "berlin"},
        {"act_id": uuid4()},
    )
    for given in wanted:
        plan = search.Wanted(**given).rows()[:51].explain()
        assert "INDEX auditevent_" in plan, (given, plan)
