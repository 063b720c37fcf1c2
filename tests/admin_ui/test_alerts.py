"""What every page says is wrong: each with what to do about it, and where."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db.models.functions import Now
from django.urls import reverse

from admin_ui.pages import alerts
from hosts import pausing
from hosts.models import DockerHost, HostLease
from supervisor.models import SupervisorProcess
from tests.admin_ui.commands import make_supervisor
from tests.admin_ui.people import somebody
from tests.jobs.attempts import take
from tests.support.factories import make_host

pytestmark = pytest.mark.django_db

LONG_AGO = timedelta(minutes=5)


def told(user) -> list[tuple[str, str, str]]:
    return [(one.sentence, one.remedy, one.url) for one in alerts.current(user)]


def page(host: DockerHost) -> str:
    return reverse("admin:host", args=[host.pk])


def test_nothing_is_said_when_all_is_well(admin_user):
    make_supervisor()
    take(make_host("a", state="online"))
    make_host("off", state="unreachable", is_active=False)
    assert told(admin_user) == []


PAGES = (
    *("index", "jobs", "job_new", "hosts", "host_new", "templates", "supervisor", "tables"),
    *("jobs_containertemplate_changelist", "hosts_dockerhost_add"),
)


@pytest.mark.parametrize("name", PAGES)
def test_every_page_comes_with_what_is_wrong_on_it_and_need_not_ask_for_it(admin_client, name):
    content = admin_client.get(reverse(f"admin:{name}")).content.decode()
    assert "No supervisor is running" in content.partition('<div id="alerts"')[2].partition("</div>")[0]


def test_the_login_tells_strangers_nothing(client):
    assert "supervisor" not in client.get(reverse("admin:login")).content.decode()


def test_a_missing_supervisor_is_said_once_and_not_again_for_each_host(admin_user):
    make_host("a", state="online")
    DockerHost.objects.update(created_at=Now() - LONG_AGO)
    [(sentence, remedy, url)] = told(admin_user)
    assert sentence.startswith("No supervisor is running")
    assert (remedy, url) == ("Start one with: manage.py supervise", reverse("admin:supervisor"))


def test_a_host_that_is_down_is_named_with_the_reason_and_a_remedy(admin_user):
    make_supervisor()
    a = make_host("a", state="unreachable", state_reason="a: it refused the connection.")
    b = make_host("b", state="parked", state_reason="it is another engine")
    for host in (a, b):
        take(host)
    assert told(admin_user) == [
        (
            "Host a is unreachable: it refused the connection.",
            "Start its engine, or mend the way to it.",
            page(a),
        ),
        (
            "Host b is parked: it is another engine.",
            "Correct its settings; its worker starts again by itself.",
            page(b),
        ),
    ]


def test_a_host_without_a_worker_is_told_once_it_lasts(admin_user):
    make_supervisor()
    host = make_host("a", state="online")
    take(host)
    HostLease.objects.update(expires_at=Now() - timedelta(seconds=5))
    assert told(admin_user) == [], "a worker may be on its way"
    HostLease.objects.update(expires_at=Now() - LONG_AGO)
    assert told(admin_user) == [], "the host is new"
    DockerHost.objects.update(created_at=Now() - LONG_AGO)
    assert [(sentence, url) for sentence, _, url in told(admin_user)] == [
        ("No worker holds host a.", page(host))
    ]


def test_a_pause_says_who_wanted_it_and_how_it_ends(admin_user):
    make_supervisor()
    pausing.pause_all(by="night shift")
    [(sentence, remedy, url)] = told(admin_user)
    assert "by night shift" in sentence
    assert "resume --all" in remedy
    assert url == reverse("admin:supervisor")


def test_a_worker_that_crashes_again_and_again_is_named_with_its_cause(admin_user):
    process = make_supervisor()
    SupervisorProcess.objects.filter(pk=process.pk).update(is_crash_looping=True, last_exit="exit code 1.")
    [(sentence, remedy, _url)] = told(admin_user)
    assert sentence.endswith("crashes again and again: exit code 1.")
    assert remedy


def test_who_may_not_see_a_thing_is_told_nothing_of_it(django_assert_max_num_queries):
    make_host("a", state="unreachable")
    pausing.pause_all(by="x")
    [(sentence, _, url)] = told(somebody())
    assert sentence.startswith("No supervisor is running")
    assert url == ""
    everything = somebody(
        *("supervisor.view_supervisorprocess", "hosts.view_dockerhost", "jobs.view_containerjob"), name="all"
    )
    everything.get_all_permissions()
    with django_assert_max_num_queries(4):
        assert len(told(everything)) == 3
