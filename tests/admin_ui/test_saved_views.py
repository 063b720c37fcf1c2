"""Saved views: kept by name, seen by others if shared, changed by their owners alone."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import Permission, User
from django.urls import reverse

from admin_ui.models import SavedView
from admin_ui.pages.jobs import saved
from tests.support.factories import make_template

pytestmark = pytest.mark.django_db

NEW = reverse("admin:jobs_view_new")


@pytest.fixture
def other(client):
    """Somebody else, who may see jobs, at a browser of their own."""
    user = User.objects.create_user("other", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename="view_containerjob"))
    client.force_login(user)
    return client


def view_url(view: SavedView, act: str = "") -> str:
    return reverse(f"admin:jobs_view{act}", args=[view.pk])


def test_the_filters_are_kept_under_a_name_and_lead_back(admin_client, admin_user):
    make_template("nightly")
    address = f"{NEW}?status=failed&template=nightly&after=1-x&top=2&evil=1"
    assert "status=failed&amp;template=nightly." in admin_client.get(address).content.decode()
    response = admin_client.post(address, {"name": "broken nights"})
    assert response["Location"] == f"{reverse('admin:jobs')}?status=failed&template=nightly"
    view = SavedView.objects.get()
    assert (view.owner, view.query, view.is_shared) == (admin_user, "status=failed&template=nightly", False)
    content = admin_client.get(response["Location"]).content.decode()
    assert f'href="{reverse("admin:jobs")}?status=failed&amp;template=nightly" aria-current="true"' in content


def test_it_is_renamed_shared_given_other_filters_and_deleted(admin_client, admin_user):
    view = SavedView.objects.create(owner=admin_user, name="a", query="status=failed")
    admin_client.post(view_url(view), {"name": "b", "is_shared": "on"})
    view.refresh_from_db()
    assert (view.name, view.is_shared, view.query) == ("b", True, "status=failed")
    admin_client.post(f"{view_url(view)}?replace=1&status=timeout", {"name": "b"})
    view.refresh_from_db()
    assert (view.is_shared, view.query) == (False, "status=timeout")
    assert "Delete the view b?" in admin_client.get(view_url(view, "_delete")).content.decode()
    admin_client.post(view_url(view, "_delete"))
    assert not SavedView.objects.exists()


def test_a_dialog_shows_what_is_wrong_and_ends_in_the_list(admin_client, admin_user):
    SavedView.objects.create(owner=admin_user, name="a")
    headers = {"hx-request": "true"}
    for name, words in (("", "This field is required."), ("a", "You have a view of that name already.")):
        response = admin_client.post(NEW, {"name": name}, headers=headers)
        assert words in response.content.decode()
    response = admin_client.post(NEW, {"name": "b"}, headers=headers)
    assert response["HX-Redirect"] == reverse("admin:jobs")
    assert SavedView.objects.count() == 2


def test_nobody_keeps_more_views_than_a_menu_can_show(admin_client, admin_user, monkeypatch):
    monkeypatch.setattr(saved, "MOST_OF_ONE", 1)
    SavedView.objects.create(owner=admin_user, name="a")
    assert "delete one first" in admin_client.post(NEW, {"name": "b"}).content.decode()
    assert SavedView.objects.count() == 1


def test_others_see_what_is_shared_and_change_nothing(admin_user, other):
    shared = SavedView.objects.create(owner=admin_user, name="for all", query="status=failed", is_shared=True)
    SavedView.objects.create(owner=admin_user, name="mine alone")
    content = other.get(reverse("admin:jobs")).content.decode()
    assert "for all" in content
    assert "of admin" in content
    assert "mine alone" not in content
    assert view_url(shared) not in content
    for act in ("", "_delete"):
        assert other.get(view_url(shared, act)).status_code == 404
        assert other.post(view_url(shared, act), {"name": "x"}).status_code == 404
    assert other.post(NEW, {"name": "for all"}).status_code == 302  # a name is one's own
    assert SavedView.objects.count() == 3


def test_a_name_is_text_in_the_page(admin_client, admin_user):
    SavedView.objects.create(owner=admin_user, name="<script>x</script>", query='a="><script>')
    assert "<script>x" not in admin_client.get(reverse("admin:jobs")).content.decode()


def test_who_may_not_see_jobs_keeps_no_views(client):
    client.force_login(User.objects.create_user("clerk", is_staff=True))
    assert client.post(NEW, {"name": "a"}).status_code == 403
