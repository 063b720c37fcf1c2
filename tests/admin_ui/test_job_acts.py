"""Acts on one job or many: asked first, carried out once, refusals named."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import Permission, User
from django.contrib.messages import get_messages
from django.db import OperationalError
from django.urls import reverse

from admin_ui import acts
from admin_ui.pages.jobs import acting
from jobs import operations
from jobs.models import ContainerJob, JobEvent
from jobs.states import AttemptState, JobStatus
from tests.jobs.attempts import make_attempt
from tests.support.factories import make_job, make_template

pytestmark = pytest.mark.django_db

HTMX = {"hx-request": "true"}


def address(verb: str, *jobs: ContainerJob, **filters: str) -> str:
    query = [*(f"id={job.pk}" for job in jobs), *(f"{name}={value}" for name, value in filters.items())]
    return f"{reverse('admin:job_act', args=[verb])}?{'&'.join(query)}"


def ask(client, verb: str, *jobs: ContainerJob, **filters: str) -> str:
    """What the dialog says."""
    response = client.get(address(verb, *jobs, **filters))
    assert response.status_code == 200
    return response.content.decode()


def confirm(client, verb: str, *jobs: ContainerJob, **filters: str) -> str:
    """Ask and then do it; the message that it leaves."""
    url = address(verb, *jobs, **filters)
    ids = re.search(r'name="ids" value="([^"]*)"', client.get(url).content.decode())
    assert ids
    response = client.post(url, {"ids": ids[1]})
    assert response.status_code == 302
    return str(list(get_messages(response.wsgi_request))[-1])


def statuses() -> list[str]:
    return list(ContainerJob.objects.order_by("name").values_list("status", flat=True))


def test_the_dialog_says_how_many_and_what_and_does_nothing_yet(admin_client):
    pending = make_job(name="one")
    running = make_attempt(AttemptState.RUNNING, job=make_job(make_template("nightly"), name="two")).job
    content = ask(admin_client, "cancel", pending, running)
    for words in ("Cancel 2 jobs?", "1 pending, 1 running", "one (t, pending)", "two (nightly, running)"):
        assert words in content
    assert JobEvent.objects.count() == 0
    assert statuses() == ["pending", "running"]


def test_cancel_counts_and_names_the_refused(admin_client):
    pending, done = make_job(), make_job(status=JobStatus.COMPLETED)
    running = make_attempt(AttemptState.RUNNING, job=make_job()).job
    message = confirm(admin_client, "cancel", pending, done, running)
    assert message.startswith("2 jobs being cancelled. 1 refused:")
    assert str(done.pk) in message
    assert ContainerJob.objects.get(pk=pending.pk).status == JobStatus.CANCELLED
    assert ContainerJob.objects.get(pk=running.pk).cancel_requested_at
    assert ContainerJob.objects.get(pk=running.pk).cancelled_by == "admin"


@pytest.mark.parametrize("verb", ["cancel", "stop"])
def test_what_runs_may_be_ended_without_grace(admin_client, verb):
    running = make_attempt(AttemptState.RUNNING).job
    assert "Without grace" in ask(admin_client, verb, running)
    admin_client.post(address(verb, running), {"ids": str(running.pk), "force": "on"})
    assert ContainerJob.objects.get().cancel_force


def test_what_runs_is_stopped_and_what_waits_is_held_or_cancelled_by_these_names(admin_client):
    pending, running = make_job(name="a"), make_attempt(AttemptState.RUNNING, job=make_job(name="b")).job
    for verb, job, title in (
        ("stop", running, "Stop 1 job?"),
        ("stop", pending, "Hold 1 job?"),
        ("cancel", pending, "Cancel 1 job?"),
    ):
        content = ask(admin_client, verb, job)
        assert title in content
        assert ("Without grace: kill what runs at once</label>" in content) == (job is running)
    rows = admin_client.get(reverse("admin:jobs")).content.decode()
    assert f'aria-label="Stop {running.name}"' in rows
    assert f'aria-label="Cancel {pending.name}"' in rows


def test_stop_start_retry_restart_and_delete_do_what_they_say(admin_client):
    job = make_job(name="a")
    assert confirm(admin_client, "stop", job) == "1 job being stopped."
    assert ContainerJob.objects.get().hold == "stopped"
    assert confirm(admin_client, "start", job) == "1 job may start."
    confirm(admin_client, "cancel", job)
    assert confirm(admin_client, "retry", job) == "1 job getting one more attempt."
    assert confirm(admin_client, "restart", job) == "1 job submitted again."
    assert ContainerJob.objects.get(restarted_from=job).created_by.username == "admin"
    assert confirm(admin_client, "delete", job) == "1 job deleted."
    assert not ContainerJob.objects.filter(pk=job.pk).exists()


def test_a_page_that_asks_is_told_at_once_and_shows_the_live_parts_anew(admin_client):
    job = make_job()
    response = admin_client.post(address("stop", job), {"ids": str(job.pk)}, headers=HTMX)
    assert response.status_code == 204
    assert "1 job being stopped." in response["HX-Trigger"]


class TestAllThatMatch:
    def test_the_filters_choose_and_newer_jobs_than_the_page_showed_are_left_alone(self, admin_client):
        old = make_job(name="a", status=JobStatus.FAILED)
        make_job(name="b")
        content = admin_client.get(reverse("admin:jobs"), {"status": "failed"}).content.decode()
        top = re.search(r'name="top" value="([^"]+)"', content)
        assert top
        make_job(name="c", status=JobStatus.FAILED)
        assert confirm(admin_client, "delete", all="1", status="failed", top=top[1]) == "1 job deleted."
        assert list(ContainerJob.objects.order_by("name").values_list("name", flat=True)) == ["b", "c"]
        assert not ContainerJob.objects.filter(pk=old.pk).exists()

    def test_what_matches_only_after_the_question_is_not_touched(self, admin_client):
        one, other = make_job(name="a"), make_job(name="b", status=JobStatus.RUNNING)
        content = ask(admin_client, "stop", all="1", status="pending")
        ids = re.search(r'name="ids" value="([^"]*)"', content)
        ContainerJob.objects.filter(pk=other.pk).update(status=JobStatus.PENDING)
        admin_client.post(address("stop", all="1", status="pending"), {"ids": ids[1]})
        assert ContainerJob.objects.get(pk=one.pk).hold == "stopped"
        assert ContainerJob.objects.get(pk=other.pk).hold == ""

    def test_what_is_past_the_cap_is_told(self, admin_client, monkeypatch):
        monkeypatch.setattr(acting, "MOST_AT_ONCE", 2)
        jobs = [make_job(name=str(number)) for number in range(3)]
        content = ask(admin_client, "stop", all="1")
        assert "Hold 2 jobs?" in content
        assert "More than 2 jobs match: these are the newest 2 of them" in content
        assert confirm(admin_client, "stop", all="1") == "2 jobs being stopped."
        assert ContainerJob.objects.get(pk=jobs[0].pk).hold == ""

    def test_filters_that_cannot_be_understood_choose_nothing(self, admin_client):
        make_job()
        content = ask(admin_client, "cancel", all="1", template="nope")
        assert "cannot be understood" in content
        assert '<button class="btn btn-danger"' not in content


def test_more_than_the_cap_is_refused_as_a_whole(admin_client, monkeypatch):
    monkeypatch.setattr(acting, "MOST_AT_ONCE", 1)
    jobs = make_job(), make_job()
    response = admin_client.post(address("cancel"), {"ids": " ".join(str(job.pk) for job in jobs)})
    assert response.status_code == 400
    assert statuses() == ["pending", "pending"]


def test_an_act_that_takes_long_tells_how_far_it_is_and_goes_on_without_doing_anything_twice(
    admin_client, monkeypatch
):
    monkeypatch.setattr(acting, "_DIALOG_SECONDS", 0.0)
    jobs = [make_job(name=str(number)) for number in range(3)]
    jobs[1].status = JobStatus.COMPLETED
    jobs[1].save()
    data = {"ids": " ".join(str(job.pk) for job in jobs)}
    for asked in (1, 2):
        response = admin_client.post(address("restart"), data, headers=HTMX)
        content = response.content.decode()
        assert f"{asked} of 3 jobs are done." in content
        data = dict(re.findall(r'name="(\w+)" (?:value="([^"]*)")?', content))
    response = admin_client.post(address("restart"), data, headers=HTMX)
    assert "3 jobs submitted again." in response["HX-Trigger"]
    assert ContainerJob.objects.exclude(restarted_from=None).count() == 3


def test_refusals_are_kept_while_it_goes_on(admin_client, monkeypatch):
    monkeypatch.setattr(acting, "_DIALOG_SECONDS", 0.0)
    jobs = make_job(status=JobStatus.COMPLETED), make_job()
    data = {"ids": " ".join(str(job.pk) for job in jobs)}
    content = admin_client.post(address("cancel"), data, headers=HTMX).content.decode()
    data = dict(re.findall(r'name="(\w+)" (?:value="([^"]*)")?', content))
    trigger = admin_client.post(address("cancel"), data, headers=HTMX)["HX-Trigger"]
    assert "1 job being cancelled. 1 refused: Job" in trigger
    assert str(jobs[0].pk) in trigger


def test_only_some_refusals_are_named_and_the_others_counted(admin_client):
    jobs = [make_job(status=JobStatus.COMPLETED) for _ in range(acts.MOST_NAMED + 2)]
    message = confirm(admin_client, "retry", *jobs)
    assert message.startswith("0 jobs getting one more attempt. 7 refused:")
    assert message.endswith("And 2 more.")


def test_a_busy_database_stops_neither_the_others_nor_the_telling(admin_client, monkeypatch):
    busy, free = make_job(), make_job()
    stop = operations.stop

    def sometimes(job_id, **given):
        if job_id == busy.pk:
            raise OperationalError("database is locked")
        stop(job_id, **given)

    monkeypatch.setattr(operations, "stop", sometimes)
    message = confirm(admin_client, "stop", busy, free)
    assert message == f"1 job being stopped. 1 refused: Job {busy.pk}: the database was busy; try again."


def test_jobs_that_are_gone_are_left_out_and_none_at_all_is_said(admin_client):
    job, gone = make_job(name="there"), make_job()
    ContainerJob.objects.filter(pk=gone.pk).delete()
    assert "Cancel 1 job?" in ask(admin_client, "cancel", job, gone)
    assert "No job is chosen" in ask(admin_client, "cancel", gone)
    assert "No job is chosen" in ask(admin_client, "cancel")


class TestFromTheJobsOwnPage:
    def test_it_goes_back_there(self, admin_client):
        job = make_job()
        response = admin_client.post(address("stop", job, back="/admin/tables/"), {"ids": str(job.pk)})
        assert response["Location"] == "/admin/tables/"

    def test_a_restart_leads_to_the_new_job_and_a_delete_away(self, admin_client):
        job = make_job(status=JobStatus.FAILED)
        restart = admin_client.post(
            address("restart", job, back="/admin/"), {"ids": str(job.pk)}, headers=HTMX
        )
        new = ContainerJob.objects.get(restarted_from=job)
        assert restart["HX-Redirect"] == reverse("admin:job", args=[new.pk])
        delete = admin_client.post(address("delete", job, back="/admin/"), {"ids": str(job.pk)}, headers=HTMX)
        assert delete["HX-Redirect"] == "/admin/"

    @pytest.mark.parametrize("back", ["https://evil.example/", "//evil.example/", "javascript:alert(1)"])
    def test_it_never_leads_to_another_site(self, admin_client, back):
        job = make_job()
        response = admin_client.post(address("stop", job, back=back), {"ids": str(job.pk)})
        assert response["Location"] == reverse("admin:jobs")

    def test_without_a_form_the_address_says_which_job(self, admin_client):
        job = make_job()
        admin_client.post(address("stop", job))
        assert ContainerJob.objects.get().hold == "stopped"


class TestWhoMay:
    @pytest.fixture
    def staff(self, client):
        def allow(*codenames: str):
            user = User.objects.create_user("somebody", is_staff=True)
            user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
            client.force_login(user)
            return client

        return allow

    @pytest.mark.parametrize("verb", acts.VERBS)
    def test_who_may_only_look_may_not_act(self, staff, verb):
        job = make_job(status=JobStatus.FAILED)
        client = staff("view_containerjob")
        assert client.get(address(verb, job)).status_code == 403
        assert client.post(address(verb, job), {"ids": str(job.pk)}).status_code == 403
        assert ContainerJob.objects.get().status == JobStatus.FAILED

    def test_to_delete_is_a_right_of_its_own(self, staff):
        job = make_job(status=JobStatus.FAILED)
        client = staff("view_containerjob", "change_containerjob")
        assert client.post(address("delete", job), {"ids": str(job.pk)}).status_code == 403
        assert client.get(address("retry", job)).status_code == 200
        assert "/act/delete/" not in client.get(reverse("admin:jobs")).content.decode()

    def test_strangers_log_in_first(self, client):
        assert client.post(address("cancel", make_job())).status_code == 302
        assert statuses() == ["pending"]

    def test_without_the_token_nothing_is_done(self, admin_user):
        from django.test import Client

        strict = Client(enforce_csrf_checks=True)
        strict.force_login(admin_user)
        job = make_job()
        assert strict.post(address("cancel", job), {"ids": str(job.pk)}).status_code == 403
        assert statuses() == ["pending"]


def test_what_is_no_verb_no_job_and_no_way_to_ask_is_refused(admin_client):
    job = make_job()
    assert admin_client.get(reverse("admin:job_act", args=["explode"])).status_code == 404
    assert admin_client.get(reverse("admin:job_act", args=["cancel"]), {"id": "x"}).status_code == 404
    assert admin_client.post(address("cancel", job), {"ids": "x"}).status_code == 400
    assert admin_client.put(address("cancel", job)).status_code == 405
